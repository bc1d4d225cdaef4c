"""Every script that is rendered parses as PowerShell, and speaks the protocol's checksum."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tree_sitter_powershell
from tree_sitter import Language, Node, Parser

from provisioner.resources import shipped_folder
from provisioner.templating import Templates

GOLDEN = Path(__file__).parents[2] / "golden/answers"
SCRIPTS = sorted(GOLDEN.rglob("first-logon.ps1"))
STEPS = sorted(GOLDEN.rglob("steps/*.ps1"))
BATCHES = sorted(GOLDEN.rglob("*.cmd"))
PARSER = Parser(Language(tree_sitter_powershell.language()))


def broken(source: str) -> list[str]:
    """What the grammar makes no sense of."""
    found: list[str] = []
    nodes: list[Node] = [PARSER.parse(source.encode()).root_node]
    while nodes:
        node = nodes.pop()
        if node.type == "ERROR" or node.is_missing:
            found.append(f"line {node.start_point.row + 1}: {(node.text or b'')[:60]!r}")
        nodes.extend(node.children)
    return found


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.parts[-3])
def test_parses(path: Path) -> None:
    assert broken(path.read_text(encoding="utf-8")) == []


def test_steps_parse() -> None:
    """The scripts of steps, and what their batch files hand to powershell.exe."""
    assert STEPS
    for path in STEPS:
        assert broken(path.read_text(encoding="utf-8")) == [], path
    commands = [
        (path, command)
        for path in BATCHES
        for command in re.findall(r'-Command "(.*)"$', path.read_text("utf-8"), re.MULTILINE)
    ]
    assert len(commands) >= 3
    for path, command in commands:
        assert '"' not in command, path
        assert broken(command.replace("%~dp0", "E:\\provision\\steps\\")) == [], path


def test_the_parser_sees_errors() -> None:
    assert SCRIPTS
    assert broken("if ($a { 1 }")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.parts[-3])
def test_no_program_waits_without_a_limit(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    starters = 3 if "function Invoke-StepFile" in text else 2
    assert text.count("Start-Process") == starters, "only two functions start programs"
    assert "virtio-win-guest-tools" not in text, "the bundle hangs on 24H2"
    assert not re.search(r"['\" ][D-Z]:\\", text), "no drive letters of ours"


OLD_SCRIPTS = [
    path for path in SCRIPTS if re.search(r"windows-(7|8\.1|server-20(08|12)-r2)", path.parts[-3])
]
TOO_NEW = (
    r"\[ordered\]",  # 3.0
    r"ConvertTo-Json|ConvertFrom-Json",  # 3.0
    r"(?i)\s-(not)?in\s",  # 3.0
    r"(?i)\s-sh[lr]\s",  # 3.0
    r"-bxor|-band",  # of 32 bits only, before 3.0
    r"Get-ChildItem[^\n]*\s-File\b",  # 3.0
    r"PSScriptRoot",  # in modules only, before 3.0
    r"LocalUser|NetFirewall|NetConnectionProfile|SelfSignedCertificate",  # 5.1, 8
    r"GetDrives\(\)\.Name",  # members of every item: 3.0
    r"::new\(",  # 5.0
    r"pnputil",  # /add-driver: 10 1607; before, it asks whether to trust the publisher
    r"Start-Transcript -LiteralPath",  # 3.0
)


@pytest.mark.parametrize("path", OLD_SCRIPTS, ids=lambda path: path.parts[-3])
def test_old_windows_gets_nothing_it_does_not_know(path: Path) -> None:
    """Windows PowerShell 2.0 of Windows 7 (windows-setup.md §13); nobody could run it here."""
    text = path.read_text(encoding="utf-8")
    text += (path.parents[1] / "Autounattend.xml").read_text(encoding="utf-8")
    assert [pattern for pattern in TOO_NEW if re.search(pattern, text)] == []


def test_a_new_script_would_be_seen() -> None:
    text = (GOLDEN / "every-field/provision/first-logon.ps1").read_text(encoding="utf-8")
    found = [pattern for pattern in TOO_NEW if re.search(pattern, text)]
    assert len(found) >= 7
    assert len(OLD_SCRIPTS) >= 9


def test_the_order_of_a_first_logon() -> None:
    """Cleanup always, the agent after it, `ready` last."""
    text = (GOLDEN / "every-field/provision/first-logon.ps1").read_text()
    places = [
        text.index(mark)
        for mark in (
            "    Register-Continuation\n",
            "Enter-Stage 'drivers'",
            "    Invoke-Steps\n",
            "Transport HTTPS",
            "Enter-Stage 'cleanup'",
            "{ Remove-Continuation }",
            "Panther\\unattend.xml",
            "Enter-Stage 'agent'",
            "Send-Event $failure",
            "event = 'ready'",
        )
    ]
    assert places == sorted(places)


def test_checksum_constants() -> None:
    """CRC-32's polynomial and start value, in decimal because PowerShell 5.1 reads the hexadecimal
    ones as negative."""
    source = Templates([shipped_folder() / "templates"])
    assert "windows/scripts/first-logon.ps1.j2" in source.names()
    text = SCRIPTS[0].read_text()
    assert text.count(f"-bxor {0xEDB88320}") == 1
    assert text.count(str(0xFFFFFFFF)) == 2


CMDLETS = frozenset(
    [
        "Add-Type",
        "ConvertFrom-Json",
        "ConvertTo-Json",
        "Copy-Item",
        "Disable-LocalUser",
        "Disable-NetFirewallRule",
        "Enable-LocalUser",
        "Enable-PSRemoting",
        "Expand-Archive",
        "ForEach-Object",
        "Get-ChildItem",
        "Get-CimInstance",
        "Get-Content",
        "Get-Date",
        "Get-FileHash",
        "Get-ItemProperty",
        "Get-LocalUser",
        "Get-NetConnectionProfile",
        "Get-NetFirewallRule",
        "Get-ScheduledTask",
        "Get-Service",
        "Get-WmiObject",
        "Join-Path",
        "New-Item",
        "New-ItemProperty",
        "New-NetFirewallRule",
        "New-Object",
        "New-ScheduledTaskAction",
        "New-ScheduledTaskPrincipal",
        "New-ScheduledTaskSettingsSet",
        "New-ScheduledTaskTrigger",
        "New-SelfSignedCertificate",
        "Out-Null",
        "Out-String",
        "Register-ScheduledTask",
        "Remove-Item",
        "Remove-ItemProperty",
        "Remove-NetFirewallRule",
        "Restart-Service",
        "Select-Object",
        "Set-Content",
        "Set-ItemProperty",
        "Set-NetConnectionProfile",
        "Set-Service",
        "Split-Path",
        "Start-Process",
        "Start-ScheduledTask",
        "Start-Service",
        "Start-Sleep",
        "Start-Transcript",
        "Stop-Transcript",
        "Test-Path",
        "Unregister-ScheduledTask",
        "Where-Object",
        "Write-Host",
    ]
)
"""Cmdlets of Windows PowerShell 5.1 and the modules every Windows has, as far as they are used."""

AUTOMATIC = frozenset(
    {"$_", "$args", "$null", "$true", "$false", "$PSScriptRoot", "$LASTEXITCODE"}
    | {"$ErrorActionPreference", "$MyInvocation", "$ProgressPreference"}
)


def nodes_of(source: str, kind: str) -> list[Node]:
    """All nodes of a kind, in no order."""
    found, waiting = [], [PARSER.parse(source.encode()).root_node]
    while waiting:
        node = waiting.pop()
        found += [node] if node.type == kind else []
        waiting += node.children
    return found


def texts(nodes: list[Node]) -> set[str]:
    return {(node.text or b"").decode() for node in nodes}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.parts[-3])
def test_every_command_exists(path: Path) -> None:
    """No PowerShell is at hand to complain of a misspelt one."""
    source = path.read_text(encoding="utf-8")
    ours = texts(nodes_of(source, "function_name"))
    commands = {name for name in texts(nodes_of(source, "command_name")) if "-" in name}
    assert commands <= CMDLETS | ours, sorted(commands - CMDLETS - ours)
    if path.parts[-3] == "every-field":
        assert ours <= commands, "a function that nobody calls"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.parts[-3])
def test_every_variable_is_given_a_value(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    given = {
        name.lower()
        for pattern in (
            r"\$(?:script:)?(\w+) (?:=|\+=)",
            r"\$(?:script:)?(\w+)\+\+",
            r"foreach \(\$(\w+) in",
            r"[(,] ?(?:\[[\w.\[\]]+\])?\$(\w+)(?: = [^,)]+)?(?=[,)])",
        )
        for name in re.findall(pattern, source)
    }
    used = {
        name.removeprefix("$script:").removeprefix("$").removeprefix("@").lower()
        for name in texts(nodes_of(source, "variable")) - AUTOMATIC
        if not name.startswith("$env:")
    }
    assert used <= given, sorted(used - given)


def test_no_function_overwrites_its_parameters_by_another_spelling() -> None:
    """PowerShell knows no case: `$step` inside is the parameter `$Step`."""
    source = (GOLDEN / "every-field/provision/first-logon.ps1").read_text(encoding="utf-8")
    functions = nodes_of(source, "function_statement")
    assert len(functions) > 15
    for function in functions:
        text = (function.text or b"").decode()
        head = text.partition("{")[0]
        parameters = {name.lower() for name in re.findall(r"\$(\w+)", head)}
        body = text.partition("{")[2]
        assigned = re.findall(r"(?<![.\w:])\$(\w+) (?:=|\+=)|foreach \(\$(\w+) in", body)
        overwritten = {name.lower() for pair in assigned for name in pair if name} & parameters
        assert not overwritten, f"{head.strip()}: {sorted(overwritten)}"
