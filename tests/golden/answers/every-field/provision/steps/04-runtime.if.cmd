@sc.exe query Spooler | find.exe "RUNNING" >nul
@if not errorlevel 1 exit /b 0
@exit /b 1
