"""Concludes from evidence how far a guest is, and whether it moves. Pure: numbers in, stages out.

Windows PE may be silent on the serial port (docs/facts/windows-setup.md §9), so stages are inferred
from what the host sees anyway. What a guest reports goes before what we conclude.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from provisioner.frozen import frozen
from provisioner.guest.firmware import BootAttempt
from provisioner.guest.stages import patience, rank
from provisioner.guest.steps import RunningStep

LOADING = 4 * 2**20
"""Bytes read from the disc that prove its loader runs: OVMF and a boot loader alone read about
0.9 MB (measured, docs/facts/libvirt.md §5)."""

LAID_OUT = 64 * 2**10
"""Bytes written to a disk by which somebody lays it out: firmware and WinPE write nothing there."""

STARTED = 64 * 2**10
"""Bytes read from the disc that prove its boot sector ran, where the firmware tells nothing: BIOS
reads the catalog and the boot image (measured: tests/unit/guest/traces)."""

APPLYING = 64 * 2**20
"""Bytes written to a disk that are more than partition tables and empty file systems."""

MOVED = 256 * 2**10
"""Bytes between two looks that count as progress; an idle system's log files write less."""

SETTLING = 15.0
"""Seconds in which several restarts are one: a system resets the machine in more than one way, and
libvirt tells of each (measured on BIOS: two)."""

SCREENS = 32
"""So many pictures are known again: a cursor that blinks is no progress."""

WEAK = 3
"""The screen and noise alone put off the stall so many times longer: a spinner turns over a dead
system as well."""


FIRMWARE = "the firmware starts"
MARGIN = 60.0
"""Seconds behind a step's time limit in which its runner ends it and says so (docs/steps.md)."""


@frozen
class Counters:
    """Bytes since power-on, all CD-ROM drives and all disks together."""

    disc_read: int = 0
    disk_read: int = 0
    disk_written: int = 0


@frozen
class Concluded:
    """A stage, and the evidence for it in words."""

    stage: str
    evidence: str


@dataclass(slots=True)
class Inference:
    """How far one installation is. Every method returns what is new, or None."""

    stage: str = "power-on"
    reported: bool = False
    """Whether the guest itself said so."""
    counters: Counters = field(default_factory=Counters)
    boots: int = 0
    """Starts from the disk, as the firmware or the restarts told."""
    firmware_tells: bool = False
    """It says what it starts; then a restart alone says nothing more."""
    restarted_at: float = -math.inf
    furthest: int = 0
    """The place in the order of the last stage that has one."""

    def report(self, stage: str) -> None:
        """The guest says that a stage begins; it may go back, or name one we do not know."""
        self.stage, self.reported = stage, True
        self.furthest = rank(stage) if rank(stage) >= 0 else self.furthest

    def restore(self, stage: str, evidence: str) -> None:
        """An earlier watcher concluded this."""
        self.firmware_tells = self.firmware_tells or evidence.startswith(FIRMWARE)
        self._reach(stage, evidence)

    def restore_boot(self, *, told: bool) -> None:
        """An earlier watcher saw a start from the disk, of which the firmware `told` or libvirt."""
        self.firmware_tells = self.firmware_tells or told
        self.boots += 1

    def spoke(self) -> Concluded | None:
        """The firmware wrote something."""
        return self._reach("firmware", "a first line on the serial port")

    def boot(self, attempt: BootAttempt) -> Concluded | None:
        """The firmware hands over to a boot entry."""
        self.firmware_tells = True
        if attempt.optical:
            return self._reach("boot-disc", f"{FIRMWARE} {attempt.description}")
        return self._booted("from the disk")

    def restarted(self, *, now: float) -> Concluded | None:
        """The guest was restarted, and the disk comes before the disc."""
        again, self.restarted_at = now - self.restarted_at < SETTLING, now
        return None if again or self.firmware_tells else self._booted("of the machine")

    def _booted(self, how: str) -> Concluded | None:
        if self.counters.disk_written < LAID_OUT and self.furthest < rank("disks"):
            return None  # nothing was installed yet: whatever it is, it is not what we wait for
        self.boots += 1
        # windowsPE, restart, specialize, restart, oobeSystem (docs/facts/windows-setup.md §1.1).
        stage = "first-boot" if self.boots == 1 else "oobe"
        return self._reach(stage, f"restart {self.boots} {how}")

    def count(self, counters: Counters) -> Concluded | None:
        """New byte counters."""
        self.counters = counters
        if counters.disk_written >= APPLYING:
            return self._reach("image", _bytes("written to the disk", counters.disk_written))
        if counters.disk_written >= LAID_OUT:
            return self._reach("disks", _bytes("written to the disk", counters.disk_written))
        if counters.disc_read > LOADING:
            return self._reach("setup", _bytes("read from the disc", counters.disc_read))
        if counters.disc_read > STARTED and not self.firmware_tells and not self.furthest:
            return self._reach("boot-disc", _bytes("read from the disc", counters.disc_read))
        return None

    def agent(self) -> Concluded | None:
        """The guest agent answers."""
        return self._reach("agent", "the guest agent answers")

    def _reach(self, stage: str, evidence: str) -> Concluded | None:
        """Only forwards: evidence of an earlier stage says nothing new."""
        if rank(stage) <= self.furthest:
            return None
        self.stage, self.reported, self.furthest = stage, False, rank(stage)
        return Concluded(stage=stage, evidence=evidence)


