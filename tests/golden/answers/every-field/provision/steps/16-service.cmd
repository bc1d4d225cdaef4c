@echo off
:again
call "%~dp016-service.until.cmd"
if not errorlevel 1 exit /b 0
if errorlevel 2 exit /b 2
ping.exe -n 6 127.0.0.1 >nul
goto again
