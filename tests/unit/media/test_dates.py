"""Dates of discs, against values that were worked out by hand."""

from __future__ import annotations

import struct

import pytest

from provisioner.media.dates import digits_seconds, record_seconds, udf_seconds

NOON = 1_700_000_000  # 2023-11-14 22:13:20 UTC


@pytest.mark.parametrize(
    ("data", "seconds"),
    [
        (bytes((123, 11, 14, 22, 13, 20, 0)), NOON),
        (bytes((123, 11, 14, 23, 13, 20, 4)), NOON),  # an hour east, in quarters
        (bytes((123, 11, 14, 17, 13, 20, 256 - 20)), NOON),  # five hours west
        (bytes(7), None),
        (bytes((123, 13, 1, 0, 0, 0, 0)), None),
        (bytes((123, 2, 30, 0, 0, 0, 0)), None),
        (b"short", None),
    ],
)
def test_directory_records(data: bytes, seconds: int | None) -> None:
    assert record_seconds(data) == seconds


@pytest.mark.parametrize(
    ("data", "seconds"),
    [
        (b"2023111422132000\x00", NOON),
        (b"2023111423132000\x04", NOON),
        (b"0000000000000000\x00", None),
        (b"20231114221320", None),
        (b"not a date at all", None),
    ],
)
def test_volume_descriptors(data: bytes, seconds: int | None) -> None:
    assert digits_seconds(data) == seconds


@pytest.mark.parametrize(
    ("zone", "hour", "seconds"),
    [(0, 22, NOON), (60, 23, NOON), (-300, 17, NOON), (-2047, 22, NOON), (0, 25, None)],
)
def test_udf(zone: int, hour: int, seconds: int | None) -> None:
    data = struct.pack("<HhBBBBB3x", 0x1000 | zone & 0xFFF, 2023, 11, 14, hour, 13, 20)
    assert udf_seconds(data) == seconds
    assert udf_seconds(data[:11]) is None
