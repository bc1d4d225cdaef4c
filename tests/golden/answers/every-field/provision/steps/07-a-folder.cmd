@xcopy.exe "%~dp007-a-folder" C:\ /e /i /y /q /r /h
