"""Steps in a real machine: restarts among them, failures, resumption, handshakes through the
loopback forwards. The direct guest carries them out by docs/steps.md, with simulated programs.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.home import Event, Home
from tests.integration.leaks import leaks

pytestmark = [pytest.mark.boot, pytest.mark.timeout(600)]

RESTARTS = """\
windows:
  remote: {rdp: true}
  steps:
    - {name: hello, cmd: "rem standin: out hello from the guest"}
    - {name: runtime, cmd: "rem standin: exit 3010", exit_codes: [3010]}
    - reboot: {when: needed}
    - reboot: {when: needed}
    - name: version
      powershell: |
        # standin: write C:\\v.txt 24.9
        # standin: exit 5 0
      retries: 1
      outputs: [{name: seven zip, file: 'C:\\v.txt'}]
    - {name: there already, cmd: x, only_if: {missing: 'C:\\v.txt'}}
machine: {ready: {probes: [rdp, ssh]}}
"""


def steps(events: Iterable[Event]) -> list[str]:
    """The guest's `step` events in short."""
    told = []
    for event in events:
        if event.get("name") and event.get("state") in ("start", "end", "retry", "skip"):
            code = f" {event['exit_code']}" if "exit_code" in event else ""
            told.append(f"{event['name']} {event['state']}{code}")
    return told


@pytest.mark.soak
def test_restarts_outputs_and_handshakes(home: Home) -> None:
    """An installer that wants a restart, one retry, a skipped step; then RDP and SSH answer."""
    home.direct_guest("standin.steps=run", "standin.services=rdp,ssh")
    profile = home.profile(RESTARTS)
    running = home.start("up", profile)
    running.wait_for(lambda event: event.get("name") == "restart" and event.get("state") == "end")
    disc = home.state / "m1" / "m1-1-answers.iso"
    assert disc.exists(), "the answer disc stays until the machine is ready"
    done = running.finish()
    assert done.code == 0, done
    assert steps(done.events) == [
        *("hello start", "hello end 0", "runtime start", "runtime end 3010"),
        *("restart start", "restart end 0", "restart skip"),
        *("version start", "version retry 5", "version start", "version end 0"),
        "there already skip",
    ]
    assert "hello from the guest" in done.out
    assert done.event("up")["outputs"] == {"version": {"seven zip": "24.9"}}
    assert not disc.exists()
    serial = (home.state / "m1" / "serial.log").read_text(errors="replace")
    assert serial.count("stand-in for Windows Setup: started after") == 2, "one restart"
    assert done.event("handshakes")["services"] == ["rdp", "ssh"]
    home.run("delete", "m1", "--yes")
    assert leaks(home) == []


FAILS = """\
windows:
  steps:
    - {name: fine, cmd: "rem standin: out once only"}
    - name: broken
      cmd: |
        rem standin: out looking for the disk
        rem standin: err there is none
        rem standin: exit 5
    - {name: last, cmd: "rem standin: out the end"}
"""


def test_a_failing_step_is_shown_corrected_and_resumed(home: Home) -> None:
    home.direct_guest("standin.steps=run")
    profile = home.profile(FAILS)
    failed = home.run("up", profile, expect=6)
    assert "step 'broken' exited 5" in failed.err
    assert "there is none" in failed.err and "once only" not in tail(failed.err)
    assert "up --resume" in failed.err
    (evidence,) = (home.state / "failures").iterdir()
    assert "! there is none" in (evidence / "steps.log").read_text().splitlines()
    status = home.machine()
    assert (status["phase"], status["state"]) == ("failed", "running")

    assert "--resume" in home.run("up", profile, expect=5).err
    Path(profile).write_text(Path(profile).read_text().replace("exit 5", "exit 0"))
    done = home.json("up", profile, "--resume")
    assert steps(done.events) == ["broken start", "broken end 0", "last start", "last end 0"]
    assert home.machine()["phase"] == "ready"
    assert not list(home.state.glob("m1/*answers*"))
    home.run("delete", "m1", "--yes")
    assert leaks(home) == []


