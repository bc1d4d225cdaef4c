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


def test_the_parser_sees_errors() -> None:
    assert SCRIPTS
    assert broken("if ($a { 1 }")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.parts[-3])
def test_no_program_waits_without_a_limit(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("Start-Process") == 2, "only Invoke-Bounded starts programs"
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
            "Enter-Stage 'drivers'",
            "steps\\01-tools-folder.ps1",
            "Transport HTTPS",
            "Enter-Stage 'cleanup'",
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
    assert f"-bxor {0xEDB88320}" in text
    assert text.count(str(0xFFFFFFFF)) == 2
