"""Dates of discs as seconds since 1970; None for a date that is not set or makes no sense."""

from __future__ import annotations

import struct
from datetime import UTC, datetime


def record_seconds(data: bytes) -> int | None:
    """The seven bytes of a directory record: ECMA-119 9.1.5, also RRIP 4.1.6 (short form)."""
    if len(data) < 7 or not data[1]:
        return None
    year, month, day, hour, minute, second, zone = struct.unpack("<BBBBBBb", data[:7])
    return _seconds(year + 1900, month, day, hour, minute, second, zone * 15)


def digits_seconds(data: bytes) -> int | None:
    """The 17 bytes of a volume descriptor: ECMA-119 8.4.26.1, also RRIP 4.1.6 (long form)."""
    text = data[:14]
    if len(data) < 17 or not text.isdigit():
        return None
    year, month, day, hour, minute, second = (
        int(text[a:b]) for a, b in ((0, 4), (4, 6), (6, 8), (8, 10), (10, 12), (12, 14))
    )
    (zone,) = struct.unpack("<b", data[16:17])
    return _seconds(year, month, day, hour, minute, second, zone * 15)


def udf_seconds(data: bytes) -> int | None:
    """A timestamp of ECMA-167 1/7.3: its zone is 12 bits of minutes, -2047 for none."""
    if len(data) < 12:
        return None
    kind, year, month, day, hour, minute, second = struct.unpack("<HhBBBBB", data[:9])
    zone = (kind & 0xFFF) - (0x1000 if kind & 0x800 else 0)
    return _seconds(year, month, day, hour, minute, second, 0 if zone == -2047 else zone)


def _seconds(
    year: int, month: int, day: int, hour: int, minute: int, second: int, zone: int
) -> int | None:
    try:
        date = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return int(date.timestamp()) - zone * 60
