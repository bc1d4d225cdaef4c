"""`check`: the mistakes of a profile and those between it and its disc are told at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.sandbox import SIGNED_LOADER
from tests.unit.cli.program import Home
from tests.unit.media.discs import CLIENT, PE, WINDOWS_FILES, make_bridge, make_wim


@pytest.fixture(scope="module")
def disc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disc of Windows 11 in en-US."""
    folder = tmp_path_factory.mktemp("disc")
    files: dict[str, bytes | Path] = {
        **WINDOWS_FILES,
        "sources/install.wim": make_wim(folder / "install.wim", CLIENT),
        "sources/boot.wim": make_wim(folder / "boot.wim", PE),
        "efi/boot/bootx64.efi": SIGNED_LOADER,
    }
    return make_bridge(folder / "disc.iso", files)


def rules(folder: Path, disc: Path, *lines: str) -> list[str]:
    """The rules that `check` names, for windows-11 with these lines below `windows:`."""
    home = Home(folder=folder / "h")
    text = f"extends: windows-11\nmedia: {{install: {disc}}}\nwindows:\n"
    (home.work / "m1.yaml").write_text(text + "".join(f"  {line}\n" for line in lines))
    found = home.events("check", "m1.yaml")
    return [event["rule"] for event in found if event["event"] == "problem"]


EDITION, KEYBOARD = "edition: Profesional", "locale: {keyboard: de-GE}"
NAME = "computer_name: ABCDEFGHIJKLMNOP"


def test_all_at_once(tmp_path: Path, disc: Path) -> None:
    found = rules(tmp_path, disc, EDITION, KEYBOARD, NAME)
    assert sorted(found) == ["media.edition", "windows.computer-name", "windows.keyboard"]


def test_nothing_is_said_about_what_could_not_be_read(tmp_path: Path, disc: Path) -> None:
    """An edition that is no text is not looked for on the disc."""
    assert rules(tmp_path, disc, "edition: [Pro]", KEYBOARD) == ["profile.type", "windows.keyboard"]


def test_a_disc_that_cannot_be_read_does_not_hide_them(tmp_path: Path) -> None:
    assert rules(tmp_path, tmp_path / "none.iso", KEYBOARD) == ["windows.keyboard"]


def test_a_file_that_cannot_be_read_ends_it(tmp_path: Path, disc: Path) -> None:
    """What the unread half says is not known: the disc is not compared with the other half."""
    assert rules(tmp_path, disc, EDITION, "  bad: [") == ["yaml.syntax"]
