Write-Host hello
