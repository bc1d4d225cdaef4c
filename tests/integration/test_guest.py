"""How a machine becomes ready, how it fails, and what becomes of the one it was to replace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.home import Home
from tests.integration.leaks import leaks

pytestmark = pytest.mark.integration


def autopsy_of(folder: Path) -> dict[str, Any]:
    """What a bundle says to programs."""
    return dict(json.loads((folder / "autopsy.json").read_text()))


def test_ready_when_it_turns_itself_off(home: Home) -> None:
    home.direct_guest("standin.poweroff=1")
    profile = home.profile("machine: {ready: {when: power-off}}\n")
    up = home.json("up", profile).event("up")
    assert (up["outcome"], up["phase"], up["state"]) == ("installed", "ready", "off")
    assert [drive["medium"] for drive in up["drives"]][1:] == [None, None]


def test_ready_when_it_says_so(home: Home) -> None:
    home.direct_guest("standin.agent=no")
    done = home.json("up", home.profile("machine: {ready: {when: serial}}\n"))
    assert done.event("up")["outcome"] == "installed"
    said = [event for event in done.events if event["event"] in ("guest", "ready")]
    assert said, "the guest's own events are passed on"


def test_a_guest_that_fails_is_undone_and_examined(home: Home) -> None:
    home.direct_guest("standin.fail=step_'runtime'_exited_1603")
    done = home.run("up", home.profile(), expect=6)
    assert "step 'runtime' exited 1603" in done.err
    assert "  cause    step 'runtime' failed: the installer met a fatal error (1603)" in done.err
    (folder,) = (home.state / "failures").iterdir()
    assert f"  see      {folder}/index.html" in done.err
    assert folder.stat().st_mode & 0o777 == 0o700
    told = autopsy_of(folder)
    assert told["verdict"]["signature"] == "step.exited"
    assert {"index.html", "reason.txt", "domain.xml", "serial.log", "plan.txt", "answers"} <= {
        path.name for path in folder.iterdir()
    }
    assert "exited 1603" in (folder / "reason.txt").read_text()
    assert dict(told["facts"])["libvirt"] and dict(told["facts"])["QEMU"]
    # The disk was looked at, although it had nothing on it yet.
    assert any("holds no NTFS volume" in remark for remark in told["remarks"])
    assert home.json("list").events == []
    assert leaks(home) == []


def test_a_guest_that_hangs(home: Home) -> None:
    home.direct_guest("standin.hang=image")
    done = home.json("up", home.profile("machine: {ready: {within: 20 s}}\n"), expect=6)
    error = done.event("error")
    assert "was not ready within" in error["message"]
    assert error["autopsy"]["cause"].startswith("it stopped while the image was applied")
    (folder,) = (home.state / "failures").iterdir()
    assert error["autopsy"]["see"] == str(folder / "index.html")
    told = autopsy_of(folder)
    assert told["verdict"]["signature"] == "stage.image"
    assert "screen.png" in told["pictures"]
    assert home.json("list").events == []


def test_keep_failed(home: Home) -> None:
    home.direct_guest("standin.fail=no_room_here")
    profile = home.profile()
    home.run("up", profile, "--keep-failed", expect=6)
    status = home.machine()
    assert status["phase"] == "failed" and "no room here" in status["reason"]
    again = home.run("up", profile, expect=5)
    assert "failed to install" in again.err and "--replace" in again.err
    assert list(home.state.glob("m1/m1-1.qcow2"))

    told = home.json("autopsy", "m1").event("autopsy")
    assert "no room here" in told["reason"] and told["verdict"]["signature"] == "stage.first-boot"
    assert home.run("autopsy", "nobody", expect=4).err
    deleted = home.run("delete", "m1", "--yes")
    assert f"kept: 2 autopsies in {home.state / 'failures'}" in deleted.err
    assert (home.state / "failures").is_dir()


def test_replace(home: Home) -> None:
    home.direct_guest()
    profile = home.profile()
    home.run("up", profile)
    folder = home.state / "m1"
    more = ("--set", "machine.memory=640 MiB")

    running = home.start("up", profile, *more, "--replace")
    running.wait_for_step("wait until")
    assert (folder / "m1-1.qcow2").exists() and (folder / "m1-2.qcow2").exists()
    assert running.finish().code == 0
    assert not (folder / "m1-1.qcow2").exists()
    assert home.json("up", profile, *more).event("up")["outcome"] == "nothing to do"

    home.direct_guest("standin.fail=no_room_here")
    failed = home.run("up", profile, "--replace", expect=6)
    assert "the old m1 is back in its place" in failed.err
    assert not (folder / "m1-3.qcow2").exists()
    status = home.machine()
    assert (status["phase"], status["state"]) == ("ready", "off")
    home.direct_guest()
    assert home.json("up", profile, *more).event("up")["outcome"] == "started"
