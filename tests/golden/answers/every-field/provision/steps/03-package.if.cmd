@if exist "C:\100%%\" exit /b 0
@exit /b 1
