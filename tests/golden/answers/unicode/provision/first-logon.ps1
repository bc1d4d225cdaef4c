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

# A second logon of the same user while this runs starts nothing.
$mutex = New-Object System.Threading.Mutex -ArgumentList $false, 'Global\provisioner'
if (-not $mutex.WaitOne(0)) { exit 0 }

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


# The steps: steps\steps.json on the disc says what to do, steps.json beside the logs how far it is.
$stepLogs = Join-Path $logs 'steps'
$stateFile = Join-Path $logs 'steps.json'
$continuation = 'provisioner continues'
$systemTask = 'provisioner step'

function Read-State {
    if (-not (Test-Path -LiteralPath $stateFile)) { return [pscustomobject]@{ next = 1; begun = 0; wanted = $false } }
    return Get-Content -Raw -LiteralPath $stateFile | ConvertFrom-Json
}

# Whatever moment the power goes, the file is the old one or the new one.
function Save-State($State) {
    $bytes = [System.Text.Encoding]::ASCII.GetBytes((ConvertTo-Json -InputObject $State -Compress))
    $file = [System.IO.File]::Create("$stateFile.new")
    try {
        $file.Write($bytes, 0, $bytes.Length)
        $file.Flush($true)
    } finally {
        $file.Close()
    }
    if (Test-Path -LiteralPath $stateFile) {
        [System.IO.File]::Replace("$stateFile.new", $stateFile, [NullString]::Value)
    } else {
        [System.IO.File]::Move("$stateFile.new", $stateFile)
    }
}

# This script runs again at every logon, elevated, until the steps are done.
function Register-Continuation {
    $user = [System.Security.Principal.WindowsIdentity]::GetCurrent().Name
    $task = @{
        TaskName = $continuation
        Action = New-ScheduledTaskAction -Execute 'powershell.exe' -Argument '-NoProfile -ExecutionPolicy Bypass -Command "foreach($d in [IO.DriveInfo]::GetDrives()){$n=$d.Name;if(Test-Path($n+''provision\machine-unicode'')){&($n+''provision\first-logon.ps1'');break}}"'
        Trigger = New-ScheduledTaskTrigger -AtLogOn -User $user
        Principal = New-ScheduledTaskPrincipal -UserId $user -LogonType Interactive -RunLevel Highest
        Settings = New-ScheduledTaskSettingsSet -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries -ExecutionTimeLimit ([TimeSpan]::Zero)
    }
    Register-ScheduledTask @task -Force | Out-Null
}

function Remove-Continuation {
    Get-ScheduledTask | Where-Object { $_.TaskName -in $continuation, $systemTask } | Unregister-ScheduledTask -Confirm:$false
    Remove-Item -LiteralPath $stateFile, "$stateFile.new" -Force -ErrorAction SilentlyContinue
}

# A line of a step, in pieces that fit a line of the protocol; of a progress bar its last state.
function Send-Line($Tail, [string]$Line) {
    $text = $Line.TrimEnd("`r").Split("`r")[-1]
    for ($start = 0; $start -lt $text.Length -and $Tail.Sent -lt $Tail.Most; $start += 1000) {
        $piece = $text.Substring($start, [Math]::Min(1000, $text.Length - $start))
        Send-Event ([ordered]@{ event = 'output'; step = $Tail.Step; stream = $Tail.Stream; text = $piece })
        $Tail.Sent++
    }
}

