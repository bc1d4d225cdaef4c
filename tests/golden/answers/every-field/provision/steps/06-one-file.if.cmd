@if exist "C:\x" exit /b 0
@exit /b 1
