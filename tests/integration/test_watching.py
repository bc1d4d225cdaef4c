"""An installation is watched while libvirt, the first terminal or the guest itself gives up."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from provisioner.guest.listener import Listener
from provisioner.guest.protocol import encode
from provisioner.host.serial import FileSerialLog
from tests.integration.home import Done, Home, Running
from tests.integration.places import Place
from tests.integration.test_modes import own_kernel
from tests.standin.setup.serial_report import SCRIPT_STAGES, STAGES, frame, read_events

pytestmark = pytest.mark.integration

SLOW = "standin.slow=0.5"
LIMIT = "30"
"""Seconds that an emulated machine may need from power-on to its first line on a busy host."""


def timeline(home: Home) -> list[dict[str, Any]]:
    """What is recorded of m1."""
    lines = (home.state / "m1" / "timeline.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def reported(home: Home) -> list[str]:
    return [
        event["stage"]
        for event in timeline(home)
        if event["event"] == "stage" and event["origin"] == "reported"
    ]


def said(home: Home) -> list[str]:
    """The stages in the serial log, read by the stand-in's own reader."""
    text = (home.state / "m1" / "serial.log").read_text(errors="replace")
    return [event["stage"] for _, event in read_events(text) if event["event"] == "stage"]


def wait_for_stage(running: Running, stage: str) -> None:
    running.wait_for(lambda event: event["event"] == "stage" and event.get("stage") == stage)


def restart(place: Place) -> None:
    """Ends the daemon as a package update does, and starts another; guests and logs stay."""
    number = int(place.run("cat", "/run/libvirt/libvirtd.pid"))
    place.run("kill", str(number))
    deadline = time.monotonic() + 20
    while place.run("sh", "-c", f"kill -0 {number} 2>/dev/null && echo alive", check=False):
        assert time.monotonic() < deadline, "libvirtd does not end"
        time.sleep(0.1)
    time.sleep(6)  # longer than between two looks at the state or the counters
    place.run("libvirtd", "-d", "-p", "/run/libvirt/libvirtd.pid")


@pytest.mark.xdist_group("system")
def test_libvirtd_is_started_anew_in_the_middle(system: Place, system_home: Home) -> None:
    home = system_home
    home.direct_guest(SLOW, kernel=own_kernel(home))
    running = home.start("up", home.profile())
    wait_for_stage(running, "answers")
    restart(system)
    done = running.finish()
    assert done.code == 0, done
    assert done.event("up")["phase"] == "ready"
    assert "runs on without it" in done.event("warning")["message"]
    gaps = [event["reason"] for event in timeline(home) if event["event"] == "gap"]
    assert gaps == ["libvirt did not answer"]
    assert reported(home) == said(home), "not a line of the guest was lost"
    assert reported(home)[: len(STAGES)] == list(STAGES)


def test_watch_after_a_crash_and_a_second_watch(home: Home) -> None:
    home.direct_guest(SLOW)
    profile = home.profile()
    running = home.start("up", profile)
    wait_for_stage(running, "disks")
    beside = home.start("watch", "m1")
    wait_for_stage(beside, "setup")
    running.signal(signal.SIGKILL)
    running.finish()
    late = home.start("watch", "m1", "--read-only")
    done = beside.finish()
    assert done.code == 0, done
    assert done.event("watch")["phase"] == "installing"
    stages = [event["stage"] for event in done.events if event["event"] == "stage"]
    assert [stage for stage in stages if stage != "firmware"] == said(home), "each once, in order"
    assert reported(home) == said(home)

    assert home.json("up", profile).event("up")["phase"] == "ready"
    history = late.finish()
    assert history.code == 0
    assert [e for e in history.events if e["event"] == "stage"] == [
        {name: value for name, value in event.items() if name != "log"}
        for event in timeline(home)
        if event["event"] == "stage"
    ]
    assert history.event("watch")["phase"] == "ready"
    assert home.machine()["installation"]["running"] is False


