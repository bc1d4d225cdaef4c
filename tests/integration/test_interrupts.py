"""Ctrl-C, SIGTERM and kill -9 at any moment: the next command finishes or cleans up."""

from __future__ import annotations

import random
import signal
import time

import pytest

from tests.integration.home import Home

pytestmark = pytest.mark.integration

BEFORE_THE_START = [
    "write the answer disc",
    "let install.iso boot without a key",
    "make a disk",
    "define the domain",
]


@pytest.mark.parametrize("step", BEFORE_THE_START)
def test_ctrl_c_before_the_machine_runs(step: str, home: Home) -> None:
    home.direct_guest()
    running = home.start("up", home.profile())
    running.wait_for_step(step)
    running.signal(signal.SIGINT)
    ended = running.finish()
    assert ended.code == 130
    # A step may be over before the signal arrives; then it was the next one that ended.
    after = home.json("list").events
    assert [event["phase"] for event in after] in ([], ["installing"])
    assert after or "undone" in ended.event("error")["message"]


@pytest.mark.parametrize("step", ["start m1", "wait until"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["int", "term"])
def test_signal_while_the_machine_starts(step: str, number: signal.Signals, home: Home) -> None:
    home.direct_guest()
    profile = home.profile()
    running = home.start("up", profile)
    running.wait_for_step(step)
    running.signal(number)
    ended = running.finish()
    assert ended.code == 130
    phases = [event["phase"] for event in home.json("list").events]
    if step == "wait until":
        assert phases == ["installing"]
        assert home.machine()["state"] == "running"
    else:
        assert phases in ([], ["installing"])


def test_ctrl_c_while_the_answer_disc_is_removed(home: Home) -> None:
    home.direct_guest()
    profile = home.profile()
    running = home.start("up", profile)
    running.wait_for_step("eject the answer disc")
    running.signal(signal.SIGINT)
    assert running.finish().code in (0, 130)
    assert home.json("up", profile).event("up")["phase"] == "ready"
    assert home.machine()["drives"][1]["medium"] is None
    assert not list(home.state.glob("m1/*answers*"))


@pytest.mark.parametrize("remedy", ["up", "down", "delete"])
def test_kill_at_a_random_moment(remedy: str, home: Home) -> None:
    home.direct_guest()
    profile = home.profile()
    delay = random.uniform(0.3, 12.0)
    print(f"killed after {delay:.2f} s")
    running = home.start("up", profile)
    time.sleep(delay)
    running.signal(signal.SIGKILL)
    running.finish()
    match remedy:
        case "up":
            assert home.json("up", profile).event("up")["phase"] == "ready"
        case "down":
            # Nothing may have been made yet: then there is no machine to turn off.
            done = home.run("down", "m1", "--force", expect=None)
            assert done.code in (0, 4), done
            remembered = home.json("list").events
            assert not remembered or home.machine()["state"] in ("off", None)
        case _:
            done = home.run("delete", "m1", "--yes", expect=None)
            assert done.code in (0, 4), done
            assert home.json("list").events == []


def test_kill_while_libvirt_starts_the_machine(home: Home) -> None:
    """What the killed run had asked for goes on; the next one waits for that."""
    home.direct_guest("standin.poweroff=1")
    profile = home.profile("machine: {ready: {when: power-off}}\n")
    running = home.start("up", profile)
    running.wait_for_step("start m1")
    time.sleep(random.uniform(0.1, 0.8))
    running.signal(signal.SIGKILL)
    running.finish()
    assert home.json("up", profile).event("up")["phase"] == "ready"
