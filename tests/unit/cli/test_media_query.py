"""A profile that says what has to be on its disc: the library finds the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.store.library import Library, folder_of
from tests.unit.cli.program import Home, members
from tests.unit.store.test_library import windows

PROFILE = """\
extends: windows-11
media:
  install: {product: windows-11, build: "%s", language: en-US}
windows: {administrator: {password: {generate: 20}}}
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    disc = windows(home.work / "isos", "new")
    windows(home.work / "isos", "old", build=22631)
    library = Library(folder_of(home.state))
    library.add(disc, now=1.0)
    library.add(disc.with_name("old.iso"), now=1.0)
    return home


def profile(home: Home, build: str = ">=26100") -> str:
    (home.work / "dev.yaml").write_text(PROFILE % build)
    return "dev.yaml"


def messages(home: Home, *arguments: str) -> dict[str, str]:
    found = members(home.events("check", profile(home), *arguments), "problem")
    return {str(each["rule"]): str(each["message"]) for each in found}


def test_the_disc_is_found_and_looked_at(home: Home) -> None:
    sets = ("--set", "windows.edition=Nothing")
    assert "is not on new.iso" in messages(home, *sets)["media.edition"]
    older = (*sets, "--set", 'media.install.build="<26100"')
    assert "is not on old.iso" in messages(home, *older)["media.edition"]
    named = (*sets, "--media", "install=isos/old.iso")
    assert "is not on old.iso" in messages(home, *named)["media.edition"]


def test_a_moved_disc_is_used_and_told(home: Home) -> None:
    (home.work / "isos/new.iso").rename(home.work / "isos/renamed.iso")
    found = messages(home, "--set", "windows.edition=Nothing")
    assert found["media.moved"].endswith("isos/renamed.iso now")
    assert "is not on renamed.iso" in found["media.edition"]


def test_none_fits_and_the_line_is_shown(home: Home) -> None:
    done = home.run("check", profile(home, ">=30000"))
    assert done.returncode == 3
    assert (
        "dev.yaml:3:12: error: the library has no medium that is windows-11, build >=30000, en-US"
        in done.stderr
    )
    assert "new.iso: build 26100.1742 is not >=30000" in done.stderr
