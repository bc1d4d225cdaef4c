# Sets this machine up after Windows Setup. Written by provisioner.
# Log: C:\ProgramData\provisioner\first-logon.log
$ErrorActionPreference = 'Stop'
$here = Split-Path -Parent $MyInvocation.MyCommand.Path
$logs = Join-Path $env:ProgramData 'provisioner'
$winlogon = 'HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Winlogon'
$sequence = 0
$stage = 'first-logon'
$failure = $null

New-Item -Path $logs -ItemType Directory -Force | Out-Null
Start-Transcript -Path (Join-Path $logs 'first-logon.log') -Append -Force | Out-Null

# CRC-32 as zlib computes it, and what Windows remembers of an automatic logon.
Add-Type -TypeDefinition @'
using System;
using System.Runtime.InteropServices;
public static class Provisioner {
    [StructLayout(LayoutKind.Sequential)]
    struct ObjectAttributes { public int Length; public IntPtr Root, Name; public int Attributes; public IntPtr Descriptor, Quality; }
    [StructLayout(LayoutKind.Sequential)]
    struct UnicodeString { public ushort Length, MaximumLength; public IntPtr Buffer; }
    [DllImport("advapi32.dll")]
    static extern uint LsaOpenPolicy(IntPtr system, ref ObjectAttributes attributes, uint access, out IntPtr policy);
    [DllImport("advapi32.dll")]
    static extern uint LsaStorePrivateData(IntPtr policy, ref UnicodeString key, IntPtr data);
    [DllImport("advapi32.dll")]
    static extern uint LsaClose(IntPtr policy);
    public static string Forget(string name) {
        ObjectAttributes attributes = new ObjectAttributes();
        attributes.Length = Marshal.SizeOf(typeof(ObjectAttributes));
        UnicodeString key = new UnicodeString();
        key.Buffer = Marshal.StringToHGlobalUni(name);
        key.Length = (ushort)(name.Length * 2);
        key.MaximumLength = (ushort)(name.Length * 2 + 2);
        IntPtr policy;
        uint status = LsaOpenPolicy(IntPtr.Zero, ref attributes, 0x20, out policy);
        if (status == 0) {
            status = LsaStorePrivateData(policy, ref key, IntPtr.Zero);
            LsaClose(policy);
        }
        return status.ToString("x8");
    }
    public static string Crc32(string text) {
        uint crc = 0xffffffff;
        foreach (char letter in text) {
            crc ^= (byte)letter;
            for (int bit = 0; bit < 8; bit++) { crc = (crc & 1) == 1 ? (crc >> 1) ^ 0xedb88320 : crc >> 1; }
        }
        return (crc ^ 0xffffffff).ToString("x8");
    }
}
'@

# A JSON string of ASCII.
function ConvertTo-Quoted([string]$Text) {
    $quoted = $Text.Replace('\', '\\').Replace('"', '\"')
    '"' + [regex]::Replace($quoted, '[^\x20-\x7e]', { '\u{0:x4}' -f [int][char]$args[0].Value }) + '"'
}

# One line of docs/protocol.md on the first serial port. A machine without the port goes on.
function Send-Event([string[]]$Members) {
    $json = '{' + [string]::Join(',', $Members) + '}'
    $script:sequence++
    $crc = [Provisioner]::Crc32("$script:sequence $json")
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

function Get-Member-Text([string]$Name, [string]$Text) { '"' + $Name + '":' + (ConvertTo-Quoted $Text) }

function Enter-Stage([string]$Name) {
    $script:stage = $Name
    Send-Event @('"event":"stage"', (Get-Member-Text 'stage' $Name))
}

function Send-Warning([string]$Message) {
    Send-Event @('"event":"warning"', (Get-Member-Text 'stage' $script:stage), (Get-Member-Text 'message' $Message))
}

# Remembers the first failure only: what follows may be its consequence.
function Set-Failure($Record) {
    Write-Host ($Record | Out-String)
    $message = [string]$Record.Exception.Message
    if ($message.Length -gt 1000) { $message = $message.Substring(0, 1000) }
    if ($script:failure -eq $null) {
        $script:failure = @('"event":"failed"', (Get-Member-Text 'stage' $script:stage), (Get-Member-Text 'message' $message))
    }
}

# Runs a program with a time limit and returns its exit code; 258 (WAIT_TIMEOUT) where it was ended.
function Invoke-Bounded([string]$Log, [string]$Program, [string]$Arguments, [int]$Seconds) {
    $path = Join-Path $logs $Log
    $process = Start-Process -FilePath $Program -ArgumentList $Arguments -PassThru -NoNewWindow -RedirectStandardOutput "$path.out.log" -RedirectStandardError "$path.err.log"
    $null = $process.Handle
    if (-not $process.WaitForExit([int][Math]::Min($Seconds * 1000.0, [int]::MaxValue))) {
        Start-Process -FilePath 'taskkill.exe' -ArgumentList "/t /f /pid $($process.Id)" -NoNewWindow -Wait
        return 258
    }
    return $process.ExitCode
}

# The built-in Administrator, whatever this language calls it.
function Set-Administrator([bool]$Disabled) {
    $account = Get-WmiObject -Class Win32_UserAccount -Filter 'LocalAccount=True' | Where-Object { $_.SID -like 'S-1-5-21-*-500' }
    $account.Disabled = $Disabled
    $account.Put() | Out-Null
}

Enter-Stage 'first-logon'
try {
    # Windows adds one to LogonCount; this takes it back.
    Set-ItemProperty -LiteralPath $winlogon -Name AutoLogonCount -Type DWord -Value 0
} catch {
    Set-Failure $_
}

# Always, also after a failure: nothing of the answers stays in the machine.
Enter-Stage 'cleanup'
try {
    Set-ItemProperty -LiteralPath $winlogon -Name AutoAdminLogon -Value '0'
    Remove-ItemProperty -LiteralPath $winlogon -Name DefaultPassword -ErrorAction SilentlyContinue
    $status = [Provisioner]::Forget('DefaultPassword')
    # c0000034: there is no such secret.
    if (@('00000000', 'c0000034') -notcontains $status) { Send-Warning "the autologon secret stays: $status" }
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
if ($failure -eq $null) {
    Enter-Stage 'agent'
    try {
        $installer = Join-Path $here 'agent\qemu-ga.msi'
        $arguments = '/i "{0}" /qn /norestart' -f $installer
        foreach ($attempt in 1..20) {
            $code = Invoke-Bounded -Log 'guest-agent' -Program 'msiexec.exe' -Arguments $arguments -Seconds 900
            # 1618: another installation is running.
            if ($code -ne 1618) { break }
            Start-Sleep -Seconds 15
        }
        if (@(0, 3010) -notcontains $code) { throw "the installer of the guest agent exited $code" }
        Get-Service -Name QEMU-GA | Where-Object { $_.Status -ne 'Running' } | Start-Service
    } catch {
        Set-Failure $_
    }
}

if ($failure -ne $null) {
    Send-Event $failure
    Stop-Transcript | Out-Null
    exit 1
}
Send-Event @('"event":"ready"')
Stop-Transcript | Out-Null
