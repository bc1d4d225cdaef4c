@powershell.exe -NoProfile -NonInteractive -ExecutionPolicy Bypass -Command "$ErrorActionPreference = 'Stop'; try { if (& '%~dp002-hello.if.ps1') { exit 0 } else { exit 1 } } catch { Write-Host $_; exit 2 }"
@exit /b %ERRORLEVEL%