def tail(text: str) -> str:
    """What stands in the lines of the failed step's output."""
    return "\n".join(line for line in text.splitlines() if "| " in line)


CUT_OFF = """\
windows:
  steps:
    - {name: first, cmd: "rem standin: exit 0"}
    - {name: long, cmd: "rem standin: sleep 15"}
machine: {ready: {within: 10 min}}
"""


@pytest.mark.soak
def test_the_host_dies_in_the_middle_of_a_step(home: Home) -> None:
    """QEMU is killed with the host, and `up` with it: the step that was cut off runs again, the one
    before it does not."""
    home.direct_guest("standin.steps=run")
    profile = home.profile(CUT_OFF)
    running = home.start("up", profile)
    running.wait_for(lambda event: event.get("name") == "long" and event.get("state") == "start")
    running.signal(signal.SIGKILL)
    running.finish()
    home.run("down", "m1", "--force")
    done = home.json("up", profile, "--resume")
    assert steps(done.events) == ["long start", "long end 0"]
    recorded = (home.state / "m1" / "timeline.jsonl").read_text().splitlines()
    assert steps(map(json.loads, recorded)) == [
        *("first start", "first end 0"),
        *("long start", "long start", "long end 0"),
    ], "the first one once, the other one from its beginning"
    home.run("delete", "m1", "--yes")
    assert leaks(home) == []


def hang(home: Home) -> dict[str, Any]:
    """A step that never ends, and a time limit."""
    home.direct_guest("standin.steps=run")
    step = '{name: stuck, cmd: "rem standin: hang", timeout: 3 s}'
    home.run("up", home.profile(f"windows: {{steps: [{step}]}}\n"), expect=6)
    return home.machine()


@pytest.mark.soak
def test_a_step_that_hangs_is_ended(home: Home) -> None:
    assert "'stuck' was ended after 3 s" in hang(home)["reason"]
    assert verdict(home) == "step.time-limit"
    home.run("delete", "m1", "--yes")


def verdict(home: Home) -> str:
    """Of the one bundle that was written."""
    (evidence,) = (home.state / "failures").iterdir()
    return str(json.loads((evidence / "autopsy.json").read_text())["verdict"]["signature"])


@pytest.mark.soak
def test_a_step_that_takes_the_runner_with_it_is_noticed_and_resumed(home: Home) -> None:
    """Nobody in the guest ends it, so the host knows by the limit that the guest has told."""
    home.environment["PROVISIONER_STALL_AFTER"] = "15"
    home.direct_guest("standin.steps=run")
    step = '{name: stuck, cmd: "rem standin: freeze", timeout: 3 s}'
    profile = home.profile(f"windows: {{steps: [{step}]}}\n")
    failed = home.json("up", profile, expect=6)
    stalled = failed.event("stalled")
    assert (stalled["stage"], stalled["step"], stalled["timeout"]) == ("steps", "stuck", 3)
    assert 18 <= stalled["seconds"] < 40
    assert failed.event("error")["type"] == "StepError"
    assert verdict(home) == "step.silent"
    Path(profile).write_text(Path(profile).read_text().replace("freeze", "exit 0"))
    assert steps(home.json("up", profile, "--resume").events)[-1] == "stuck end 0"
    home.run("delete", "m1", "--yes")


INSTALLED = """\
windows:
  remote: {rdp: true}
  steps:
    - {name: before, cmd: "rem standin: write C:\\\\x y"}
    - reboot: {}
    - {name: after, powershell: "# standin: out once more", only_if: {exists: 'C:\\x'}}
machine: {memory: 1 GiB, ready: {within: 15 min}}
"""


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_a_restart_among_the_steps_of_a_whole_installation(home: Home) -> None:
    """What the installed system remembers is on its own disk; the install disc is still there."""
    done = home.json("up", home.profile(INSTALLED), timeout=1000)
    assert steps(done.events) == [
        *("before start", "before end 0", "restart start", "restart end 0"),
        *("after start", "after end 0"),
    ]
    assert done.event("up")["phase"] == "ready"
    home.run("delete", "m1", "--yes")
    assert leaks(home) == []
