@sc.exe query W32Time | find.exe "RUNNING" >nul && exit /b 0
@exit /b 1
