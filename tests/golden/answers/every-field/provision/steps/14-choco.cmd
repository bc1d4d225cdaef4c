@set "PATH=%PATH%;%ProgramData%\chocolatey\bin"
@choco.exe install git --yes --no-progress
