"""Writes one stream to several sticks: read once, hashed beside, written by two threads each.

The first MiB goes last, its first sector last of all, so that a stick that is not whole never
looks as if it were. Progress counts what a device accepted, each by itself, the slowest first.
"""

from __future__ import annotations

import errno
import hashlib
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from provisioner.errors import FailedError, ProvisionerError
from provisioner.usb.capsule import Capsule
from provisioner.usb.chunks import HEAD, TAIL, Buffers, Chunk, chunks, cut, hashed
from provisioner.usb.device import Device
from provisioner.usb.devices import Disk
from provisioner.usb.spans import SECTOR
from provisioner.usb.stream import Block, Stream

QUEUE = 4
"""Chunks that wait for a device (facts iso-usb §8.4)."""
WRITERS = 2
"""Writes of one stick that are under way: when one ends, the kernel has the next already. With one
the device waits between them, as with dd; three are hardly faster."""
TRIES = 4
"""Of a write that fails; transient errors of readers go away (facts iso-usb §1.5)."""

Progress = Callable[[str, int, int], None]

_GONE = frozenset({errno.ENODEV, errno.ENXIO, errno.ENOMEDIUM, errno.ESHUTDOWN, errno.EBADF})
_PROTECTED = frozenset({errno.EROFS, errno.EPERM, errno.EACCES})
_FULL = frozenset({errno.ENOSPC, errno.EFBIG})


@dataclass(frozen=True, slots=True)
class Range:
    """What stands, or should stand, at a place: SHA-256 of `length` bytes."""

    offset: int
    length: int
    digest: bytes


@dataclass(slots=True, eq=False)
class Target:
    """One stick on its way. `present` says whether its disk is still there, as sysfs sees it.

    `own`: what stands at its ends in place of the stream's (`Stream.ends`). `ranges`: what must
    stand on it once everything is written. `bootable`: its first sector may be there."""

    disk: Disk
    device: Device
    own: tuple[Block, ...] = ()
    capsule: Capsule | None = None
    present: Callable[[], bool] = lambda: True
    pause: Callable[[float], None] = lambda seconds: None
    accepted: int = 0
    failure: BaseException | None = None
    ranges: tuple[Range, ...] = ()
    bootable: bool = False
    queue: queue.Queue[Chunk | None] = field(default_factory=lambda: queue.Queue(QUEUE))
    _failed_at: int = 0
    _under_way: set[int] = field(default_factory=set)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def give(self, chunk: Chunk) -> None:
        """To whichever writer has time; waits while too many are waiting."""
        with self._changed:
            self._under_way.add(chunk.offset)
        self.queue.put(chunk)

    def accept(self, count: int) -> None:
        """Counts, whichever writer it was."""
        with self._changed:
            self.accepted += count

    def fail(self, err: BaseException, chunk: Chunk | None = None) -> None:
        """Of two writes that fail, the one that lies in front is told."""
        with self._changed:
            at = chunk.offset if chunk is not None else self.disk.size
            if self.failure is None or at < self._failed_at:
                self.failure, self._failed_at = err, at
            self._changed.notify_all()

    def end(self, chunk: Chunk) -> None:
        """It is written, or never will be."""
        with self._changed:
            self._under_way.discard(chunk.offset)
            self._changed.notify_all()
        chunk.done()

    def expire(self, offset: int, length: int) -> bool:
        """Before a write: passes the point of no return if it has to, once everything before is
        written. False where that failed; then all can still be undone."""
        capsule = self.capsule
        if capsule is None or capsule.holds(offset, length):
            return True
        with self._changed:
            while self.failure is None and not capsule.expired:
                if min(self._under_way, default=offset) >= offset:
                    capsule.expire()
                    self._changed.notify_all()
                else:
                    self._changed.wait()
        return self.failure is None


