"""What other terminals may do while `up` waits for a machine."""

from __future__ import annotations

import signal

import pytest

from tests.integration.home import Home

pytestmark = pytest.mark.integration


def test_while_up_is_waiting(home: Home) -> None:
    home.direct_guest("standin.ready=no", "standin.agent=no")
    profile = home.profile()
    first = home.start("up", profile)
    first.wait_for_step("wait until")

    status = home.machine()
    assert (status["phase"], status["state"]) == ("installing", "running")
    assert status["drives"][1]["medium"].endswith("m1-1-answers.iso")

    busy = home.json("up", profile, expect=3).event("error")
    assert "another provisioner works on m1" in busy["message"]
    busy = home.json("delete", "m1", "--yes", expect=3).event("error")
    assert "another provisioner works on m1" in busy["message"]

    home.run("drive", "attach", "m1", str(home.media.drivers))
    assert home.machine()["drives"][2]["medium"] == str(home.media.drivers)

    home.run("down", "m1", "--force")
    stopped = first.finish()
    assert stopped.code == 130
    assert "shut down by `provisioner down`" in stopped.event("error")["message"]
    status = home.machine()
    assert (status["phase"], status["state"]) == ("installing", "off")

    again = home.start("up", profile)
    again.wait_for_step("wait until")
    assert home.machine()["state"] == "running"
    again.signal(signal.SIGINT)
    interrupted = again.finish()
    assert interrupted.code == 130
    assert "goes on installing itself" in interrupted.event("error")["message"]
    assert home.machine()["state"] == "running"


def test_two_at_once(home: Home) -> None:
    home.direct_guest("standin.poweroff=1")
    profile = home.profile("machine: {ready: {when: power-off}}\n")
    both = [home.start("up", profile) for _ in range(2)]
    done = sorted((running.finish() for running in both), key=lambda ended: ended.code)
    assert [ended.code for ended in done] == [0, 3], "\n".join(map(str, done))
    assert "another provisioner works on m1" in done[1].event("error")["message"]
