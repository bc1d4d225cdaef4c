@rem run.cmd STEP.cmd BASE: runs a step and keeps what it says. Written by provisioner.
@rem BASE.stdout.log and BASE.stderr.log grow meanwhile; BASE.code, the exit code, comes at its end.
@chcp 65001 >nul
@cd /d "%SystemDrive%\"
@cmd.exe /d /s /c ""%~dp0steps\%~1"" >"%~2.stdout.log" 2>"%~2.stderr.log" <nul
@>"%~2.new" echo %ERRORLEVEL%
@move /y "%~2.new" "%~2.code" >nul
