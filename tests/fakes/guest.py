"""The guest inside a FakeHypervisor's domain: what it does, and when, is scripted by the test.

A script is a function that is called with the FakeGuest at every power-on:

    def installs(guest: FakeGuest) -> None:
        guest.after(3, lambda: guest.write_serial(b"BdsDxe: starting Boot0001\\n"))
        guest.reads("sda", 400_000_000, start=5, seconds=60)
        guest.after(90, lambda: guest.agent_up({"guest-ping": {}}))

    hypervisor.plays("win11", installs)
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from provisioner.ports import DomainState
from tests.fakes.clock import FakeClock
from tests.fakes.serial import FakeSerialLog

AgentAnswer = Any | Callable[[Mapping[str, Any]], Any]
"""The `return` member itself, or a function of the command's `arguments`."""


@dataclass(order=True)
class _Event:
    due: float
    number: int
    action: Callable[[], None] = field(compare=False)


class FakeGuest:
    """One domain's run. Lives as long as the domain; `power_on` starts it afresh."""

    def __init__(self, name: str, clock: FakeClock, settle: Callable[[], None]) -> None:
        self.name = name
        self.state = DomainState.OFF
        self.starts = 0
        self.restarts = 0
        self.keys: list[tuple[int, ...]] = []
        self.on_keys: Callable[[Sequence[int]], None] | None = None
        self.on_shutdown: Callable[[], None] = self.power_off
        """What the guest does when asked to turn off; by default it does so at once."""
        self.locked: set[str] = set()
        """Targets of the drives whose tray the guest has locked (a mounted disc)."""
        self.counters: dict[str, tuple[int, int]] = {}
        self.agent_answers: dict[str, AgentAnswer] | None = None
        self.addresses: tuple[str, ...] = ()
        self.serial = FakeSerialLog(settle=settle)
        self._clock = clock
        self._time = 0.0
        self._events: list[_Event] = []
        self._number = 0

    # What a script calls.

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Does `action` so many seconds after power-on, or after the action that says so."""
        self._number += 1
        heapq.heappush(self._events, _Event(self._time + seconds, self._number, action))

    def write_serial(self, data: bytes) -> None:
        self.serial.write(data)

    def restart(self) -> None:
        """The guest restarts itself; what the script says goes on."""
        self.restarts += 1
        self.agent_answers = None

    def agent_up(self, answers: Mapping[str, AgentAnswer] | None = None) -> None:
        """qemu-ga answers from now on; `guest-ping` always."""
        self.agent_answers = {"guest-ping": {}, **(answers or {})}

    def agent_down(self) -> None:
        self.agent_answers = None

    def reads(self, target: str, total: int, *, start: float = 0, seconds: float = 1) -> None:
        """`total` bytes are read evenly, a step a second."""
        self._transfers(target, total, start=start, seconds=seconds, written=False)

    def writes(self, target: str, total: int, *, start: float = 0, seconds: float = 1) -> None:
        """`total` bytes are written evenly, a step a second."""
        self._transfers(target, total, start=start, seconds=seconds, written=True)

    def power_off(self) -> None:
        self._stop(DomainState.OFF)

    def crash(self) -> None:
        self._stop(DomainState.CRASHED)

    def pause(self) -> None:
        """As QEMU does when the host's disc is full (`error_policy`)."""
        self.state = DomainState.PAUSED

    # What the hypervisor calls.

    def power_on(self, script: Callable[[FakeGuest], None] | None) -> None:
        self._stop(DomainState.RUNNING)
        self.starts += 1
        self.counters = {}
        self._time = self._clock.monotonic()
        if script is not None:
            script(self)

    def settle(self) -> None:
        """Catches up with the clock."""
        now = self._clock.monotonic()
        while self._events and self._events[0].due <= now:
            event = heapq.heappop(self._events)
            self._time = event.due
            event.action()
        self._time = now

    def _stop(self, state: DomainState) -> None:
        self.state = state
        self._events.clear()
        self.agent_answers = None
        self.addresses = ()
        self.locked.clear()
        self.on_keys = None
        self.on_shutdown = self.power_off

    def _transfers(
        self, target: str, total: int, *, start: float, seconds: float, written: bool
    ) -> None:
        steps = max(1, int(seconds))
        for step in range(steps):
            amount = total * (step + 1) // steps - total * step // steps
            self.after(start + step, lambda amount=amount: self._count(target, amount, written))  # type: ignore[misc]

    def _count(self, target: str, amount: int, written: bool) -> None:
        read, wrote = self.counters.get(target, (0, 0))
        self.counters[target] = (read, wrote + amount) if written else (read + amount, wrote)
