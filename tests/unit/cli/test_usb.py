"""`provisioner usb ...` as people and programs meet it, on sticks in memory."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.program import Home, members, plain
from tests.unit.cli.usb_program import SIZE, scene_of

STICK = "usb-SanDisk_Ultra_4C530001"
IMAGE = b"\x33" * 700_000 + b"the end".ljust(324)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home")
    (found.work / "a.img").write_bytes(IMAGE)
    return found


def program(**scene: Any) -> tuple[str, ...]:
    return (sys.executable, "-m", "tests.unit.cli.usb_program", json.dumps(scene))


def run(home: Home, *arguments: str, **scene: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*program(**scene), "usb", *arguments],
        env=home.environment(),
        cwd=home.work,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def words(text: str) -> str:
    return " ".join(plain(text).split())


CODES = [
    (("list",), {}, 0, f"{STICK} 80 MiB SanDisk Ultra, serial 4C530001, usb, /dev/sdc"),
    (("list",), {"disk": {"mounted": "/media/x"}}, 0, "refused: /dev/sdc is mounted: sdc1"),
    (("list",), {"disk": {"size": 0}}, 0, "usb-Kingston_DataTraveler_20060413AA"),
    (("write", "a.img"), {}, 2, "no stick is named, and none is picked for you"),
    (("write", "a.img", "--to", "sdc"), {}, 5, "the next stick may have"),
    (("write", "a.img", "--to", "nothing"), {}, 5, "no disk here is named nothing"),
    (("write", "a.img", "--to", STICK), {}, 5, "nobody is here to confirm"),
    (("write", "a.img", "--to", STICK, "--erase", "4C53"), {}, 5, "4C53 was confirmed"),
    (("write", "a.img", "--to", STICK, "--to", "4C530001"), {}, 2, "named twice"),
    (("write", "a.img", "--to", STICK, "--erase", "4C530001", "--erase", "X"), {}, 2, "names no"),
    (("write", "no.img", "--to", STICK, "--erase", "4C530001"), {}, 3, "does not exist"),
    (("write", "a.img", "--to", STICK, "--bmap", "a", "--no-bmap"), {}, 2, "exclude each other"),
    (("write", "a.img", "--to", STICK, "--erase", "4C530001"), {}, 0, "every byte was read back"),
    (("write", "a.img", "--to", STICK, "--erase", "4C530001"),
     {"disk": {"mounted": "/media/x"}}, 5, "is mounted: sdc1 is mounted at /media/x"),
    (("write", "a.img", "--to", STICK, "--erase", "4C530001", "--unmount"),
     {"disk": {"mounted": "/media/x"}}, 0, "every byte was read back"),
    (("write", "a.img", "--to", STICK, "--erase", "4C530001"),
     {"disk": {"transport": "ata", "removable": False}}, 5, "--fixed-disk"),
    (("write", "a.img", "--to", STICK, "--erase", "4C530001"),
     {"faults": {"real": 2**25}}, 5, "at most 32 MiB are real; /dev/sdc is as it was before"),
    (("write", "a.img", "--to", STICK, "--erase", "4C530001", "--no-verify"), {}, 0,
     "not read back"),
    (("verify", "a.img", "--to", STICK), {}, 4, "does not hold what was written: byte 0"),
    (("verify", "a.img"), {}, 2, "none is picked for you"),
    (("probe", STICK), {}, 5, "nobody is here to confirm"),
    (("probe", STICK, "--erase", "4C530001"), {}, 0, "honest as far as"),
    (("probe", STICK, "--erase", "4C530001"), {"faults": {"real": 2**25}}, 5, "wraps around"),
    (("restore", STICK, "--erase", "4C530001"), {}, 0, "an empty fat32 stick"),
    (("restore", STICK, "--erase", "4C530001", "--label", "a/b"), {}, 2, "cannot be the label"),
    (("restore", STICK, "--undo", "--erase", "4C530001"), {}, 5, "nothing to put back"),
    (("bogus",), {}, 2, "bogus"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "scene", "code", "says"), CODES, ids=lambda value: str(value)[:50]
)
def test_codes(
    home: Home, arguments: tuple[str, ...], scene: dict[str, Any], code: int, says: str
) -> None:
    done = run(home, *arguments, **scene)
    assert says in words(done.stdout + done.stderr)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    if code:
        assert "hint:" in done.stderr


def test_the_bytes(home: Home, tmp_path: Path) -> None:
    arguments = ("write", "a.img", "--to", STICK, "--erase", "4C530001")
    done = run(home, *arguments, dump=str(tmp_path / "dump"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "dump").read_bytes().startswith(IMAGE)
    assert not list((home.state / "usb").iterdir()), "the undo capsule is gone"


def test_two_sticks_by_two_serials(home: Home) -> None:
    done = run(
        home, "write", "a.img", "--to", STICK, "--to", "20060413AA",
        "--erase", "20060413AA", "--erase", "4C530001", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    events = [json.loads(line) for line in done.stdout.splitlines()]
    written = members(events, "written")
    assert [event["serial"] for event in written] == ["4C530001", "20060413AA"]
    assert all(event["verified"] for event in written)


def test_one_of_two_fails(home: Home) -> None:
    """The other one is written and proven all the same."""
    (home.work / "a.img").write_bytes(IMAGE + bytes(5 * 2**20))
    done = run(
        home, "write", "a.img", "--to", STICK, "--to", "20060413AA",
        "--erase", "20060413AA", "--erase", "4C530001", "--json",
        faults={"rotten": [2**21]},
    )  # fmt: skip
    assert done.returncode == 4
    events = [json.loads(line) for line in done.stdout.splitlines()]
    [failed], [written] = members(events, "failed"), members(events, "written")
    assert (failed["serial"], written["serial"]) == ("4C530001", "20060413AA")
    assert "is wrong in the same way" in failed["message"]


def test_list_for_programs(home: Home) -> None:
    done = run(home, "list", "--json", disk={"mounted": "/media/x"})
    first, second = [json.loads(line) for line in done.stdout.splitlines()]
    assert (first["id"], first["serial"], first["diskseq"]) == (STICK, "4C530001", 7)
    assert first["partitions"][0]["label"] == "HOLIDAY"
    assert first["uses"] == [{"kind": "mounted", "chain": ["sdc", "sdc1"], "where": "/media/x"}]
    assert [one["rule"] for one in first["refused"]] == ["usb.mounted"]
    assert first["refused"][0]["consent"] == "--unmount"
    assert second["refused"] == []


@pytest.mark.parametrize("columns", [80, 20])
def test_typing_the_serial(home: Home, columns: int) -> None:
    arguments = ("usb", "write", "a.img", "--to", "/dev/sdc")
    code, screen = home.on_terminal(
        *arguments, columns=columns, argv=program(), answers=[("to go on:", b"4C530001\n")]
    )
    assert code == 0, screen
    assert "HOLIDAY" in screen
    assert "every byte was read back" in words(screen)
    for line in plain(screen).splitlines():
        # An id may be copied, so it stays whole.
        typed = line.partition("to go on:")[0].strip()
        assert len(typed) <= columns or " " not in typed, line
    code, screen = home.on_terminal(
        *arguments, columns=columns, argv=program(), answers=[("to go on:", b"yes\n")]
    )
    assert code == 5
    assert "yes was confirmed" in words(screen)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_gives_the_stick_back(home: Home, tmp_path: Path, number: int) -> None:
    (home.work / "a.img").write_bytes(IMAGE + bytes(48 * 2**20))
    dump = tmp_path / "dump"
    scene = program(faults={"slow": 0.02}, dump=str(dump))
    before = scene_of({})[1].peek(0, SIZE)
    process = subprocess.Popen(
        [*scene, "usb", "write", "a.img", "--to", STICK, "--erase", "4C530001"],
        env=home.environment(),
        cwd=home.work,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    kept = home.state / "usb"
    while process.poll() is None and not list(kept.glob("4C530001-*/capsule.json")):
        time.sleep(0.01)
    time.sleep(0.2)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "cancelled: /dev/sdc is as it was before" in words(said)
    assert dump.read_bytes() == before
    assert not list(kept.iterdir())


def test_nothing_is_erased_by_return(home: Home) -> None:
    code, screen = home.on_terminal(
        "usb", "restore", "4C530001", argv=program(), answers=[("to go on:", b"\n")]
    )
    assert code == 5
    assert "nothing was confirmed" in words(screen)


def test_a_windows_disc_is_not_copied_as_it_is(home: Home) -> None:
    """Composing is another room's; what may not happen is a raw copy, which boots from no stick."""
    from tests.unit.media.discs import CLIENT, PE, WINDOWS_FILES, make_bridge, make_wim

    install, boot = home.folder / "install.wim", home.folder / "boot.wim"
    files = {
        **WINDOWS_FILES,
        "sources/install.wim": make_wim(install, CLIENT, build=26100),
        "sources/boot.wim": make_wim(boot, PE),
    }
    make_bridge(home.work / "win.iso", files)
    from provisioner.cli.usb_options import is_windows

    assert is_windows(home.work / "win.iso")
    assert not is_windows(home.work / "a.img")
