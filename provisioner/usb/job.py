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
from provisioner.media.show import size_text
from provisioner.usb import capsule as capsules
from provisioner.usb import probe as probes
from provisioner.usb.device import Device, write_out
from provisioner.usb.devices import Chosen, Disk, chosen
from provisioner.usb.gates import (
    GateError,
    Request,
    opening_error,
    require_all,
    require_same,
)
from provisioner.usb.machine import Machine
from provisioner.usb.probe import Capacity, Probed
from provisioner.usb.spans import MIB, SECTOR, Span
from provisioner.usb.stream import Stream
from provisioner.usb.verify import Fault, Verified, told, verify
from provisioner.usb.write import Range, Target, device_error, write_stream

Progress = Callable[[str, int, int], None]
WIPED = MIB
"""At both ends, so that no old table is found (facts iso-usb §8.3, gate 10)."""


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
    target: Target
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
        """Writes and proves. GateError before anything changed; after that every stick has its
        own result. Ctrl-C is InterruptedByUser, which says what became of the sticks."""
        sticks: list[_Stick] = []
        try:
            try:
                for disk in disks:
                    sticks.append(self._open(disk, request))
                for stick in sticks:
                    self._prepare(stick)
                ranges = self._write(stream, sticks)
                self._prove(stream, sticks, ranges)
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

    def _open(self, disk: Disk, request: Request) -> _Stick:
        """All gates again, the last of them on the descriptor."""
        meant = chosen(disk)
        device = open_checked(self._machine, disk, meant, request)
        target = Target(
            disk=disk,
            device=device,
            present=lambda: still_there(self._machine, meant),
            pause=self._machine.pause,
        )
        stamps = probes.spans(disk.size, self._care.stamps) if self._care.stamps else ()
        return _Stick(
            target=target,
            chosen=meant,
            result=Result(disk=disk),
            spans=capsules.wanted_spans(
                disk,
                ((0, WIPED), (disk.size - WIPED, WIPED), *stamps),
                head=self._care.head,
                tail=self._care.tail,
            ),
        )

    def _prepare(self, stick: _Stick) -> None:
        """Capsule, wipe, proof of the wipe, probe: everything that can still be undone."""
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

    def _write(self, stream: Stream, sticks: Sequence[_Stick]) -> tuple[Range, ...]:
        targets = [stick.target for stick in sticks]
        ranges = write_stream(stream, targets, self._progress)
        for stick in sticks:
            self._settle_failure(stick)
        return ranges

    def _prove(self, stream: Stream, sticks: Sequence[_Stick], ranges: tuple[Range, ...]) -> None:
        """Identity, then every byte; one thread for each stick, and this one tells."""
        alive = [stick for stick in sticks if stick.result.failure is None]
        for stick in alive:
            try:
                self._same(stick)
                stick.target.device.reread_table()
            except (ProvisionerError, OSError) as err:
                stick.target.failure = err
                self._settle_failure(stick)
        alive = [stick for stick in alive if stick.result.failure is None]
        if self._care.verify and alive:
            for stick, verified in zip(alive, self._verify_all(stream, alive, ranges), strict=True):
                stick.result.verified = verified
                if not verified.sound:
                    stick.result.verified = verified = self._condemn(stick, verified)
                    stick.result.failure = told(verified, name_of(stick.result.disk))
        for stick in alive:
            if stick.target.capsule is not None:
                stick.target.capsule.remove()
                stick.target.capsule = None

    def _verify_all(
        self, stream: Stream, sticks: Sequence[_Stick], ranges: tuple[Range, ...]
    ) -> Iterator[Verified]:
        if len(sticks) == 1:
            yield verify(sticks[0].target.device, ranges, stream, self._progress)
            return
        done = dict.fromkeys(range(len(sticks)), 0)
        stopped = threading.Event()

        def one(number: int) -> Verified:
            def note(label: str, count: int, total: int) -> None:
                done[number] = count
                if stopped.is_set():
                    raise InterruptedByUser("cancelled")

            return verify(sticks[number].target.device, ranges, stream, note)

        with ThreadPoolExecutor(len(sticks)) as pool:
            futures = [pool.submit(one, number) for number in range(len(sticks))]
            try:
                while not all(future.done() for future in futures):
                    self._machine.pause(0.1)
                    self._progress("verifying", min(done.values()), stream.used)
            except BaseException:
                stopped.set()  # the pool waits for them
                raise
            self._progress("verifying", stream.used, stream.used)
            yield from (future.result() for future in futures)

    def _condemn(self, stick: _Stick, verified: Verified) -> Verified:
        """Takes the first sector away again: nobody is to boot from what is not whole. A stick on
        which that does not stick forgets what is written; that is what is wrong with it."""
        capsule = stick.target.capsule
        # Another word each time: the marker of the beginning may still be there.
        marker = capsule.marker(os.urandom(8).hex()) if capsule is not None else bytes(SECTOR)
        if mark(stick.target.device, marker) is False:
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
        mark(device, capsule.marker())
        capsule.remove()
        return f"{disk.node} is unfinished: it has no partition table, and says so"


