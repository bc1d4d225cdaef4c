"""The process that holds an embed root comes and goes; the guest must not notice."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.integration.home import Home
from tests.integration.processes import processes_mentioning

pytestmark = pytest.mark.integration


def one_process(home: Home, program: str) -> int:
    found = [
        pid
        for pid, line in processes_mentioning(f"{home.folder}/").items()
        if program in line.split(f"{home.folder}/")[0] and "nsenter" not in line
    ]
    assert len(found) == 1, found
    return found[0]


def wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and Path(f"/proc/{pid}/cmdline").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_guest_survives_keepers_and_clients_that_end_suddenly(home: Home) -> None:
    home.direct_guest("standin.ready=no", "standin.agent=no")
    running = home.start("up", home.profile())
    running.wait_for_step("wait until")
    running.signal(signal.SIGKILL)
    running.finish()
    guest = one_process(home, "qemu-system")
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        keeper = one_process(home, "provisioner.host.keeper")
        os.kill(keeper, number)
        wait_for_end(keeper)
        # This opens the root anew, while the guest runs, and its client goes at once.
        assert home.machine()["state"] == "running"
    for _ in range(3):
        looking = home.start("status", "m1")
        looking.signal(signal.SIGKILL)
        looking.finish()
    assert home.machine()["state"] == "running"
    # Left alone it ends, as soon as nobody has asked for a while; the next one finds the guest.
    wait_for_end(one_process(home, "provisioner.host.keeper"))
    assert home.machine()["state"] == "running"
    assert one_process(home, "qemu-system") == guest
