"""`autopsy --disk` as a person types it, and how a failed `up` tells what an autopsy found."""

from __future__ import annotations

import io
import json
import os
import stat
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
        (("../x",), 2, "is not the name of a machine"),
    ],
)
def test_mistakes(home: Home, arguments: tuple[str, ...], code: int, said: str) -> None:
    done = home.run("autopsy", *arguments)
    assert done.returncode == code and said in done.stderr


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
