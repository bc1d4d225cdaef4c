"""Reads a stick back and compares every range; says what is wrong where something is.

The kernel's cache is dropped first and reads are direct. What differs is read three times more, so
that a reader that errs is not taken for flash that forgets (facts iso-usb §1.5, rpi-imager#1721).
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from enum import StrEnum

from provisioner.errors import FailedError
from provisioner.frozen import frozen
from provisioner.usb.chunks import Buffers, chunks, hashed
from provisioner.usb.device import Device
from provisioner.usb.spans import SECTOR
from provisioner.usb.stream import Place, Stream
from provisioner.usb.write import Range

REREADS = 3
AHEAD = 3
"""Ranges that are being read or hashed at a time."""
MOST_FINDINGS = 16
"""So many differing ranges are looked into; of the rest only the number is told."""

Progress = Callable[[str, int, int], None]

SAMPLES = 3
"""Of so many of them the image is searched for where their bytes belong."""


class Fault(StrEnum):
    """Why a range is not what was written."""

    HICCUP = "reader, once"
    """Right when it was read again."""
    READER = "reader"
    """Something else each time."""
    FLASH = "flash"
    """The same wrong bytes each time."""
    UNREADABLE = "unreadable"
    WRAP = "wrap-around"
    """What was written somewhere else stands here: the stick has less than it says."""
    DROPPED = "read-only lie"
    """Writes are accepted and forgotten."""


@frozen
class Finding:
    """One range that was not as written at first. `offset` is the first byte that differs, as far
    as that is known; `stray`: where the bytes belong that stand here (wrap-around)."""

    fault: Fault
    offset: int
    length: int
    place: Place
    stray: int | None = None


@frozen
class Verified:
    """What came out. `differing` counts the ranges, also those that are not in `findings`."""

    size: int
    ranges: int
    differing: int
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        """Whether every byte was read as written in the end."""
        return all(finding.fault is Fault.HICCUP for finding in self.findings) and (
            self.differing == len(self.findings)
        )

    @property
    def verdict(self) -> Fault | None:
        """The one cause that explains most; None where nothing differed."""
        faults = [finding.fault for finding in self.findings]
        for cause in (Fault.DROPPED, Fault.WRAP, Fault.FLASH, Fault.UNREADABLE, Fault.READER):
            if cause in faults:
                return cause
        return Fault.HICCUP if faults else None


def digests_of(stream: Stream) -> Iterator[Range]:
    """What a stick with this image has to hold, while the image is read."""
    with ThreadPoolExecutor(1) as hasher:
        waiting: deque[tuple[int, int, Future[bytes]]] = deque()
        for chunk in chunks(stream, Buffers(AHEAD + 2)):
            waiting.append((chunk.offset, chunk.length, hasher.submit(hashed, chunk)))
            if len(waiting) >= AHEAD:
                offset, length, future = waiting.popleft()
                yield Range(offset, length, future.result())
        for offset, length, future in waiting:
            yield Range(offset, length, future.result())


def verify(
    device: Device,
    expected: Iterable[Range],
    stream: Stream,
    progress: Progress,
    *,
    label: str = "verifying",
) -> Verified:
    """Compares all ranges. `stream` is read again only where something differs, to tell the byte
    and the file. OSError does not leave: what cannot be read is a finding."""
    device.forget()
    bad: list[Range] = []
    seen: dict[bytes, int] = {}
    done = count = 0
    with ThreadPoolExecutor(2) as readers:
        for wanted, future in _ahead(readers, device, expected):
            found = future.result()
            count += 1
            # Runs of zeros stand in many places; where they belong says nothing.
            seen[wanted.digest] = -1 if wanted.digest in seen else wanted.offset
            if found != wanted.digest:
                bad.append(wanted)
            done += wanted.length
            progress(label, done, max(done, stream.used))
    findings = _diagnose(device, bad[:MOST_FINDINGS], stream, seen) if bad else ()
    return Verified(size=done, ranges=count, differing=len(bad), findings=findings)


def _ahead(
    readers: ThreadPoolExecutor, device: Device, expected: Iterable[Range]
) -> Iterator[tuple[Range, Future[bytes | None]]]:
    waiting: deque[tuple[Range, Future[bytes | None]]] = deque()
    for wanted in expected:
        waiting.append((wanted, readers.submit(_digest, device, wanted)))
        if len(waiting) >= AHEAD:
            yield waiting.popleft()
    yield from waiting


def _digest(device: Device, wanted: Range) -> bytes | None:
    try:
        return device.digest(wanted.offset, wanted.length)
    except OSError:
        return None


def _diagnose(
    device: Device, bad: Sequence[Range], stream: Stream, seen: dict[bytes, int]
) -> tuple[Finding, ...]:
    """Reads each range again, beside what the image has there."""
    left = {wanted.offset: wanted for wanted in bad}
    last = max(left)
    findings: list[Finding] = []
    samples: dict[int, bytes] = {}
    device.forget()
    for chunk in chunks(stream, Buffers(2)):
        wanted = left.get(chunk.offset)
        try:
            if wanted is not None:
                finding, sample = _finding(device, wanted, bytes(chunk.data), stream, seen)
                findings.append(finding)
                if finding.fault is Fault.FLASH and len(samples) < SAMPLES:
                    samples |= {finding.offset: sample} if len(set(sample)) > 8 else {}
        finally:
            chunk.done()
        if chunk.offset >= last:
            break
    strays = _origins(stream, samples) if samples else {}
    return tuple(
        replace(finding, fault=Fault.WRAP, stray=strays[finding.offset])
        if finding.offset in strays
        else finding
        for finding in findings
    )


def _origins(stream: Stream, samples: dict[int, bytes]) -> dict[int, int]:
    """Where in the image the sectors belong that were found at wrong offsets, if anywhere."""
    found: dict[int, int] = {}
    for chunk in chunks(stream, Buffers(2)):
        try:
            data = bytes(chunk.data)
            for offset, sample in samples.items():
                at = data.find(sample)
                if at >= 0 and at % SECTOR == 0:
                    found.setdefault(offset, chunk.offset + at)
        finally:
            chunk.done()
        if len(found) == len(samples):
            break
    return found


def _finding(
    device: Device, wanted: Range, expected: bytes, stream: Stream, seen: dict[bytes, int]
) -> tuple[Finding, bytes]:
    """And the first sector that differs, as it is on the stick."""
    reads: list[bytes | None] = []
    for _ in range(REREADS):
        try:
            reads.append(device.read(wanted.offset, wanted.length))
        except OSError:
            reads.append(None)
    whole = [data for data in reads if data is not None]
    stray: int | None = None
    first = 0
    if expected in whole:
        fault = Fault.HICCUP
    elif not whole:
        fault, first = Fault.UNREADABLE, _first_unreadable(device, wanted)
    else:
        first = _first_difference(expected, whole[0])
        origin = seen.get(hashlib.sha256(whole[0]).digest(), -1)
        if len(set(whole)) > 1 or len(whole) < len(reads):
            fault = Fault.READER
        elif origin >= 0:
            fault, stray = Fault.WRAP, origin
        else:
            fault = Fault.FLASH
    sector = first // SECTOR * SECTOR
    finding = Finding(
        fault=fault,
        offset=wanted.offset + first,
        length=wanted.length,
        place=stream.place(wanted.offset + first),
        stray=stray,
    )
    return finding, whole[0][sector : sector + SECTOR] if whole else b""


def _first_unreadable(device: Device, wanted: Range) -> int:
    """In two steps, so that few reads fail: each may take seconds."""
    first, end = wanted.offset, wanted.offset + wanted.length
    for step in (64 * 1024, SECTOR):
        for at in range(first, end, step):
            try:
                device.read(at, min(step, end - at))
            except OSError:
                first, end = at, min(at + step, end)
                break
        else:
            return 0  # it can be read by now
    return first - wanted.offset


def _first_difference(expected: bytes, found: bytes) -> int:
    """By halves; every step compares in the interpreter's own C."""
    low, high = 0, min(len(expected), len(found))
    if expected[:high] == found[:high]:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        if expected[low:middle] == found[low:middle]:
            low = middle
        else:
            high = middle
    return low


