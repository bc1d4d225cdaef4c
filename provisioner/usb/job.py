"""`usb write`: the order in which a stick is checked, kept, wiped, probed, written and proven.

Everything that may be refused is refused before a byte is written; what was changed before the
point of no return is put back on any failure.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from provisioner.errors import FailedError, InterruptedByUser, ProvisionerError
from provisioner.frozen import frozen
from provisioner.usb import capsule as capsules
from provisioner.usb import probe as probes
from provisioner.usb.devices import Chosen, Disk, chosen, name_of
from provisioner.usb.gates import GateError, Request, require_same
from provisioner.usb.machine import Machine
from provisioner.usb.opened import open_checked, still_there
from provisioner.usb.probe import Capacity, Probed
from provisioner.usb.resized import Resized, resized
from provisioner.usb.spans import SECTOR, Span
from provisioner.usb.stream import Stream
from provisioner.usb.verify import Fault, Verified, told, verify
from provisioner.usb.wipe import WIPED, fake, mark, wipe
from provisioner.usb.write import Target, device_error, named, write_stream

Progress = Callable[[str, int, int], None]


@frozen
class Care:
    """How careful a write is. `state`: the folder below which undo capsules lie; sizes in bytes;
    `stamps`: how many the capacity probe writes, 0 for none."""

    state: Path
    head: int = capsules.HEAD
    tail: int = capsules.TAIL
    stamps: int = probes.COUNT
    verify: bool = True


@dataclass(slots=True, eq=False)
class Result:
    """What became of one stick. `undone`: it is as it was before; `verified`: None where nothing
    was read back; `failure`: None only where all went well."""

    disk: Disk
    probed: Probed | None = None
    verified: Verified | None = None
    undone: bool = False
    failure: ProvisionerError | None = None
    changed: bool = False


@dataclass(slots=True, eq=False)
class _Stick:
    """`stream`: what is to stand on this one."""

    target: Target
    stream: Stream
    chosen: Chosen
    result: Result
    spans: tuple[Span, ...]


class Job:
    """One write of one stream to one or several sticks, from the gates to the proof."""

    def __init__(
        self,
        machine: Machine,
        care: Care,
        *,
        progress: Progress = lambda label, done, total: None,
    ) -> None:
        self._machine = machine
        self._care = care
        self._progress = progress

    def write(self, stream: Stream, disks: Sequence[Disk], request: Request) -> tuple[Result, ...]:
        """Writes and proves. GateError of any stick before anything changed; after that every
        stick has its own result, and of a single one what stopped it is raised. What a larger
        stick needs otherwise than `stream` has it, it gets. Ctrl-C is InterruptedByUser, which
        says what became of the sticks."""
        sticks: list[_Stick] = []
        try:
            try:
                for disk in disks:
                    sticks.append(self._open(stream, disk, request))
                for stick in sticks:
                    self._prepare(stick, sticks)
                self._write(stream, _alive(sticks))
                self._prove(_alive(sticks))
            except KeyboardInterrupt as err:
                raise InterruptedByUser(
                    "cancelled: " + "; ".join(self._abandon(stick) for stick in sticks)
                    if sticks
                    else "cancelled; nothing was written"
                ) from err
            except (ProvisionerError, OSError) as err:
                fates = [self._abandon(stick) for stick in sticks if stick.result.changed]
                if isinstance(err, OSError):  # of a stick, while it was prepared
                    failed = device_error(err, _current(sticks).target, None, None)
                    raise _with_fate(failed, fates) from err
                raise _with_fate(err, fates) from err.__cause__
        finally:
            for stick in sticks:
                with suppress(OSError):
                    stick.target.device.close()
        return tuple(stick.result for stick in sticks)

    def _open(self, stream: Stream, disk: Disk, request: Request) -> _Stick:
        """All gates again, the last of them on the descriptor."""
        meant = chosen(disk)
        device = open_checked(self._machine, disk, meant, request)
        mine = resized(stream, disk.size)
        target = Target(
            disk=disk,
            device=device,
            own=mine.own if isinstance(mine, Resized) else (),
            present=lambda: still_there(self._machine, meant),
            pause=self._machine.pause,
        )
        stamps = probes.spans(disk.size, self._care.stamps) if self._care.stamps else ()
        return _Stick(
            target=target,
            stream=mine,
            chosen=meant,
            result=Result(disk=disk),
            spans=capsules.wanted_spans(
                disk,
                ((0, WIPED), (disk.size - WIPED, WIPED), *stamps),
                head=self._care.head,
                tail=self._care.tail,
            ),
        )

    def _prepare(self, stick: _Stick, sticks: Sequence[_Stick]) -> None:
        """Everything that can still be undone. One of several that fails drops out."""
        try:
            self._try_out(stick)
        except (ProvisionerError, OSError) as err:
            if len(sticks) == 1:
                raise
            stick.target.failure = err
            self._settle_failure(stick)

    def _try_out(self, stick: _Stick) -> None:
        """Capsule, wipe, proof of the wipe, probe."""
        disk, device = stick.result.disk, stick.target.device
        capsule = capsules.save(device, disk, self._care.state, stick.spans)
        stick.target.capsule = capsule
        self._same(stick)
        stick.result.changed = True
        kept = wipe(device, disk, capsule.marker())
        device.reread_table()
        self._machine.settle()
        if self._care.stamps:
            total = self._care.stamps * probes.STAMP
            self._progress(f"checking {disk.name}", 0, total)
            probed = probes.probe(device, disk.size, os.urandom(16), self._care.stamps)
            stick.result.probed = probed
            if probed.capacity is not Capacity.HONEST:
                raise fake(disk, probed)
            kept = wipe(device, disk, capsule.marker())  # the last stamp is where a table may be
            self._progress(f"checking {disk.name}", total, total)
        if not kept:
            raise GateError(
                f"{name_of(disk)} has less than it says: its last bytes keep nothing",
                rule="usb.fake",
                hint="give it back; what is written past its real end is lost",
            )

    def _write(self, stream: Stream, sticks: Sequence[_Stick]) -> None:
        if sticks:
            write_stream(stream, [stick.target for stick in sticks], self._progress)
        for stick in sticks:
            self._settle_failure(stick)

    def _prove(self, sticks: Sequence[_Stick]) -> None:
        """Identity, then every byte; one thread for each stick, and this one tells."""
        for stick in sticks:
            try:
                self._same(stick)
                stick.target.device.reread_table()
            except (ProvisionerError, OSError) as err:
                stick.target.failure = err
                self._settle_failure(stick)
        alive = _alive(sticks)
        if self._care.verify and alive:
            for stick, verified in zip(alive, self._verify_all(alive), strict=True):
                if isinstance(verified, ProvisionerError | OSError):
                    stick.target.failure = verified
                    self._settle_failure(stick)
                    continue
                stick.result.verified = verified
                if not verified.sound:
                    stick.result.verified = verified = self._condemn(stick, verified)
                    failure = told(verified, name_of(stick.result.disk))
                    stick.result.failure = failure
                    if stick.target.bootable:
                        failure.message += f"; {_looks_whole(stick.result.disk)}"
        for stick in sticks:
            if stick.target.capsule is not None:
                stick.target.capsule.remove()
                stick.target.capsule = None

    def _verify_all(
        self, sticks: Sequence[_Stick]
    ) -> Iterator[Verified | ProvisionerError | OSError]:
        """Of each what came out, or what stopped it."""
        if len(sticks) == 1:
            yield _verified(sticks[0], self._progress)
            return
        done = [0] * len(sticks)
        stopped = threading.Event()

        def one(number: int) -> Verified | ProvisionerError | OSError:
            def note(label: str, count: int, total: int) -> None:
                done[number] = count
                if stopped.is_set():
                    raise InterruptedByUser("cancelled")

            return _verified(sticks[number], note)

        def report() -> None:
            for count, stick in sorted(zip(done, sticks, strict=True), key=lambda pair: pair[0]):
                label = named("verifying", stick.result.disk, sticks)
                self._progress(label, count, stick.stream.used)

        with ThreadPoolExecutor(len(sticks)) as pool:
            futures = [pool.submit(one, number) for number in range(len(sticks))]
            try:
                while not all(future.done() for future in futures):
                    self._machine.pause(0.1)
                    report()
            except BaseException:
                stopped.set()  # the pool waits for them
                raise
            report()
            yield from (future.result() for future in futures)

    def _condemn(self, stick: _Stick, verified: Verified) -> Verified:
        """Takes the first sector away again: nobody is to boot from what is not whole. A stick on
        which that does not stick forgets what is written; that is what is wrong with it."""
        capsule = stick.target.capsule
        # Another word each time: the marker of the beginning may still be there.
        marker = capsule.marker(os.urandom(8).hex()) if capsule is not None else bytes(SECTOR)
        marked = mark(stick.target.device, marker)
        stick.target.bootable = marked is None or not _unfinished(stick)
        if marked is False:
            findings = tuple(
                replace(finding, fault=Fault.DROPPED) if finding.fault is Fault.FLASH else finding
                for finding in verified.findings
            )
            return replace(verified, findings=findings)
        return verified

    def _same(self, stick: _Stick) -> None:
        identity = stick.target.device.identity()
        now = self._machine.disk_of_number(identity.number)
        require_same(stick.chosen, identity, now)
        if now is not None and now.uses:
            raise GateError(
                f"{name_of(now)} was taken in the meantime: {now.uses[0].describe()}",
                rule="usb.busy",
                hint="unmount it, and write it again",
            )

    def _settle_failure(self, stick: _Stick) -> None:
        """What a failure while writing leaves, in the stick's result."""
        failure = stick.target.failure
        if failure is None:
            return
        if isinstance(failure, OSError):
            failure = device_error(failure, stick.target, None, None)
        if not isinstance(failure, ProvisionerError):
            raise failure
        fate = self._abandon(stick)
        stick.result.failure = FailedError(f"{failure.message}; {fate}", hint=failure.hint)

    def _abandon(self, stick: _Stick) -> str:
        """Puts the old contents back, or else sees to it that it looks unfinished; in words."""
        disk, device, capsule = stick.result.disk, stick.target.device, stick.target.capsule
        if not stick.result.changed:
            return f"{disk.node} was not changed"
        if capsule is None:
            done = "failed" if stick.result.failure is not None else "is written, and read back"
            return f"{disk.node} {done}"
        stick.target.capsule = None
        if not capsule.expired:
            try:
                capsule.put_back(device)
                capsule.remove()
            except (OSError, ProvisionerError):
                return (
                    f"{disk.node} could not be put back now; with it plugged in again, "
                    f"`provisioner usb restore {disk.stable_id} --undo` does it"
                )
            stick.result.undone = True
            return f"{disk.node} is as it was before"
        marked = mark(device, capsule.marker())
        capsule.remove()
        if stick.target.bootable and not marked:
            return _looks_whole(disk)
        return f"{disk.node} is unfinished: it has no partition table, and says so"


def _alive(sticks: Sequence[_Stick]) -> list[_Stick]:
    return [stick for stick in sticks if stick.result.failure is None]


def _verified(stick: _Stick, progress: Progress) -> Verified | ProvisionerError | OSError:
    try:
        return verify(stick.target.device, stick.target.ranges, stick.stream, progress)
    except (ProvisionerError, OSError) as err:
        return err


def _unfinished(stick: _Stick) -> bool:
    """Whether it says so; it does not where that cannot be read."""
    with suppress(OSError):
        return capsules.unfinished(stick.target.device.read(0, SECTOR))
    return False


def _looks_whole(disk: Disk) -> str:
    """Of a stick whose first sector is there and cannot be taken away again."""
    return f"{disk.node} may look finished, and is not: do not start a PC from it"


def _current(sticks: Sequence[_Stick]) -> _Stick:
    """The one that was being prepared: the last that was changed, or the first."""
    return next((stick for stick in reversed(sticks) if stick.result.changed), sticks[0])


def _with_fate(err: ProvisionerError, fates: Sequence[str]) -> ProvisionerError:
    """The same error, which also says what became of the sticks."""
    if fates:
        err.message = "; ".join((err.message, *fates))
        err.args = (err.message,)
    return err
