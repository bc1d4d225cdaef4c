@sc.exe query Spooler | find.exe "RUNNING" >nul && exit /b 0
@exit /b 1
