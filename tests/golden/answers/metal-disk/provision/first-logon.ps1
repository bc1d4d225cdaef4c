# Sets this machine up after Windows Setup. Written by provisioner.
# Log: C:\ProgramData\provisioner\first-logon.log
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$disc = Split-Path -Parent $PSScriptRoot
$logs = Join-Path $env:ProgramData 'provisioner'
$winlogon = 'HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Winlogon'
$stage = 'first-logon'
$failure = $null

New-Item -Path $logs -ItemType Directory -Force | Out-Null
Start-Transcript -LiteralPath (Join-Path $logs 'first-logon.log') -Append -Force | Out-Null

# Nobody listens to a physical PC: what happens stands in the log.
function Send-Event([System.Collections.IDictionary]$Payload) {
    Write-Host (ConvertTo-Json -InputObject $Payload -Compress)
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

if ($null -ne $failure) {
    Send-Event $failure
    Stop-Transcript | Out-Null
    exit 1
}
Stop-Transcript | Out-Null
