@echo off
rem Puts Windows on the disk. Written by provisioner.
setlocal enableextensions disabledelayedexpansion
set "disc=%~1"
set "log=%SystemDrive%\provisioner-apply.log"
set "image="
set "swm="
echo provisioner: applying the image> "%log%"

rem The install medium is wherever its image is; letters differ from boot to boot.
for %%v in (C D E F G H I J K L M N O P Q R S T U V W Y Z) do (
    if exist "%%v:\sources\install.wim" set "image=%%v:\sources\install.wim"
    if exist "%%v:\sources\install.esd" set "image=%%v:\sources\install.esd"
    if exist "%%v:\sources\install.swm" set "image=%%v:\sources\install.swm"
    if exist "%%v:\sources\install.swm" set "swm=/SWMFile:%%v:\sources\install*.swm"
)
if not defined image call :fail "no drive has sources\install.wim, install.esd or install.swm"
if not defined image goto :eof

rem Commands of windowsPE run before Setup loads drivers, so the disk may need its own now.
if exist "%disc%\$WinPEDriver$" for /r "%disc%\$WinPEDriver$" %%i in (*.inf) do call :try drvload "%%i"

rem The layout is for one firmware; what the machine started with, Windows PE knows.
call :try wpeutil UpdateBootInfo
reg query HKLM\System\CurrentControlSet\Control /v PEFirmwareType | find "0x2" > nul
if errorlevel 1 call :fail "this machine started with another firmware than the profile says"
if errorlevel 1 goto :eof

> COM1 echo PROVISIONER/1 1 357a495b {^"event^":^"stage^",^"stage^":^"disks^"}
call :must diskpart /s "%disc%\provision\diskpart.txt"
if errorlevel 1 goto :eof
> COM1 echo PROVISIONER/1 2 0cb2f00c {^"event^":^"stage^",^"stage^":^"image^"}
call :must dism /Apply-Image "/ImageFile:%image%" %swm% /Index:6 /ApplyDir:W:\
if errorlevel 1 goto :eof
call :must W:\Windows\System32\bcdboot W:\Windows /s S: /f UEFI
if errorlevel 1 goto :eof

rem Setup's later passes read this copy, at the first start of Windows.
if not exist W:\Windows\Panther md W:\Windows\Panther
call :must copy /y "%disc%\Autounattend.xml" W:\Windows\Panther\unattend.xml
if errorlevel 1 goto :eof
if exist "%disc%\$WinPEDriver$" call :must dism /Image:W:\ /Add-Driver "/Driver:%disc%\$WinPEDriver$" /Recurse
if errorlevel 1 goto :eof

rem Windows starts without it, so nothing of this ends the installation.
md R:\Recovery\WindowsRE
call :try xcopy /h /y W:\Windows\System32\Recovery\Winre.wim R:\Recovery\WindowsRE\
call :try W:\Windows\System32\reagentc /Setreimage /Path R:\Recovery\WindowsRE /Target W:\Windows

rem The disk first, once: the disc would start Setup again.
call :try bcdedit /set {fwbootmgr} bootsequence {bootmgr}
xcopy /y "%log%" W:\Windows\Panther\ > nul
call :must wpeutil reboot
goto :eof

:must
echo ^> %*>> "%log%"
call %* >> "%log%" 2>&1
if not errorlevel 1 exit /b 0
call :fail "%~n1 failed"
exit /b 1

:try
echo ^> %*>> "%log%"
call %* >> "%log%" 2>&1
exit /b 0

:fail
echo provisioner: %~1
echo provisioner: %~1>> "%log%"
type "%log%"
> COM1 echo PROVISIONER/1 3 0021d5a8 {^"event^":^"failed^",^"stage^":^"image^",^"message^":^"the image could not be applied; the screen and X:\\provisioner-apply.log say why^"}
echo Nothing goes on by itself from here. Press a key for Setup's own pages.
pause > nul
exit /b 1
