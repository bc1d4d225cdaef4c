"""`make soak`: an installation is killed at twenty random points, and two run into a trap."""

from __future__ import annotations

import random
import signal
import time

import pytest

from tests.boot.test_installs import BARE
from tests.integration.home import Home
from tests.integration.leaks import leaks

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1200)]

KILLS = 20
WHOLE = 110.0
"""Seconds that an installation takes under emulation, about."""


@pytest.mark.parametrize("number", range(KILLS))
def test_kill_a_real_installation(number: int, home: Home) -> None:
    """Each part of the installation is hit once; every second time `up` finishes the work."""
    profile = home.profile("machine: {memory: 1 GiB, ready: {within: 15 min}}\n")
    delay = random.uniform(number, number + 1) * WHOLE / KILLS
    print(f"killed after {delay:.2f} s")
    running = home.start("up", profile)
    time.sleep(delay)
    running.signal(signal.SIGKILL)
    running.finish()
    if number % 2:
        assert home.json("up", profile, timeout=900).event("up")["phase"] == "ready"
        assert home.machine()["drives"][1]["medium"] is None
        assert not list(home.state.glob("m1/*answers*"))
        home.run("delete", "m1", "--yes")
    else:
        done = home.run("delete", "m1", "--yes", expect=None)
        assert done.code in (0, 4), done
    assert leaks(home) == []


@pytest.mark.parametrize(
    ("lines", "rule", "says"),
    [
        (
            "windows: {locale: {setup: de-DE}}\n",
            "media.setup-language",
            "language page shown: UILanguage de-DE is not on the media",
        ),
        (
            "machine: {disks: [{size: 64 GiB, bus: virtio}]}\n",
            "machine.virtio-drivers",
            "no disks found; a driver is missing",
        ),
    ],
)
def test_a_trap_forced_past_check(home: Home, lines: str, rule: str, says: str) -> None:
    """`up` refuses; forced, Setup fails as `check` said (all of them: tests/golden)."""
    profile = home.profile(lines, text=BARE)
    refused = home.run("up", profile, expect=2)
    assert f"error[{rule}]" in refused.err
    failed = home.run("up", profile, "--force", expect=6, timeout=600)
    assert says in failed.err
    assert leaks(home) == []
