@ping.exe -n 91 127.0.0.1 >nul
@exit /b 0