@pytest.mark.soak
@pytest.mark.parametrize("stage", [*STAGES, *SCRIPT_STAGES])
def test_a_hang_at_each_stage_is_noticed_and_judged(stage: str, home: Home) -> None:
    home.environment["PROVISIONER_STALL_AFTER"] = LIMIT
    home.direct_guest(f"standin.hang={stage}")
    require_stall(home.json("up", home.profile(), expect=6), stage)
    (folder,) = (home.state / "failures").iterdir()
    told = json.loads((folder / "autopsy.json").read_text())
    assert told["verdict"]["signature"] == f"stage.{stage}"
    assert home.json("list").events == [], "undone"


def require_stall(failed: Done, stage: str) -> None:
    """It ended as stalled in this stage, with everything that was looked at."""
    stalled = failed.event("stalled")
    assert stalled["stage"] == stage
    # A changed screen puts it off, at most to three times the limit.
    assert float(LIMIT) <= stalled["seconds"] < 3 * float(LIMIT) + 15
    assert set(stalled["looked_at"]) == {
        *("the serial line", "disc reads", "disk reads", "disk writes", "the screen"),
    }
    error = failed.event("error")
    assert (error["type"], error["exit_code"]) == ("GuestStalled", 6)


@pytest.mark.soak
def test_a_guest_that_hangs_is_looked_at_and_then_given_up(home: Home) -> None:
    """Picture, serial port and delay on the way: one start of a machine for all of them."""
    home.environment["PROVISIONER_STALL_AFTER"] = LIMIT
    home.direct_guest("standin.hang=specialize")
    running = home.start("up", home.profile(), "--keep-failed")
    wait_for_stage(running, "specialize")

    home.run("screenshot", "m1", "-o", "m1.png")
    assert (home.work / "m1.png").read_bytes().startswith(b"\x89PNG\r\n")
    require_console(home)
    taken = [seconds_to_the_screen(home, running, number) for number in range(5)]
    assert sorted(taken)[2] <= 0.5, taken

    require_stall(running.finish(), "s4")
    assert home.machine()["phase"] == "failed"
    assert "stalled" in home.run("watch", "m1", expect=6).err
    followed = home.start("console", "m1")
    followed.wait_for(lambda event: event["event"] == "serial" and "s4" in event["text"])
    home.run("down", "m1", "--force")
    assert followed.finish().code == 0
    assert "m1 is off" in home.run("console", "m1", expect=4).err


@pytest.mark.soak
def test_a_line_of_a_gigabyte_is_gone_through_and_forgotten(tmp_path: Path) -> None:
    """Bounded in memory, and in the time of one look; what comes behind it is heard."""
    log = tmp_path / "serial.log"
    with log.open("wb") as file:
        file.truncate(2**30)
        file.seek(0, os.SEEK_END)
        file.write(b"\r\n" + encode(1, {"event": "ready"}))
    listener = Listener(FileSerialLog(log))
    tracemalloc.start()
    longest = 0.0
    while not listener.heard.ready:
        begun = time.process_time()
        listener.hear()
        longest = max(longest, time.process_time() - begun)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert longest < 1 and peak < 16 * 2**20


def require_console(home: Home) -> None:
    """It opens at a terminal, and Ctrl-] ends it; what passes is tested with a port of our own."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        home.argv("console", "m1"),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    shown = read_until(master, b"Ctrl-]")
    os.write(master, b"\x1d")
    assert process.wait(30) == 0, shown
    os.close(master)


def seconds_to_the_screen(home: Home, running: Running, number: int) -> float:
    """From a line in the log to the event that `up` prints."""
    line = frame(50 + number, {"event": "stage", "stage": f"s{number}"})
    with (home.state / "m1" / "serial.log").open("ab") as log:
        log.write(f"{line}\r\n".encode())
    begun = time.monotonic()
    wait_for_stage(running, f"s{number}")
    return time.monotonic() - begun


def read_until(descriptor: int, words: bytes, *, timeout: float = 30) -> bytes:
    """What comes, until these words have come."""
    data, deadline = b"", time.monotonic() + timeout
    while words not in data:
        left = deadline - time.monotonic()
        assert left > 0 and select.select([descriptor], [], [], left)[0], data
        data += os.read(descriptor, 65536)
    return data
