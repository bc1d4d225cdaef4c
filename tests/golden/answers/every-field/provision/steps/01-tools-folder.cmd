@rem The step stops at its first error and hands on the exit code of its last program.
@powershell.exe -NoProfile -NonInteractive -ExecutionPolicy Bypass -Command "$ErrorActionPreference = 'Stop'; $global:LASTEXITCODE = 0; & '%~dp001-tools-folder.ps1'; exit $LASTEXITCODE"