def write_stream(
    stream: Stream, targets: Sequence[Target], progress: Progress, *, label: str = "writing"
) -> None:
    """Writes everything and notes what must now stand on each stick.

    A stick that fails keeps its `failure` and drops out; FailedError only where the source fails,
    or all sticks did. On any exception, Ctrl-C as well, no stick has its first sector.
    """
    buffers = Buffers(QUEUE + 3)
    ranges: list[tuple[int, int, Future[bytes]]] = []
    head: list[Block] = []
    writers = [
        threading.Thread(target=_writer, args=(target, stream), daemon=True)
        for target in targets
        for _ in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    stopped = threading.Event()
    with ThreadPoolExecutor(1) as hasher:
        try:
            for chunk in chunks(stream, buffers):
                chunk.users = 1 + len(targets)
                ranges.append((chunk.offset, chunk.length, hasher.submit(hashed, chunk)))
                if chunk.offset < HEAD:
                    head.append((chunk.offset, bytes(chunk.data)))
                for target in targets:
                    if chunk.offset < HEAD or (target.own and _at_an_end(chunk.offset, stream)):
                        chunk.done()
                    else:
                        target.give(chunk)
                _report(progress, label, targets, stream)
                if all(target.failure is not None for target in targets):
                    break
        except BaseException as err:
            stopped.set()
            for target in targets:
                target.fail(err)
            raise
        finally:
            for target in targets:
                for _ in range(WRITERS):
                    target.queue.put(None)
            for writer in writers:
                while writer.is_alive():
                    writer.join(0.25)
                    if not stopped.is_set():
                        _report(progress, label, targets, stream)
    common = [Range(offset, length, digest.result()) for offset, length, digest in ranges]
    for target in [one for one in targets if one.failure is None]:
        _finish(target, target.own or head, stream)
        target.ranges = _with_own(common, target, stream)
    _report(progress, label, targets, stream)


def _at_an_end(offset: int, stream: Stream) -> bool:
    return offset < HEAD or offset >= stream.size - TAIL


def _with_own(common: Sequence[Range], target: Target, stream: Stream) -> tuple[Range, ...]:
    if not target.own:
        return tuple(common)
    inner = [one for one in common if not _at_an_end(one.offset, stream)]
    own = [
        Range(offset, len(data), hashlib.sha256(data).digest())
        for block in target.own
        for offset, data in cut(block)
    ]
    return tuple(sorted([*inner, *own], key=lambda one: one.offset))


def named(label: str, disk: Disk, targets: Sequence[object]) -> str:
    """Of several sticks, each has its own progress."""
    return label if len(targets) == 1 else f"{label} {disk.name}"


def _report(progress: Progress, label: str, targets: Sequence[Target], stream: Stream) -> None:
    alive = [target for target in targets if target.failure is None]
    for target in sorted(alive, key=lambda one: one.accepted):
        progress(named(label, target.disk, targets), target.accepted, stream.used)


def _writer(target: Target, stream: Stream) -> None:
    """Writes what comes, until None; after a failure it only empties the queue."""
    while (chunk := target.queue.get()) is not None:
        try:
            if target.failure is None and target.expire(chunk.offset, chunk.length):
                _write(target, chunk.offset, chunk.data, stream)
        except BaseException as err:  # told by the main thread, which alone talks to people
            target.fail(err, chunk)
        finally:
            target.end(chunk)
    try:
        if target.failure is None:
            target.device.flush()
    except OSError as err:
        target.fail(device_error(err, target, None, stream))


def _finish(target: Target, ends: Sequence[Block], stream: Stream) -> None:
    """The first MiB, its first sector last, each part on the medium before the next begins."""
    try:
        first = b""
        for offset, data in ends:
            if offset == 0:
                first, data, offset = data[:SECTOR], data[SECTOR:], SECTOR
            target.expire(offset, len(data))
            _write(target, offset, data, stream)
        target.device.flush()
        if first:
            target.bootable = True
            _write(target, 0, first, stream)
            target.device.flush()
    except OSError as err:
        target.failure = device_error(err, target, None, stream)
    except ProvisionerError as err:
        target.failure = err


def _write(target: Target, offset: int, data: bytes | memoryview, stream: Stream) -> None:
    """All of it, trying again what may be a hiccup. FailedError in words."""
    view = memoryview(data)
    tries = TRIES
    while view:
        try:
            taken = target.device.write(offset, view)
            if taken == 0:
                raise OSError(errno.ENOSPC, "nothing more is taken")
            taken = taken // SECTOR * SECTOR
            if not taken:
                raise OSError(errno.EIO, "less than a sector was taken")
        except OSError as err:
            tries -= 1
            lasting = err.errno in _GONE | _PROTECTED | _FULL or not target.present()
            if lasting or not tries:
                raise device_error(err, target, offset, stream) from err
            target.pause(0.5)
            continue
        target.accept(taken)
        offset += taken
        view = view[taken:]
        tries = TRIES


def device_error(
    err: OSError, target: Target, offset: int | None, stream: Stream | None
) -> FailedError:
    """What a failing write or flush means."""
    name = f"{target.disk.node} ({target.disk.title})"
    at = f" at byte {offset}" if offset is not None else ""
    if err.errno in _GONE or not target.present():
        return FailedError(
            f"{name} disappeared{at}",
            hint="it was unplugged, or its reader reset; plug it in again, at another port, and "
            "write it again",
        )
    if err.errno in _PROTECTED:
        return FailedError(
            f"{name} became write-protected{at}",
            hint="sticks do that when their flash is worn out; take another one",
        )
    if err.errno in _FULL:
        return FailedError(
            f"{name} shrank: it takes nothing more{at}, and said it has {target.disk.size} bytes",
            hint="it is a fake or broken; `provisioner usb probe` measures it",
        )
    where = ""
    if offset is not None and stream is not None:
        place = stream.place(offset)
        where = f", in {place.file or place.partition}"
    return FailedError(
        f"{name} does not take what is written{at}{where}: {err.strerror}",
        hint="its flash or its reader is failing; try another port, then another stick",
    )
