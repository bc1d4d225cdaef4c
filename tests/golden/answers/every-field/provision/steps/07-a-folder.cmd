@if not exist "C:\" mkdir "C:\" || exit /b 1
@xcopy.exe "%~dp007-a-folder" C:\ /e /i /y /q /r /h
