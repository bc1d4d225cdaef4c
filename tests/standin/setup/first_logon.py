"""The first logon, as far as the steps of the answer disc go: found by its marker, carried out.

What the script of the answer disc does in Windows around the steps is not played: drivers, settings
and cleaning up are only logged.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.standin.setup import machine, services
from tests.standin.setup.screen import Screen
from tests.standin.setup.search import Drive
from tests.standin.setup.serial_report import SerialReport
from tests.standin.setup.simulated import SimulatedPrograms
from tests.standin.setup.steps import Restart, Runner, StepFailed

MARKER = "provision/machine-*"
LIST = "provision/steps/steps.json"
RAW_OFFSET, RAW_LENGTH = 2**20, 2**18
"""Where the direct guest, which has no file system, keeps its memory on its first disk."""

Memory = dict[str, Any]


def answer_disc(drives: Sequence[Drive]) -> Path | None:
    """The disc with the marker file."""
    roots = (drive.root for drive in drives)
    return next((root for root in roots if any(root.glob(MARKER))), None)


def run_steps(
    drives: Sequence[Drive],
    memory: Memory,
    remember: Callable[[Memory], None],
    serial: SerialReport,
    screen: Screen,
) -> None:
    """Carries the steps out; returns only when all are done. `memory` is what survives restarts.

    A restart restarts the machine; after a failure it waits for its power button, as Windows would
    wait for a person.
    """
    disc = answer_disc(drives)
    if disc is None or not (disc / LIST).exists():
        return
    listed = json.loads((disc / LIST).read_text("ascii"))
    if listed["version"] != 1:
        raise ValueError("the list of steps has another version than docs/steps.md")
    serial.begin("steps")
    screen.add(f"{len(listed['steps'])} steps")
    programs = SimulatedPrograms(
        folder=disc / "provision/steps",
        memory=memory.setdefault("simulated", {}),
        remember=lambda: remember(memory),
    )
    try:
        Runner(
            steps=listed["steps"],
            programs=programs,
            store=_Kept(memory, remember),
            send=serial.event,
            sleep=time.sleep,
        ).run()
    except Restart:
        print("stand-in for Windows Setup: restarting", flush=True)
        machine.reboot()
    except StepFailed as failed:
        serial.failed(str(failed))
        screen.add(f"FAILED: {failed}")
        machine.unmount_drives(drives)
        services.idle()


class _Kept:
    """The runner's state, inside the memory."""

    def __init__(self, memory: Memory, remember: Callable[[Memory], None]) -> None:
        self._memory, self._remember = memory, remember

    def load(self) -> Memory | None:
        found = self._memory.get("state")
        return None if found is None else dict(found)

    def save(self, state: Mapping[str, Any]) -> None:
        self._memory["state"] = dict(state)
        self._remember(self._memory)


def raw_memory(device: str) -> Memory:
    """What the direct guest left on its disk, or nothing."""
    with Path("/dev", device).open("rb") as disk:
        disk.seek(RAW_OFFSET)
        data = disk.read(RAW_LENGTH).rstrip(b"\0")
    return dict(json.loads(data)) if data else {}


def keep_raw(device: str, memory: Memory) -> None:
    """Writes it there, durably."""
    data = json.dumps(memory).encode("ascii")
    with Path("/dev", device).open("r+b") as disk:
        disk.seek(RAW_OFFSET)
        disk.write(data.ljust(-(-len(data) // 4096) * 4096 + 4096, b"\0"))
        disk.flush()
        machine.sync(disk.fileno())