# Sends what was added to a log since the last call; with -Last also a line without an end.
function Send-Output($Tail, [switch]$Last) {
    if (-not (Test-Path -LiteralPath $Tail.Path)) { return }
    $file = [System.IO.File]::Open($Tail.Path, 'Open', 'Read', 'ReadWrite, Delete')
    try {
        if ($Last -and $Tail.Sent -ge $Tail.Most) {
            # Too much to send; a failure shows at the end.
            $Tail.Most = $Tail.Sent + 41
            Send-Line $Tail "... $($Tail.Path) holds it all, and this is its end:"
            $Tail.Offset = [Math]::Max($Tail.Offset, $file.Length - 4000)
            $Tail.Text = ''
        }
        [void]$file.Seek($Tail.Offset, 'Begin')
        $bytes = New-Object byte[] 65536
        $characters = New-Object char[] 65537
        while ($Tail.Sent -lt $Tail.Most) {
            $count = $file.Read($bytes, 0, $bytes.Length)
            if ($count -eq 0) { break }
            $Tail.Offset += $count
            $made = $Tail.Decoder.GetChars($bytes, 0, $count, $characters, 0)
            $lines = ($Tail.Text + [string]::new($characters, 0, $made)).Split("`n")
            foreach ($line in $lines | Select-Object -SkipLast 1) { Send-Line $Tail $line }
            $Tail.Text = $lines[-1]
            if ($Tail.Text.Length -gt 1000) {
                Send-Line $Tail $Tail.Text
                $Tail.Text = ''
            }
        }
    } finally {
        $file.Close()
    }
    if ($Last) { Send-Line $Tail $Tail.Text }
}

# Runs a batch file of a step and returns its exit code; 258 (WAIT_TIMEOUT) where it was ended.
function Invoke-StepFile($Step, [string]$File, [long]$Seconds, [int]$Attempt) {
    $base = Join-Path $stepLogs "$File.$Attempt"
    Remove-Item -Path "$base.*" -Force -ErrorAction SilentlyContinue
    $arguments = '/d /s /c ""{0}" "{1}" "{2}""' -f (Join-Path $PSScriptRoot 'run.cmd'), $File, $base
    if ($Step.run_as -eq 'system') {
        $task = @{
            TaskName = $systemTask
            Action = New-ScheduledTaskAction -Execute 'cmd.exe' -Argument $arguments
            Principal = New-ScheduledTaskPrincipal -UserId 'S-1-5-18' -LogonType ServiceAccount -RunLevel Highest
            Settings = New-ScheduledTaskSettingsSet -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries -ExecutionTimeLimit ([TimeSpan]::Zero)
        }
        Register-ScheduledTask @task -Force | Out-Null
        Start-ScheduledTask -TaskName $systemTask
    } else {
        Start-Process -FilePath 'cmd.exe' -ArgumentList $arguments -WindowStyle Hidden
    }
    $tails = foreach ($stream in 'stdout', 'stderr') {
        @{
            Path = "$base.$stream.log"; Step = $Step.name; Stream = $stream; Offset = [long]0
            Text = ''; Sent = 0; Most = 1000; Decoder = [System.Text.Encoding]::UTF8.GetDecoder()
        }
    }
    $clock = [System.Diagnostics.Stopwatch]::StartNew()
    $code = 258
    while ($true) {
        $done = Test-Path -LiteralPath "$base.code"
        foreach ($tail in $tails) { Send-Output $tail }
        if ($done) {
            $code = [int](Get-Content -LiteralPath "$base.code" -TotalCount 1)
            break
        }
        if ($clock.Elapsed.TotalSeconds -gt $Seconds) {
            foreach ($process in Get-CimInstance -ClassName Win32_Process | Where-Object { $_.CommandLine -and $_.CommandLine.Contains($base) }) {
                & taskkill.exe /t /f /pid $process.ProcessId | Out-Null
            }
            break
        }
        Start-Sleep -Milliseconds 500
    }
    foreach ($tail in $tails) { Send-Output $tail -Last }
    return $code
}

function Send-Step($Step, [string]$State, [System.Collections.IDictionary]$More = @{}) {
    $payload = [ordered]@{ event = 'step'; name = $Step.name; number = $Step.number; state = $State }
    foreach ($key in $More.Keys) { $payload[$key] = $More[$key] }
    Send-Event $payload
}

function Send-Results($Step) {
    foreach ($output in @($Step.outputs)) {
        if (-not (Test-Path -LiteralPath $output.file)) {
            Send-Warning "step '$($Step.name)' left no $($output.file)"
            continue
        }
        $reader = New-Object System.IO.StreamReader -ArgumentList $output.file
        try {
            $characters = New-Object char[] 1000
            $text = [string]::new($characters, 0, $reader.ReadBlock($characters, 0, 1000))
        } finally {
            $reader.Close()
        }
        Send-Event ([ordered]@{ event = 'result'; step = $Step.name; name = $output.name; text = $text.TrimEnd() })
    }
}

