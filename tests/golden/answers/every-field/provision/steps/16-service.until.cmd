@sc.exe query W32Time | find.exe "RUNNING" >nul
@if not errorlevel 1 exit /b 0
@exit /b 1
