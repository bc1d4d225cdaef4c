@if not exist "C:\Tools" exit /b 0
@exit /b 1
