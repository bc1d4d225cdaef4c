# Sets this machine up after Windows Setup. Written by provisioner.
# Log: C:\ProgramData\provisioner\first-logon.log
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$disc = Split-Path -Parent $PSScriptRoot
$logs = Join-Path $env:ProgramData 'provisioner'
$winlogon = 'HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Winlogon'
$sequence = 0
$stage = 'first-logon'
$failure = $null

New-Item -Path $logs -ItemType Directory -Force | Out-Null
Start-Transcript -LiteralPath (Join-Path $logs 'first-logon.log') -Append -Force | Out-Null

# CRC-32 as zlib computes it. Signed 64-bit numbers: PowerShell 5.1 reads 0xEDB88320 as negative.
$crcs = New-Object long[] 256
for ($index = 0; $index -lt 256; $index++) {
    [long]$crc = $index
    for ($bit = 0; $bit -lt 8; $bit++) {
        if (($crc -band 1) -eq 1) { $crc = ($crc -shr 1) -bxor 3988292384 } else { $crc = $crc -shr 1 }
    }
    $crcs[$index] = $crc
}
function Get-Crc32([byte[]]$Bytes) {
    [long]$crc = 4294967295
    foreach ($byte in $Bytes) { $crc = ($crc -shr 8) -bxor $crcs[($crc -bxor [long]$byte) -band 255] }
    return '{0:x8}' -f ($crc -bxor 4294967295)
}

# One line of docs/protocol.md on the first serial port. A machine without the port goes on.
function Send-Event([System.Collections.IDictionary]$Payload) {
    $script:sequence++
    $json = ConvertTo-Json -InputObject $Payload -Compress
    $json = [regex]::Replace($json, '[^\x20-\x7e]', { '\u{0:x4}' -f [int][char]$args[0].Value })
    $crc = Get-Crc32 ([System.Text.Encoding]::ASCII.GetBytes("$script:sequence $json"))
    $line = "PROVISIONER/1 $script:sequence $crc $json"
    Write-Host $line
    try {
        $port = New-Object System.IO.Ports.SerialPort -ArgumentList 'COM1', 115200
        $port.WriteTimeout = 5000
        $port.Open()
        try { $port.Write("$line`r`n") } finally { $port.Close() }
    } catch {
        Write-Host "not reported: $($_.Exception.Message)"
    }
}

function Enter-Stage([string]$Name) {
    $script:stage = $Name
    Send-Event ([ordered]@{ event = 'stage'; stage = $Name })
}

function Send-Warning([string]$Message) {
    Send-Event ([ordered]@{ event = 'warning'; stage = $script:stage; message = $Message })
}

# Remembers the first failure only: what follows may be its consequence.
function Set-Failure($Record) {
    Write-Host ($Record | Out-String)
    $message = [string]$Record.Exception.Message
    # The host reads lines up to 8192 bytes, and a character can take six.
    if ($message.Length -gt 1000) { $message = $message.Substring(0, 1000) }
    if ($null -eq $script:failure) {
        $script:failure = [ordered]@{ event = 'failed'; stage = $script:stage; message = $message }
    }
}

# Runs a program with a time limit and returns its exit code; 258 (WAIT_TIMEOUT) where it was ended.
function Invoke-Bounded([string]$Log, [string]$Program, [string]$Arguments, [long]$Seconds) {
    $path = Join-Path $logs $Log
    $started = @{
        FilePath = $Program; ArgumentList = $Arguments; PassThru = $true; NoNewWindow = $true
        RedirectStandardOutput = "$path.out.log"; RedirectStandardError = "$path.err.log"
    }
    $process = Start-Process @started
    # Without having asked for the handle, PowerShell 5.1 has no exit code afterwards.
    $null = $process.Handle
    if (-not $process.WaitForExit([int][Math]::Min($Seconds * 1000, [int]::MaxValue))) {
        Start-Process -FilePath 'taskkill.exe' -ArgumentList "/t /f /pid $($process.Id)" -NoNewWindow -Wait
        return 258
    }
    return $process.ExitCode
}

