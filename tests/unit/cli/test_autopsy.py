"""`autopsy --disk` as a person types it, and how a failed `up` tells what an autopsy found."""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
import sys
from pathlib import Path

import pytest

from provisioner.cli.console import TerminalConsole
from provisioner.errors import Autopsy, GuestError
from tests.unit.autopsy import disks
from tests.unit.cli.program import Home, members, plain

LOG = b"2026-11-22 10:00:05, Error  IBS Setup has failed to validate the product key.\r\n"


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("disk")
    return disks.gpt_disk(folder, {"Windows/Panther/setuperr.log": LOG})


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"})


def test_a_disk_that_nobody_here_has_built(home: Home, disk: Path) -> None:
    done = home.run("autopsy", "--disk", str(disk))
    assert done.returncode == 0, done.stderr
    (folder,) = (home.state / "failures").iterdir()
    lines = done.stdout.splitlines()
    assert lines[0] == "disk.raw: examined"
    assert lines[1].startswith("  cause    the key belongs to another edition")
    assert lines[2].startswith("  fix      remove `product_key`")
    assert lines[3] == f"  see      {folder}/index.html   screenshot, Setup's logs, timeline"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_as_json_and_into_a_folder_of_ones_own(home: Home, disk: Path) -> None:
    (event,) = members(home.events("autopsy", "--disk", str(disk), "-o", "out"), "autopsy")
    assert event["verdict"]["signature"] == "key.validation"
    assert event["page"] == str(home.work / "out" / "index.html")
    assert json.loads((home.work / "out" / "autopsy.json").read_text())["name"] == "disk.raw"
    again = home.run("autopsy", "--disk", str(disk), "-o", "out")
    assert again.returncode == 5 and "exists already" in again.stderr


@pytest.mark.parametrize("columns", [80, 20])
def test_on_a_terminal(home: Home, disk: Path, columns: int) -> None:
    code, screen = home.on_terminal("autopsy", "--disk", str(disk), "-o", "o", columns=columns)
    assert code == 0
    longest = max(len(line) for line in plain(screen).splitlines() if "/" not in line)
    assert longest <= columns
    assert "another edition" in " ".join(plain(screen).split())


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "either the name of a machine or --disk"),
        (("dev11", "--disk", "x"), 2, "either the name of a machine or --disk"),
        (("--disk", "nowhere.qcow2"), 3, "does not exist"),
        (("--disk", "."), 3, "is no disk image"),
        (("--disk", "blank.raw"), 3, "holds no NTFS volume"),
        (("../x",), 2, "is not the name of a machine"),
    ],
)
def test_mistakes(home: Home, arguments: tuple[str, ...], code: int, said: str) -> None:
    (home.work / "blank.raw").write_bytes(bytes(1 << 20))
    done = home.run("autopsy", *arguments)
    assert not (home.state / "failures").exists()
    assert done.returncode == code and said in done.stderr


GUESTFISH = """\
#!{python}
# Stands for guestfish 1.48.6, as it was seen to behave: a server that keeps a disk, commands that
# end it when they fail unless a hyphen stands before them. The volume is a folder.
import os, pathlib, sys
here = pathlib.Path(__file__).parent
words = sys.argv[1:]
with (here / "asked").open("a") as log:
    log.write(" ".join(words) + chr(10))
if "--listen" in words:
    print("GUESTFISH_PID=4711; export GUESTFISH_PID")
    sys.exit(0)
command, *rest = words[2:]
broken = here / "no-kvm"
if command == "run" and broken.exists():
    broken.unlink()
    sys.exit(1)
if command == "list-filesystems":
    print("/dev/sda1: vfat")
    print("/dev/sda3: ntfs")
if command in ("-ls", "-download"):
    path = here / "volume" / rest[0].strip("/")
    if command == "-ls" and path.is_dir():
        print(*sorted(os.listdir(path)), sep=chr(10))
    elif command == "-download" and path.is_file():
        sys.stdout.buffer.write(path.read_bytes())
    else:
        print("libguestfs: error: no such file or directory", file=sys.stderr)
"""


def test_through_guestfish_where_nothing_else_reads_ntfs(tmp_path: Path, disk: Path) -> None:
    home = Home(tmp_path, {"PATH": str(tmp_path / "bin")})
    for program in ("env", "prlimit", "setpriv", "qemu-storage-daemon", "fusermount3"):
        found = shutil.which(program, path="/usr/bin:/bin:/usr/sbin:/sbin")
        assert found is not None
        (tmp_path / "bin" / program).symlink_to(found)
    alone = home.run("autopsy", "--disk", str(disk), "-o", "alone")
    assert alone.returncode == 3 and not (home.work / "alone").exists()
    assert "nothing here reads NTFS" in alone.stderr and "ntfs-3g" in alone.stderr

    fake = tmp_path / "bin" / "guestfish"
    fake.write_text(GUESTFISH.format(python=sys.executable))
    fake.chmod(0o755)
    panther = tmp_path / "bin" / "volume" / "Windows" / "Panther"
    (panther / "UnattendGC").mkdir(parents=True)
    (panther / "setuperr.log").write_bytes(LOG)
    (tmp_path / "bin" / "no-kvm").touch()
    (event,) = members(home.events("autopsy", "--disk", str(disk), "-o", "out"), "autopsy")
    assert event["verdict"]["document"] == "logs/p3/Windows/Panther/setuperr.log"
    assert event["remarks"] == []
    asked = (tmp_path / "bin" / "asked").read_text().splitlines()
    first, second = (line for line in asked if "--listen" in line)
    assert first == second == f"--listen --ro --format=raw -a {disk}"
    assert asked[-1].endswith("-- exit") and len([a for a in asked if a.endswith(" exit")]) == 2


def failed() -> GuestError:
    error = GuestError("dev11 stalled", hint="look at it")
    error.autopsy = Autopsy(cause="no driver", fix="give one", see="/s/index.html")
    return error


def test_an_error_with_an_autopsy() -> None:
    err = io.StringIO()
    TerminalConsole(out=io.StringIO(), err=err).error(failed())
    assert err.getvalue().splitlines() == [
        "error: dev11 stalled",
        "  hint: look at it",
        "  cause    no driver",
        "  fix      give one",
        "  see      /s/index.html   screenshot, Setup's logs, timeline",
    ]
    out = io.StringIO()
    TerminalConsole(out=out, err=err, as_json=True).error(failed())
    told = json.loads(out.getvalue())
    assert told["autopsy"] == {"cause": "no driver", "fix": "give one", "see": "/s/index.html"}


def test_an_autopsy_that_found_nothing_and_could_not_be_written() -> None:
    error = GuestError("dev11 stalled")
    error.autopsy = Autopsy(cause="", fix="", see="")
    err = io.StringIO()
    TerminalConsole(out=io.StringIO(), err=err).error(error)
    assert err.getvalue() == "error: dev11 stalled\n"
