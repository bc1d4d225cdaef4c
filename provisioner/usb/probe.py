"""The quick test for a stick that has less than it says: stamps, far apart, written and read back.

Real capacities of fake sticks are powers of two of flash behind address lines that wrap, or stop
(as f3probe models them; facts iso-usb §1.5, §8.3). For each power of two there is a stamp that
would land on the first one. A capacity that wraps elsewhere is found by reading back what was
written (`verify`).
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Sequence
from enum import StrEnum

from provisioner.frozen import frozen
from provisioner.usb.device import Device, write_out
from provisioner.usb.spans import MIB, Span

STAMP = 4096
COUNT = 64
_BASE = MIB + 2 * STAMP
_MAGIC = b"PROVISIONER STAMP"


class Capacity(StrEnum):
    """What came out of a probe."""

    HONEST = "honest"
    WRAPS = "wraps around"
    LOSES = "loses what is written"


@frozen
class Probed:
    """`least` bytes are real as far as was seen, `most` is where it surely ends."""

    capacity: Capacity
    size: int
    least: int
    most: int
    stamps: int
    bad: int


def places(size: int, count: int = COUNT) -> tuple[int, ...]:
    """Where the stamps go on a disk of `size` bytes: ascending, the same each time."""
    last = (size - STAMP) // STAMP * STAMP
    found = {_BASE, last}
    power = 2 * MIB
    while _BASE + power <= last:
        found.add(_BASE + power)
        power *= 2
    for number in range(max(0, count - len(found))):
        jitter = hashlib.sha256(struct.pack("<QQ", size, number)).digest()
        share = (number + int.from_bytes(jitter[:4], "little") / 2**32) / count
        found.add(max(_BASE, int(last * share) // STAMP * STAMP))
    return tuple(sorted(place for place in found if 0 <= place <= last))


def spans(size: int, count: int = COUNT) -> tuple[Span, ...]:
    """What a probe writes over."""
    return tuple((place, STAMP) for place in places(size, count))


def probe(device: Device, size: int, nonce: bytes, count: int = COUNT) -> Probed:
    """Writes all stamps, then reads all of them. OSError where the device fails at either; an
    unreadable stamp counts as lost. The places are written over: keep them before."""
    where = places(size, count)
    for place in where:
        write_out(device, place, stamp(nonce, place))
    device.flush()
    device.forget()
    seen: list[tuple[int, int | None]] = []
    for place in where:
        try:
            data = device.read(place, STAMP)
        except OSError:
            data = b""
        seen.append((place, stamped(nonce, data)))
    return judge(seen, size)


def judge(seen: Sequence[tuple[int, int | None]], size: int) -> Probed:
    """Of `(place, place that the stamp found there was meant for)`, what the disk is."""
    bad = [(place, found) for place, found in seen if found != place]
    good = [place for place, found in seen if found == place]
    strays = [abs(place - found) for place, found in bad if found is not None]
    if not bad:
        return Probed(
            capacity=Capacity.HONEST, size=size, least=size, most=size, stamps=len(seen), bad=0
        )
    if strays:
        capacity = Capacity.WRAPS
        most = math.gcd(*strays)
    else:
        capacity = Capacity.LOSES
        most = min(place for place, _ in bad)
    least = max((place + STAMP for place in good if place < most), default=0)
    return Probed(
        capacity=capacity, size=size, least=least, most=most, stamps=len(seen), bad=len(bad)
    )


def stamp(nonce: bytes, place: int) -> bytes:
    """A block that says where it belongs, and which no stick compresses or guesses."""
    head = _MAGIC + struct.pack("<Q", place)
    digest = hashlib.shake_256(nonce + head).digest(STAMP - len(head))
    return head + digest


def stamped(nonce: bytes, data: bytes) -> int | None:
    """Where a block belongs by its stamp; None where it is not a whole stamp of this probe."""
    if not data.startswith(_MAGIC) or len(data) != STAMP:
        return None
    (place,) = struct.unpack_from("<Q", data, len(_MAGIC))
    return int(place) if data == stamp(nonce, place) else None