# Windows keeps the password as a secret of the Local Security Authority.
function Remove-Autologon {
    Set-ItemProperty -LiteralPath $winlogon -Name AutoAdminLogon -Value '0'
    Remove-ItemProperty -LiteralPath $winlogon -Name DefaultPassword -ErrorAction SilentlyContinue
    try {
        Add-Type -Namespace Provisioner -Name Lsa -MemberDefinition @'
[StructLayout(LayoutKind.Sequential)]
public struct ObjectAttributes { public int Length; public IntPtr Root, Name; public int Attributes; public IntPtr Descriptor, Quality; }
[StructLayout(LayoutKind.Sequential)]
public struct UnicodeString { public ushort Length, MaximumLength; public IntPtr Buffer; }
[DllImport("advapi32.dll")]
public static extern uint LsaOpenPolicy(IntPtr system, ref ObjectAttributes attributes, uint access, out IntPtr policy);
[DllImport("advapi32.dll")]
public static extern uint LsaStorePrivateData(IntPtr policy, ref UnicodeString key, IntPtr data);
[DllImport("advapi32.dll")]
public static extern uint LsaClose(IntPtr policy);
public static uint Forget(string name) {
    ObjectAttributes attributes = new ObjectAttributes();
    attributes.Length = Marshal.SizeOf(typeof(ObjectAttributes));
    UnicodeString key = new UnicodeString();
    key.Buffer = Marshal.StringToHGlobalUni(name);
    key.Length = (ushort)(name.Length * 2);
    key.MaximumLength = (ushort)(name.Length * 2 + 2);
    IntPtr policy;
    uint status = LsaOpenPolicy(IntPtr.Zero, ref attributes, 0x20, out policy);
    if (status != 0) { return status; }
    status = LsaStorePrivateData(policy, ref key, IntPtr.Zero);
    LsaClose(policy);
    return status;
}
'@
        $status = '{0:x8}' -f [Provisioner.Lsa]::Forget('DefaultPassword')
        # c0000034: there is no such secret.
        if ($status -notin '00000000', 'c0000034') { Send-Warning "the autologon secret stays: $status" }
    } catch {
        Send-Warning "the autologon secret stays: $($_.Exception.Message)"
    }
}


