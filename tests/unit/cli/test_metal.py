"""Profiles of physical PCs: what can be made of them now, and what is refused with a way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.program import Home
from tests.unit.cli.test_new import disc
from tests.unit.media.discs import CLIENT

PROFILE = """\
extends: usb-laptop
media: {install: Win11.iso}
metal: {firmware: uefi} # the loader on this disc is not signed
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder: Path = tmp_path_factory.mktemp("metal")
    home = Home(folder / "home")
    disc(folder, CLIENT, ("en-US", "de-DE")).rename(home.work / "Win11.iso")
    (home.work / "maya.yaml").write_text(PROFILE)
    return home


@pytest.mark.parametrize("command", ["up", "plan"])
def test_no_machine_is_made_of_it(home: Home, command: str) -> None:
    done = home.run(command, "maya.yaml")
    assert done.returncode == 2, done
    assert "maya describes a physical PC (`metal`)" in done.stderr
    assert "render --reveal" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("more", [(), ("--host",)])
def test_check(home: Home, more: tuple[str, ...]) -> None:
    done = home.run("check", "maya.yaml", *more)
    assert done.returncode == 0, done
    assert ("libvirt was not asked" in done.stderr) == bool(more)


def test_defaults_for_machines_do_not_make_it_one(home: Home) -> None:
    home.config.parent.mkdir(parents=True, exist_ok=True)
    home.config.write_text("pool: fast\nmedia: {drivers: ~/virtio-win.iso}\n")
    try:
        done = home.run("check", "maya.yaml")
    finally:
        home.config.unlink()
    assert done.returncode == 0, done
    assert "drivers" not in done.stderr


def test_render(home: Home) -> None:
    done = home.run("render", "maya.yaml", "-o", "answers", "--reveal")
    assert done.returncode == 0, done
    files = {str(p.relative_to(home.work / "answers")) for p in (home.work / "answers").rglob("*")}
    assert {"Autounattend.xml", "provision/first-logon.ps1", "provision/machine-maya"} <= files
    assert "DiskID" not in (home.work / "answers/Autounattend.xml").read_text()
    printed = home.run("secret", "maya", "user")
    assert printed.returncode == 0 and len(printed.stdout.strip()) == 20


def test_build_makes_no_overlay(home: Home) -> None:
    done = home.run("build", "maya.yaml", "-o", "discs")
    assert done.returncode == 0, done
    assert [p.name for p in (home.work / "discs").iterdir()] == ["maya-answers.iso"]
    assert "a physical PC starts from the install disc itself" in done.stderr