@frozen
class Stall:
    """Nothing moved for so many seconds in a stage, though all of this was looked at.

    With a `step`: nothing was heard of it for so many seconds, which are more than its time limit.
    """

    stage: str
    seconds: float
    looked_at: tuple[str, ...]
    step: RunningStep | None = None


class Pulse:
    """Remembers when there was evidence of progress last. Times are monotonic seconds."""

    def __init__(
        self, *, now: float, every_stage: float | None = None, factor: float = 1.0
    ) -> None:
        self._every_stage = every_stage
        self.factor = factor
        self._strong = now
        self._weak = now
        self._word = now
        self._screens: deque[bytes] = deque(maxlen=SCREENS)
        self._looked: dict[str, None] = {}

    def moved(self, *, now: float) -> None:
        """A report, bytes read or written, a restart: something was done."""
        self._strong = self._weak = now

    def spoke(self, *, now: float) -> None:
        """The guest said something in a whole frame."""
        self._word = now
        self.moved(now=now)

    def counted(self, before: Counters, after: Counters, *, now: float) -> None:
        """Compares two looks at the counters."""
        self._looked |= dict.fromkeys(("disc reads", "disk reads", "disk writes"))
        moved = max(
            after.disc_read - before.disc_read,
            after.disk_read - before.disk_read,
            after.disk_written - before.disk_written,
        )
        if moved >= MOVED or after.disc_read < before.disc_read:
            self.moved(now=now)

    def noise(self, *, now: float) -> None:
        """Something that is no frame came over the serial line."""
        self._weak = now

    def listened(self) -> None:
        """The serial log was read, whatever was in it."""
        self._looked["the serial line"] = None

    def screen(self, mark: bytes, *, now: float) -> bool:
        """A picture's hash; whether it shows something that was not there lately."""
        self._looked["the screen"] = None
        if mark in self._screens:
            return False
        self._screens.append(mark)
        self._weak = now
        return True

    def forgive(self, *, now: float) -> None:
        """Nobody could look for a while (libvirt was away): that is not the guest's fault."""
        self.spoke(now=now)

    def stall(self, stage: str, *, now: float, step: RunningStep | None = None) -> Stall | None:
        """Whether this stage counts as stalled. While a step runs, its own limit decides: the guest
        has to end it then, and busy disks alone are no word of it, but may be a restart."""
        limit = self._every_stage
        if limit is None:
            limit = (patience(stage) if step is None else MARGIN) * self.factor
        if limit <= 0:
            return None
        looked_at = tuple(self._looked)
        if step is not None:
            silent = now - self._word
            if silent < step.timeout + limit or now - self._strong < limit:
                return None
            return Stall(stage=stage, seconds=silent, looked_at=looked_at, step=step)
        if now - self._weak < limit and now - self._strong < WEAK * limit:
            return None
        return Stall(stage=stage, seconds=now - self._strong, looked_at=looked_at)


def _bytes(doing: str, count: int) -> str:
    return f"{count / 2**20:.1f} MiB {doing}"