Enter-Stage 'first-logon'
try {
    $continues = $false
    # Windows adds one to LogonCount; this takes it back.
    Set-ItemProperty -LiteralPath $winlogon -Name AutoLogonCount -Type DWord -Value 0

    if (-not $continues) { Enter-Stage 'drivers' }
    foreach ($folder in '$WinPEDriver$', 'drivers') {
        $root = Join-Path $disc $folder
        if ($continues -or -not (Test-Path -LiteralPath $root)) { continue }
        foreach ($inf in Get-ChildItem -LiteralPath $root -Filter *.inf -Recurse -File) {
            $arguments = '/add-driver "{0}" /install' -f $inf.FullName
            $code = Invoke-Bounded -Log "driver-$($inf.BaseName)" -Program 'pnputil.exe' -Arguments $arguments -Seconds 300
            # 259: no device wants it, or it is in use already. 3010: complete after a reboot.
            if ($code -notin 0, 259, 3010) { Send-Warning "driver $($inf.Name): pnputil exited $code" }
        }
    }
    $stage = 'first-logon'

    Enter-Stage 'settings'
    # Runs a program of Windows; another exit code than the expected ones ends the script.
    function Invoke-Setting([string]$Name, [string]$Program, [string]$Arguments, [long]$Seconds = 300) {
        $code = Invoke-Bounded -Log "setting-$Name" -Program $Program -Arguments $Arguments -Seconds $Seconds
        if ($code -eq 3010) { Send-Warning "$Name is complete after a restart"; return }
        if ($code -ne 0) { throw "setting $($Name): $Program exited $code" }
    }
    # A rule of our own, by a name that a second run finds again.
    function Set-FirewallRule([string]$Name, [hashtable]$Rule) {
        Remove-NetFirewallRule -Name $Name -ErrorAction SilentlyContinue
        New-NetFirewallRule -Name $Name -Direction Inbound -Action Allow @Rule | Out-Null
    }
    $settings = Join-Path $disc 'provision\settings'

    # Everything on a disc is read-only; the copies are not.
    $copies = ConvertFrom-Json -InputObject ([System.IO.File]::ReadAllText((Join-Path $disc 'provision\files.json')))
    foreach ($copy in $copies) {
        $place = [System.Environment]::ExpandEnvironmentVariables($copy.to)
        [System.IO.Directory]::CreateDirectory([System.IO.Path]::GetDirectoryName($place)) | Out-Null
        if ([System.IO.File]::Exists($place)) { [System.IO.File]::SetAttributes($place, 'Normal') }
        [System.IO.File]::Copy((Join-Path $disc "provision\files\$($copy.file)"), $place, $true)
        [System.IO.File]::SetAttributes($place, 'Normal')
        if ((Get-FileHash -LiteralPath $place -Algorithm SHA256).Hash -ne $copy.sha256) { throw "the copy $place is not whole" }
    }

    Invoke-Setting 'machine.reg' 'reg.exe' ('import "{0}"' -f (Join-Path $settings 'machine.reg'))
    Invoke-Setting 'user.reg' 'reg.exe' ('import "{0}"' -f (Join-Path $settings 'user.reg'))
    # The profile from which every account made later gets its own.
    $hive = 'HKU\provisioner-default'
    $defaults = [string](Get-ItemProperty -LiteralPath 'HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList').Default
    $defaults = [System.Environment]::ExpandEnvironmentVariables($defaults)
    Invoke-Setting 'default-user-load' 'reg.exe' ('load {0} "{1}\NTUSER.DAT"' -f $hive, $defaults)
    try {
        Invoke-Setting 'default-user' 'reg.exe' ('import "{0}"' -f (Join-Path $settings 'default-user.reg'))
    } finally {
        Invoke-Setting 'default-user-unload' 'reg.exe' "unload $hive"
    }

    # What is not in Windows itself, .NET 3.5 for one, is on the install disc.
    $source = [System.IO.DriveInfo]::GetDrives().Name | ForEach-Object { Join-Path $_ 'sources\sxs' } | Where-Object { Test-Path -LiteralPath $_ } | Select-Object -First 1
    $from = if ($source) { ' /source:"{0}"' -f $source } else { '' }
    $features = @(
        @{ Name = 'NetFx3'; Arguments = '/enable-feature /featurename:NetFx3 /all' }
        @{ Name = 'SMB1Protocol'; Arguments = '/disable-feature /featurename:SMB1Protocol' }
        @{ Name = 'Tools.Graphics.DirectX~~~~0.0.1.0'; Arguments = '/add-capability /capabilityname:Tools.Graphics.DirectX~~~~0.0.1.0' }
    )
    foreach ($feature in $features) {
        $arguments = '/online /quiet /norestart ' + $feature.Arguments
        if ($feature.Arguments -like '/enable-feature*') { $arguments += $from }
        Invoke-Setting $feature.Name 'dism.exe' $arguments -Seconds 2700
    }
    $command = '$ErrorActionPreference = ''Stop''; $done = Install-WindowsFeature -IncludeManagementTools -Name ' + 'Web-Server,RSAT-AD-PowerShell'
    if ($source) { $command += ' -Source ''{0}''' -f $source }
    $command += '; if (-not $done.Success) { exit 1 }; if ($done.RestartNeeded -eq ''Yes'') { exit 3010 }'
    Invoke-Setting 'roles' 'powershell.exe' ('-NoProfile -NonInteractive -ExecutionPolicy Bypass -Command "{0}"' -f $command) -Seconds 2700

    foreach ($arguments in @('/setactive 8c5e7fda-e8bf-4a96-9a85-a6e23a8c635c', '/change monitor-timeout-ac 0', '/change monitor-timeout-dc 0', '/change standby-timeout-ac 120', '/change standby-timeout-dc 120', '/hibernate off')) { Invoke-Setting 'power' 'powercfg.exe' $arguments }

    # From the next start on: until then the port is ours.
    Invoke-Setting 'ems-settings' 'bcdedit.exe' '/emssettings EMSPORT:1 EMSBAUDRATE:115200'
    Invoke-Setting 'ems' 'bcdedit.exe' '/ems {current} on'
    Invoke-Setting 'ems-boot' 'bcdedit.exe' '/bootems {bootmgr} on'
    Set-FirewallRule 'provisioner-ping-4' @{ DisplayName = 'Ping (IPv4)'; Protocol = 'ICMPv4'; IcmpType = 8 }
    Set-FirewallRule 'provisioner-ping-6' @{ DisplayName = 'Ping (IPv6)'; Protocol = 'ICMPv6'; IcmpType = 128 }
    Set-FirewallRule 'provisioner-tcp-8080' @{ DisplayName = 'Bob''s service'; Protocol = 'TCP'; LocalPort = 8080; Profile = @('Any') }
    Set-FirewallRule 'provisioner-udp-514' @{ DisplayName = 'logs'; Protocol = 'UDP'; LocalPort = 514; Profile = @('Domain', 'Private') }

    # OpenSSH's server. Where Windows has it already (Server 2025), only the rest is done.
    if (-not (Get-Service -Name sshd -ErrorAction SilentlyContinue)) {
        $unpacked = Join-Path $logs 'openssh'
        Expand-Archive -LiteralPath (Join-Path $settings 'openssh.zip') -DestinationPath $unpacked -Force
        $installer = Get-ChildItem -LiteralPath $unpacked -Filter install-sshd.ps1 -Recurse -File | Select-Object -First 1
        if ($null -eq $installer) { throw 'the package of OpenSSH holds no install-sshd.ps1' }
        $programs = Join-Path $env:ProgramFiles 'OpenSSH'
        New-Item -Path $programs -ItemType Directory -Force | Out-Null
        Get-ChildItem -LiteralPath $installer.DirectoryName -Force | Copy-Item -Destination $programs -Recurse -Force
        Invoke-Setting 'openssh' 'powershell.exe' ('-NoProfile -NonInteractive -ExecutionPolicy Bypass -File "{0}"' -f (Join-Path $programs 'install-sshd.ps1'))
        Remove-Item -LiteralPath $unpacked -Recurse -Force
    }
    # The first start makes the host keys and the configuration.
    Set-Service -Name sshd -StartupType Automatic
    Start-Service -Name sshd
    $ssh = Join-Path $env:ProgramData 'ssh'
    $keys = Join-Path $ssh 'administrators_authorized_keys'
    Copy-Item -LiteralPath (Join-Path $settings 'authorized_keys') -Destination $keys -Force
    [System.IO.File]::SetAttributes($keys, 'Normal')
    # Read by Administrators and SYSTEM alone, or sshd ignores it; by their SIDs in every language.
    Invoke-Setting 'ssh-keys' 'icacls.exe' ('"{0}" /inheritance:r /grant *S-1-5-32-544:F /grant *S-1-5-18:F' -f $keys)
    # Of two lines for one setting sshd takes the first.
    $configuration = Join-Path $ssh 'sshd_config'
    $lines = @(Get-Content -LiteralPath $configuration)
    if ($lines -notcontains 'PasswordAuthentication no') { Set-Content -LiteralPath $configuration -Value (@('PasswordAuthentication no') + $lines) -Encoding Ascii }
    Set-FirewallRule 'provisioner-ssh' @{ DisplayName = 'OpenSSH (port 22)'; Protocol = 'TCP'; LocalPort = 22 }
    Restart-Service -Name sshd
    $stage = 'first-logon'

    # HTTPS only. The order matters: a private network first, the listener last.
    Get-NetConnectionProfile | Where-Object { $_.NetworkCategory -eq 'Public' } | Set-NetConnectionProfile -NetworkCategory Private
    Enable-PSRemoting -SkipNetworkProfileCheck -Force | Out-Null
    Get-ChildItem -Path WSMan:\localhost\Listener | Remove-Item -Recurse -Force
    Get-NetFirewallRule -Group '@FirewallAPI.dll,-30267' -ErrorAction SilentlyContinue | Disable-NetFirewallRule
    $policy = 'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System'
    New-ItemProperty -LiteralPath $policy -Name LocalAccountTokenFilterPolicy -PropertyType DWord -Value 1 -Force | Out-Null
    $certificate = New-SelfSignedCertificate -DnsName $env:COMPUTERNAME -CertStoreLocation Cert:\LocalMachine\My -NotAfter (Get-Date).AddYears(10)
    Remove-NetFirewallRule -Name provisioner-winrm-https -ErrorAction SilentlyContinue
    New-NetFirewallRule -Name provisioner-winrm-https -DisplayName 'Windows Remote Management (HTTPS-In)' -Direction Inbound -Protocol TCP -LocalPort 5986 -Action Allow | Out-Null
    Set-Service -Name WinRM -StartupType Automatic
    New-Item -Path WSMan:\localhost\Listener -Transport HTTPS -Address * -CertificateThumbPrint $certificate.Thumbprint -Force | Out-Null
} catch {
    Set-Failure $_
}

