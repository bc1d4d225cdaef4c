@dism.exe /online /english /norestart /enable-feature /all /featurename:TFTP
