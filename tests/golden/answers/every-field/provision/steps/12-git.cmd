@echo off
set "PATH=%PATH%;%LOCALAPPDATA%\Microsoft\WindowsApps"
:again
where.exe winget.exe >nul 2>nul
if not errorlevel 1 goto found
echo waiting for winget
ping.exe -n 11 127.0.0.1 >nul
goto again
:found
winget.exe install --id Git.Git --exact --source winget --silent --accept-package-agreements --accept-source-agreements --disable-interactivity --version 2.50.0
