"""An answer file of the user's own on the command line: read, linted, packed as it is."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.unit.answers.answer_files import GOOD
from tests.unit.cli.program import Home
from tests.unit.cli.test_new import disc
from tests.unit.media.discs import CLIENT

PROFILE = """\
name: mine
media: {install: Win11.iso}
windows: {product: windows-11, edition: Professional, answer_file: files/mine.xml}
machine: {firmware: uefi, tpm: false, ready: {when: power-off}}
"""
BROKEN = GOOD.replace("<HideEULAPage>", "<HideEulaPages>").replace(
    "</HideEULAPage>", "</HideEulaPages>"
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder: Path = tmp_path_factory.mktemp("own")
    home = Home(folder / "home")
    disc(folder, CLIENT, ("en-US", "de-DE")).rename(home.work / "Win11.iso")
    (home.work / "profiles/files").mkdir(parents=True)
    (home.work / "profiles/files/mine.xml").write_text(GOOD)
    (home.work / "profiles/files/broken.xml").write_text(BROKEN)
    text = PROFILE.replace("Win11.iso", "../Win11.iso")
    text = text.replace(
        "product: windows-11", "product: windows-11, hardware_checks: bypass, owner: Me"
    )
    (home.work / "profiles/mine.yaml").write_text(text)
    return home


def test_check(home: Home) -> None:
    done = home.run("check", "profiles/mine.yaml")
    assert done.returncode == 0, done
    assert "warning[windows.answer-file-alone]" in done.stderr
    assert "these keys of `windows` do nothing: owner\n" in done.stderr
    assert "note[windows.answer-file-stays]" in done.stderr


@pytest.mark.parametrize("command", ["check", "render", "build"])
def test_what_setup_stops_at_is_refused(home: Home, command: str) -> None:
    output = () if command == "check" else ("-o", f"refused-{command}")
    done = home.run(
        command,
        "profiles/mine.yaml",
        *output,
        "--set",
        "windows.answer_file=profiles/files/broken.xml",
    )
    assert done.returncode == 2, done
    assert "error[lint.unknown-setting]" in done.stderr
    assert "files/broken.xml:" in done.stderr, "the place is in the user's file"
    assert not (home.work / f"refused-{command}").exists()


def test_packed_unchanged(home: Home) -> None:
    assert home.run("render", "profiles/mine.yaml", "-o", "out").returncode == 0
    assert (home.work / "out/Autounattend.xml").read_bytes() == GOOD.encode()
    assert not (home.work / "out/provision/first-logon.ps1").exists()
    done = home.run("build", "profiles/mine.yaml", "-o", "discs")
    assert done.returncode == 0, done
    read = subprocess.run(
        ["7z", "x", "-so", str(home.work / "discs/mine-answers.iso"), "Autounattend.xml"],
        capture_output=True,
        check=True,
    )
    assert read.stdout == GOOD.encode()


def test_no_such_file(home: Home) -> None:
    done = home.run("check", "profiles/mine.yaml", "--set", "windows.answer_file=nothing.xml")
    assert done.returncode == 2, done
    assert "error[windows.answer-file]" in done.stderr
    assert "nothing.xml: no such file" in done.stderr


def test_readiness_has_to_be_said(home: Home) -> None:
    done = home.run("check", "profiles/mine.yaml", "--set", "machine.ready=null")
    assert done.returncode == 2, done
    assert "error[windows.answer-file-ready]" in done.stderr
