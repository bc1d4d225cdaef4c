Write-Host 'Grüße'