def _current(sticks: Sequence[_Stick]) -> _Stick:
    """The one that was being prepared: the last that was changed, or the first."""
    return next((stick for stick in reversed(sticks) if stick.result.changed), sticks[0])


def _with_fate(err: ProvisionerError, fates: Sequence[str]) -> ProvisionerError:
    """The same error, which also says what became of the sticks."""
    if fates:
        err.message = "; ".join((err.message, *fates))
        err.args = (err.message,)
    return err


def open_checked(machine: Machine, disk: Disk, meant: Chosen, request: Request) -> Device:
    """Gates, consented unmounting, opening, and the gates that only the descriptor knows."""
    require_all(disk, request, machine.kernel())
    if request.unmount and disk.uses:
        machine.unmount(disk)
    device = machine.open(meant, request)
    try:
        identity = device.identity()
        now = machine.disk_of_number(identity.number)
        require_same(meant, identity, now, writing=not request.reading)
        if now is not None:
            require_all(now, request, machine.kernel())
    except BaseException as err:
        device.close()
        if isinstance(err, OSError):  # it went while it was asked
            raise opening_error(err, meant) from err
        raise
    return device


def still_there(machine: Machine, meant: Chosen) -> bool:
    """Whether sysfs still has this very disk."""
    now = machine.disk_of_number(meant.number)
    return now is not None and now.diskseq == meant.diskseq and now.serial == meant.serial


def wipe(device: Device, disk: Disk, marker: bytes) -> bool:
    """Zeros over both ends, and the marker first of all; whether the end kept them. GateError
    where the beginning did not."""
    end = min(WIPED, disk.size)
    last = max(end, disk.size - WIPED)
    write_out(device, 0, marker)
    device.flush()
    write_out(device, SECTOR, bytes(end - SECTOR))
    write_out(device, last, bytes(disk.size - last))
    device.flush()
    device.forget()
    head = device.read(0, end)
    if head == bytes(end):
        raise GateError(
            f"{name_of(disk)} has less than it says: what is written to its end stands at its "
            "beginning",
            rule="usb.fake",
            hint="give it back; what is written past its real end is lost",
        )
    if head != marker.ljust(end, b"\0"):
        raise GateError(
            f"{name_of(disk)} accepts writes and forgets them: its first bytes did not stay",
            rule="usb.forgets",
            hint="its flash has locked itself; take another stick",
        )
    return not device.read(last, disk.size - last).strip(b"\0")


def mark(device: Device, marker: bytes) -> bool | None:
    """Puts the marker into the first sector. False where it was accepted and is not there, None
    where it was not accepted."""
    try:
        write_out(device, 0, marker)
        device.flush()
        device.forget()
        return device.read(0, SECTOR) == marker
    except OSError:
        return None


def fake(disk: Disk, probed: Probed) -> GateError:
    """What a probe found."""
    return GateError(
        f"{name_of(disk)} {probed.capacity.value}: it says it has {size_text(disk.size)}, and at "
        f"most {size_text(probed.most)} are real",
        rule="usb.fake",
        hint="give it back; what is written past its real end is lost",
    )


def name_of(disk: Disk) -> str:
    """`/dev/sdc (SanDisk Ultra, serial 4C530001)`."""
    return f"{disk.node} ({disk.title})"
