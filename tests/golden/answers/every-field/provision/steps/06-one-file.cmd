@xcopy.exe "%~dp006-one-file" C:\Tools /e /i /y /q /r /h
