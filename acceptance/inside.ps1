# Asked through the guest agent; changes nothing for good; prints one JSON object in ASCII.
$ErrorActionPreference = 'SilentlyContinue'
$ProgressPreference = 'SilentlyContinue'
$version = Get-ItemProperty -LiteralPath 'HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion'
$system = Get-CimInstance -ClassName Win32_OperatingSystem
$users = @(Get-LocalUser | ForEach-Object {
    @{ name = $_.Name; enabled = [bool]$_.Enabled; administrator = ($_.SID.Value -like 'S-1-5-21-*-500') }
})
$windows = Get-Partition -DriveLetter C
$partitions = @(Get-Partition -DiskNumber $windows.DiskNumber | Sort-Object -Property Offset | ForEach-Object {
    @{ number = [int]$_.PartitionNumber; type = [string]$_.Type; mib = [long]($_.Size / 1048576); letter = ([string]$_.DriveLetter).Trim([char]0) }
})
$services = @{}
foreach ($name in 'WinRM', 'TermService', 'sshd', 'QEMU-GA') {
    $service = Get-Service -Name $name
    if ($service) { $services[$name] = [string]$service.Status }
}
& reg.exe load HKU\acceptance "$env:SystemDrive\Users\Default\NTUSER.DAT" | Out-Null
$number = (Get-ItemProperty -LiteralPath 'Registry::HKEY_USERS\acceptance\Software\Acceptance').Number
[gc]::Collect()
& reg.exe unload HKU\acceptance | Out-Null
$drivers = @(Get-CimInstance -ClassName Win32_PnPSignedDriver | Where-Object { $_.DriverProviderName -like '*Red Hat*' } | ForEach-Object { [string]$_.DeviceName })
$facts = @{
    caption = [string]$system.Caption
    edition = [string]$version.EditionID
    build = [string]$version.CurrentBuild
    revision = [int]$version.UBR
    display_language = [string]((Get-ItemProperty -LiteralPath 'HKLM:\SYSTEM\CurrentControlSet\Control\MUI\UILanguages\*' | Select-Object -First 1).PSChildName)
    computer_name = [string]$env:COMPUTERNAME
    time_zone = [string](Get-TimeZone).Id
    users = $users
    disk_bytes = [long](Get-Disk -Number $windows.DiskNumber).Size
    style = [string](Get-Disk -Number $windows.DiskNumber).PartitionStyle
    partitions = $partitions
    services = $services
    drivers = $drivers
    registry = @{ text = [string](Get-ItemProperty -LiteralPath 'HKLM:\SOFTWARE\Acceptance').Text; number = [int]$number }
    recovery = [bool](& reagentc.exe /info | Select-String -SimpleMatch -Pattern 'GLOBALROOT')
    encryption = @(Get-CimInstance -Namespace 'root\CIMV2\Security\MicrosoftVolumeEncryption' -ClassName Win32_EncryptableVolume | ForEach-Object { [int]$_.ProtectionStatus })
    channel = [string](Get-CimInstance -ClassName SoftwareLicensingProduct -Filter "ApplicationID='55c92734-d682-4d71-983e-d6ec3f16059f' AND PartialProductKey IS NOT NULL" | Select-Object -First 1).ProductKeyChannel
    first_logon_errors = @(Get-Content -LiteralPath 'C:\ProgramData\provisioner\first-logon.log' | Select-String -SimpleMatch -Pattern '"warning"', 'TerminatingError' | ForEach-Object { ([string]$_).Substring(0, [Math]::Min(200, ([string]$_).Length)) })
}
$json = ConvertTo-Json -InputObject $facts -Depth 4 -Compress
[regex]::Replace($json, '[^\x20-\x7e]', { '\u{0:x4}' -f [int][char]$args[0].Value })