def told(result: Verified, what: str) -> FailedError:
    """A verification that failed. `what` is the stick."""
    verdict = result.verdict
    mine = [finding for finding in result.findings if finding.fault is verdict]
    first = mine[0]
    where = f"byte {first.offset}, {first.place.partition}"
    if first.place.file is not None:
        where += f", {first.place.file}"
    others = result.differing - 1
    more = f", and so are {others} more ranges" if others else ""
    match verdict:
        case Fault.WRAP:
            least = min(abs(f.offset - f.stray) for f in mine if f.stray is not None)
            message = f"has less than it says: at {where}, is what belongs at byte {first.stray}"
            hint = f"it is a fake of about {max(1, least // 2**20)} MiB; give it back"
        case Fault.DROPPED:
            message = f"accepts writes and forgets them: {where}, is as before{more}"
            hint = "its flash has locked itself; take another stick"
        case Fault.READER:
            message = f"is read differently each time: {where}{more}"
            hint = "that is the reader, the port or the cable; try another one, then `usb verify`"
        case Fault.UNREADABLE:
            message = f"cannot be read: {where}{more}"
            hint = "its flash is failing, or it was unplugged; take another stick"
        case _:
            message = f"does not hold what was written: {where}, is wrong in the same way each time"
            message += more
            hint = "its flash is failing; take another stick"
    return FailedError(f"{what} {message}", hint=hint)
