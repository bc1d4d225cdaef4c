New-Item C:\Tools -ItemType Directory
