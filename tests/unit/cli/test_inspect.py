"""`inspect` and `library` as a person or a program calls them."""

from __future__ import annotations

import hashlib
import json
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.unit.cli.program import Home
from tests.unit.media.discs import CLIENT, PE, WINDOWS_FILES, make_bridge, make_wim

MEMTEST = Path("/usr/lib/memtest86+/memtest86+x64.iso")


@pytest.fixture(scope="session")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("windows")
    install = make_wim(folder / "install.wim", CLIENT, extra=["--check"])
    files: dict[str, bytes | Path] = {
        **WINDOWS_FILES,
        "sources/boot.wim": make_wim(folder / "boot.wim", PE),
        "sources/install.wim": install,
        "sources/pid.txt": b"[PID]\r\nValue=VK7JG-NPHTM-C97JM-9MPGT-3V66T\r\n",
    }
    return make_bridge(folder / "Win11.iso", files)


@pytest.fixture
def home(tmp_path: Path, windows: Path) -> Home:
    home = Home(tmp_path / "h")
    shutil.copy(windows, home.work / "Win11.iso")
    return home


def test_a_page_for_people(home: Home) -> None:
    done = home.run("inspect", "Win11.iso")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Windows 11 24H2 installation disc, build 26100.1742, amd64")
    assert "Windows 11 Pro shown" in done.stdout
    assert "answers inside none" in done.stdout
    assert "VK7JG" not in done.stdout


def test_facts_for_programs(home: Home) -> None:
    (event,) = home.events("inspect", "Win11.iso", "--sha256", "--map", "--verify")
    content = (home.work / "Win11.iso").read_bytes()
    assert event["event"] == "medium"
    assert (event["kind"], event["product"], event["build"]) == (
        "windows-setup",
        "windows-11",
        26100,
    )
    assert event["sha256"] == hashlib.sha256(content).hexdigest()
    assert 0 < event["bytes_read"] < 4_000_000
    assert [edition["index"] for edition in event["editions"]] == [1, 2, 3]
    assert event["boot"][1]["asks_for_key"] is True
    assert event["map"]["size"] == len(content)
    assert {"path": "sources/install.wim", "sound": True, "text": event["checks"][1]["text"]} in (
        event["checks"]
    )
    assert event["preset"]["key"] == "XXXXX-XXXXX-XXXXX-XXXXX-3V66T"


def test_damage_that_verify_finds(home: Home) -> None:
    path = home.work / "Win11.iso"
    data = bytearray(path.read_bytes())
    at = data.rindex(b"MSWIM\0\0\0")
    data[at + 300] ^= 0xFF
    path.write_bytes(data)
    done = home.run("inspect", "Win11.iso", "--verify")
    assert done.returncode == 3
    assert "✘ sources/install.wim: 1 of 1 chunk damaged" in done.stdout


@pytest.mark.parametrize("order", [("Win11.iso", "--map"), ("--map", "Win11.iso")])
def test_a_map_in_the_terminal(home: Home, order: Sequence[str]) -> None:
    done = home.run("inspect", *order)
    assert done.returncode == 0
    assert "  in order " in done.stdout
    assert "boot catalog" in done.stdout


def test_a_map_as_a_file(home: Home) -> None:
    done = home.run("inspect", "Win11.iso", "--map", "disc.svg")
    assert done.returncode == 0
    assert "drawn: " in done.stderr
    ET.fromstring((home.work / "disc.svg").read_bytes())
    assert sorted(path.name for path in home.work.iterdir()) == ["Win11.iso", "disc.svg"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "no image is given"),
        (("missing.iso",), 3, "does not exist"),
        (("Win11.iso", "--map", "disc.png"), 2, "does not end in .svg"),
        (("Win11.iso", "--map", "nowhere/disc.svg"), 3, "no folder"),
        (("link.svg", "--map", "link.svg"), 5, "would be replaced"),
    ],
)
def test_what_does_not_work(home: Home, arguments: Sequence[str], code: int, said: str) -> None:
    (home.work / "link.svg").symlink_to("Win11.iso")
    before = (home.work / "Win11.iso").read_bytes()
    done = home.run("inspect", *arguments)
    assert done.returncode == code, done
    assert said in done.stderr
    assert (home.work / "Win11.iso").read_bytes() == before


def test_a_hostile_name_does_not_steer_the_terminal(home: Home) -> None:
    name = "\x1b[31mevil\u202e.iso"
    (home.work / name).write_bytes(MEMTEST.read_bytes())
    done = home.run("library", "add", name)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr
    assert "\\x1b[31mevil\\u202e.iso" in done.stdout


def test_the_library_from_beginning_to_end(home: Home) -> None:
    assert "is empty" in home.run("library", "list").stderr
    done = home.run("library", "add", "Win11.iso", str(MEMTEST))
    assert done.returncode == 0
    assert "Windows 11 24H2 installation disc" in done.stdout
    first, second = home.events("library", "list")
    assert (first["product"], first["standing"]) == ("windows-11", "ok")
    assert second["product"] is None
    shutil.move(home.work / "Win11.iso", home.work / "moved.iso")
    assert "moved to" in home.run("library", "list").stdout
    done = home.run("library", "verify", first["id"])
    assert done.returncode == 0
    assert "it is now" in done.stdout
    with (home.work / "moved.iso").open("ab") as stream:
        stream.write(b"more")
    done = home.run("library", "verify")
    assert done.returncode == 3
    assert "changed: it is not the disc that was added" in done.stdout
    assert home.run("library", "remove", first["id"]).returncode == 0
    assert (home.work / "moved.iso").exists()
    assert [event["id"] for event in home.events("library", "list")] == [second["id"]]
    assert home.run("list").stdout == ""  # no machine


def test_unknown_media(home: Home) -> None:
    for verb in ("remove", "verify"):
        done = home.run("library", verb, "nothing")
        assert done.returncode == 2
        assert "has no medium 'nothing'" in done.stderr
    assert home.run("library").returncode == 2
    assert json.loads(home.run("library", "add", "no.iso", "--json").stdout)["exit_code"] == 3
