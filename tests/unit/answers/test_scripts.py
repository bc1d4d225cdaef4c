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
