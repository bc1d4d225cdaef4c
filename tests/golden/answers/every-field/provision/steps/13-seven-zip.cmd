@set "PATH=%PATH%;%ProgramData%\chocolatey\bin"
@choco.exe install 7zip --yes --no-progress --version 24.9
