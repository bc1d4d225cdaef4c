"""Commands and driver paths: what Windows does with them, and what not.

Sources: windows-setup.md §3.8 to §3.10, §4.6, §5.4, §8.4.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from provisioner.answers.lint.answerfile import AnswerFile
from provisioner.answers.lint.document import Element
from provisioner.answers.lint.findings import Finding, error, note, warning
from provisioner.answers.lint.targets import CONX, WINDOWS_10
from provisioner.pattern import pattern

SAFE_IN_WINDOWS_PE = 255
"""What unattend-generator keeps to; the reference gives no limit for windowsPE (§3.8)."""
LAB_CONFIG = ("BypassTPMCheck", "BypassSecureBootCheck", "BypassRAMCheck")
_FOLKLORE = pattern(r"LabConfig.{0,200}\b(Bypass(?:CPU|Storage|Disk)Check)\b", re.IGNORECASE)
_SHELL = pattern(r"(?:^|[\\/])(?:cmd|powershell|pwsh)(?:\.exe)?$", re.IGNORECASE)
_QUOTED = pattern(r'"[^"]*"')
_OPERATOR = pattern(r"&&|\|\||[|<>]|(?<!\^)&")
_REBOOTS = pattern(
    r"\bshutdown(?:\.exe)?\s+[-/][rs]\b|\bwpeutil(?:\.exe)?\s+(?:reboot|shutdown)\b"
    r"|\b(?:Restart|Stop)-Computer\b",
    re.IGNORECASE,
)
_LETTER = pattern(r"^\s*([A-Za-z]):[\\/]")
_PASSWORD = pattern(
    r"\bnet1?(?:\.exe)?\s+user\s+\S+\s+(?![/*])\S"
    r"|(?:/|--?)(?:p|password|pass|pw)[:=]\S"
    r"|\bConvertTo-SecureString\b(?=.*-AsPlainText)"
    r"|\bDefaultPassword\b.*?/d\s+\S",
    re.IGNORECASE,
)


def check(file: AnswerFile) -> Iterator[Finding]:
    """Every command of every pass, then the driver paths."""
    for path in ("RunSynchronous/RunSynchronousCommand", "RunAsynchronous/RunAsynchronousCommand"):
        for element in file.all("Setup", f"{path}/Path", "windowsPE"):
            yield from _command(element, "windowsPE")
            yield from _windows_pe(element)
        for element in file.all("Deployment", f"{path}/Path"):
            yield from _command(element, "specialize")
            yield from _deployment(element)
    logon = "FirstLogonCommands/SynchronousCommand"
    for element in file.all("Shell-Setup", f"{logon}/CommandLine"):
        yield from _command(element, "logon")
        yield from _first_logon(file, element)
    for element in file.all("Shell-Setup", "LogonCommands/AsynchronousCommand/CommandLine"):
        yield from _command(element, "logon")
    yield from _several_first_logon_commands(file)
    yield from _drivers(file)


def holds_password(line: str) -> bool:
    """Whether a command line looks as if a password stood in it."""
    return _PASSWORD.search(line) is not None


def _command(element: Element, where: str) -> Iterator[Finding]:
    line = element.value
    if not line or "\n" in line:
        return
    program = _program(line)
    bare = _QUOTED.sub('""', line)
    if line.count('"') % 2 and not _SHELL.search(program):
        yield warning(
            "lint.command",
            element,
            "an odd number of double quotes",
            "Setup has stopped with an internal error at lines like this; close the quote",
        )
    elif not _SHELL.search(program) and (operator := _OPERATOR.search(bare)):
        yield warning(
            "lint.command",
            element,
            f"{operator[0]} means nothing here: no shell reads this line",
            'put it into a shell: cmd.exe /c "..."',
        )
    elif program.lower().endswith((".ps1", ".msi", ".vbs", ".reg")):
        suffix = program.lower().rpartition(".")[2]
        starter = {
            "ps1": "powershell.exe -NoProfile -ExecutionPolicy Bypass -File",
            "msi": "msiexec.exe /i",
            "vbs": "cscript.exe",
            "reg": "reg.exe import",
        }[suffix]
        yield warning(
            "lint.command",
            element,
            f"a .{suffix} file is no program that Windows can start",
            f"begin with {starter}",
        )
    if holds_password(line):
        yield note(
            "lint.secret-in-command",
            element,
            "a password seems to stand in this command; command lines are written to Setup's logs",
            "let a script on the medium hold it, and delete that",
        )
    if where != "logon" and (found := _FOLKLORE.search(line)):
        yield note(
            "lint.lab-config",
            element,
            f"{found[1]} does not exist and does nothing",
            f"the values that exist are {', '.join(LAB_CONFIG)}",
        )


def _windows_pe(element: Element) -> Iterator[Finding]:
    line = element.value
    if len(line) > SAFE_IN_WINDOWS_PE:
        yield warning(
            "lint.command-length",
            element,
            f"{len(line)} characters; nothing above {SAFE_IN_WINDOWS_PE} is known to be safe "
            "in windowsPE",
            "put the command into a script on the medium, and start that",
        )
    if _REBOOTS.search(line):
        yield warning(
            "lint.command-reboots",
            element,
            "a command of windowsPE must not restart or turn off the machine",
            "use the setting Restart, or do it in specialize with WillReboot",
        )


def _deployment(element: Element) -> Iterator[Finding]:
    line = element.value
    if re.search(r"\bsysprep(?:\.exe)?\b.*[-/](?:generalize|oobe|audit)\b", line, re.IGNORECASE):
        yield warning(
            "lint.command",
            element,
            "sysprep is not supported from RunSynchronous",
            "use Deployment/Generalize in auditUser, or a first-logon command",
        )
    if _REBOOTS.search(line):
        yield warning(
            "lint.command-reboots",
            element,
            "a restart from inside the pass leaves it unfinished",
            "set WillReboot of the command to Always or OnRequest",
        )


def _first_logon(file: AnswerFile, element: Element) -> Iterator[Finding]:
    line = element.value
    if re.search(r"\bwinget(?:\.exe)?\s+(?:install|upgrade|import|source)\b", line, re.IGNORECASE):
        yield note(
            "lint.command-winget",
            element,
            "winget is often not registered yet at the first logon and then does nothing",
            "wait until Get-Command winget finds it, or run it later",
        )
    if re.search(r"\bvirtio-win-guest-tools(?:\.exe)?\b", line, re.IGNORECASE):
        found = warning if file.purpose.since(CONX) else note
        yield found(
            "lint.command-guest-tools",
            element,
            "the bundle virtio-win-guest-tools.exe has hung on Windows 11 24H2",
            "install virtio-win-gt-x64.msi and qemu-ga-x86_64.msi with msiexec /qn /norestart",
        )


def _several_first_logon_commands(file: AnswerFile) -> Iterator[Finding]:
    commands = list(file.all("Shell-Setup", "FirstLogonCommands/SynchronousCommand", "oobeSystem"))
    if len(commands) < 2 or file.purpose.before(WINDOWS_10):
        return
    found = warning if file.purpose.since(WINDOWS_10) else note
    yield found(
        "lint.first-logon-commands",
        commands[1],
        f"{len(commands)} first-logon commands: since Windows 10 they are documented to start "
        "all at once",
        "keep one, which starts a script that does everything in order",
    )


def _drivers(file: AnswerFile) -> Iterator[Finding]:
    lettered: list[Element] = []
    for component in ("PnpCustomizationsWinPE", "PnpCustomizationsNonWinPE"):
        for item in file.all(component, "DriverPaths/PathAndCredentials"):
            path = item.find("Path")
            if path is None:
                yield error(
                    "lint.driver-path",
                    item,
                    "PathAndCredentials without a Path",
                    "give the folder of the drivers",
                )
            elif (found := _LETTER.match(path.value)) and found[1].upper() not in "CX":
                lettered.append(path)
    if lettered:
        more = f", and {len(lettered) - 1} more like it" if len(lettered) > 1 else ""
        yield note(
            "lint.driver-letter",
            lettered[0],
            f"drive letters follow the order of the drives, which differs between hosts{more}",
            "put the drivers into $WinPEDriver$ at the root of a medium: Setup loads them from "
            "any drive",
        )


def _program(line: str) -> str:
    if line.startswith('"'):
        return line[1:].partition('"')[0]
    return line.split(maxsplit=1)[0]