# The next step is due: nothing of this one is done again.
function Complete-Step($State) {
    $State.next++
    $State.begun = 0
    Save-State $State
}

function Restart-Windows {
    & shutdown.exe /r /f /t 0 | Out-Null
    Stop-Transcript | Out-Null
    exit 0
}

# One step that runs something, until an attempt succeeds; throws when none does.
function Invoke-Step($Step, $State) {
    for ($attempt = 1; $true; $attempt++) {
        if ($State.begun -ge 3) {
            $State.begun = 0
            Save-State $State
            throw "step '$($Step.name)' was cut off three times by a restart of the machine"
        }
        $State.begun++
        Save-State $State
        Send-Step $Step 'start' ([ordered]@{ attempt = $attempt; timeout = $Step.seconds })
        $code = Invoke-StepFile $Step $Step.file $Step.seconds $attempt
        $more = [ordered]@{ exit_code = $code; attempt = $attempt }
        if ($code -in $Step.exit_codes) {
            if ($code -eq 3010) { $State.wanted = $true }
            if ($code -eq 1641) { $State.wanted = $false }
            Complete-Step $State
            Send-Results $Step
            Send-Step $Step 'end' $more
            if ($code -eq 1641) { Restart-Windows }
            return
        }
        $State.begun = 0
        Save-State $State
        if ($attempt -gt $Step.retries) {
            Send-Step $Step 'end' $more
            if ($code -eq 258) { throw "step '$($Step.name)' was ended after $($Step.seconds) s" }
            throw "step '$($Step.name)' exited $code"
        }
        Send-Step $Step 'retry' $more
        Start-Sleep -Seconds 10
    }
}

function Invoke-Steps {
    $steps = @((Get-Content -Raw -LiteralPath (Join-Path $PSScriptRoot 'steps\steps.json') | ConvertFrom-Json).steps)
    New-Item -Path $stepLogs -ItemType Directory -Force | Out-Null
    $state = Read-State
    Save-State $state
    while ($state.next -le $steps.Count) {
        $step = $steps[$state.next - 1]
        if ($step.condition -and $state.begun -eq 0) {
            $code = Invoke-StepFile $step $step.condition 300 1
            if ($code -notin 0, 1) {
                Send-Step $step 'end' @{ exit_code = $code; attempt = 0 }
                throw "the condition of step '$($step.name)' exited $code"
            }
            if ($code -eq 1) {
                Send-Step $step 'skip'
                Complete-Step $state
                continue
            }
        }
        if (-not $step.restart) {
            Invoke-Step $step $state
        } elseif ($step.restart -eq 'needed' -and -not $state.wanted) {
            Send-Step $step 'skip'
            Complete-Step $state
        } else {
            Send-Step $step 'start' @{ attempt = 1 }
            $state.wanted = $false
            Complete-Step $state
            Send-Step $step 'end' @{ exit_code = 0; attempt = 1 }
            Restart-Windows
        }
    }
}


Enter-Stage 'first-logon'
try {
    # Restarts among the steps need the logon again, so Windows has to keep the password until they are done.
    Set-ItemProperty -LiteralPath $winlogon -Name AutoAdminLogon -Value '1'
    Set-ItemProperty -LiteralPath $winlogon -Name AutoLogonCount -Type DWord -Value 999
    $continues = Test-Path -LiteralPath $stateFile
    Register-Continuation

    Enter-Stage 'steps'
    Invoke-Steps
    $stage = 'first-logon'
} catch {
    Set-Failure $_
}

# Always, also after a failure: no answers stay in the machine.
Enter-Stage 'cleanup'
try {
    # A step that failed is run again after a restart (`provisioner up --resume`), which needs these.
    $resumable = $true -and $null -ne $failure -and $failure.stage -eq 'steps'
    if (-not $resumable) { Remove-Continuation }
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
Send-Event ([ordered]@{ event = 'ready' })
Stop-Transcript | Out-Null