# Always, also after a failure: no answers stay in the machine.
Enter-Stage 'cleanup'
try {
    $resumable = $false
    if (-not $resumable) { Remove-Autologon }
    $answers = @(
        "$env:SystemRoot\Panther\unattend.xml"
        "$env:SystemRoot\Panther\unattend-original.xml"
        "$env:SystemRoot\Panther\Unattend\unattend.xml"
        "$env:SystemRoot\Panther\Unattend\autounattend.xml"
        "$env:SystemRoot\System32\Sysprep\unattend.xml"
        "$env:SystemDrive\unattend.xml"
        "$env:SystemDrive\autounattend.xml"
        "$env:SystemDrive\`$Windows.~BT\Sources\Panther\unattend.xml"
    )
    foreach ($copy in $answers) {
        Remove-Item -LiteralPath $copy -Force -ErrorAction SilentlyContinue
        if (Test-Path -LiteralPath $copy) { Send-Warning "cached answers stay: $copy" }
    }
} catch {
    Set-Failure $_
}

# Last, because an agent that answers says that everything before it is done.
if ($null -eq $failure) {
    Enter-Stage 'agent'
    try {
        $installer = Join-Path $PSScriptRoot 'agent\qemu-ga.msi'
        $arguments = '/i "{0}" /qn /norestart' -f $installer
        foreach ($attempt in 1..20) {
            $code = Invoke-Bounded -Log 'guest-agent' -Program 'msiexec.exe' -Arguments $arguments -Seconds 900
            # 1618: another installation is running.
            if ($code -ne 1618) { break }
            Start-Sleep -Seconds 15
        }
        if ($code -notin 0, 3010) { throw "the installer of the guest agent exited $code" }
        Get-Service -Name QEMU-GA | Where-Object { $_.Status -ne 'Running' } | Start-Service
    } catch {
        Set-Failure $_
    }
}

if ($null -ne $failure) {
    Send-Event $failure
    Stop-Transcript | Out-Null
    exit 1
}
Send-Event ([ordered]@{ event = 'ready' })
Stop-Transcript | Out-Null
