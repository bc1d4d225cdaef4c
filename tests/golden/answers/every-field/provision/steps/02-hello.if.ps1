(Get-Service).Count -gt 3
