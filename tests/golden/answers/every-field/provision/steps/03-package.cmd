@msiexec.exe /i "%~dp003-package\tool.msi" /qn /norestart /log "%ProgramData%\provisioner\steps\03-package.msi.log" INSTALLDIR="C:\My Tools\\" /lv*
