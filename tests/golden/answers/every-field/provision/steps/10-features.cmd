@dism.exe /online /english /norestart /disable-feature /featurename:NetFx3 /featurename:TelnetClient
