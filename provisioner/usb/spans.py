"""Runs of bytes on a disk, and their sets: pure arithmetic."""

from __future__ import annotations

from collections.abc import Iterable

Span = tuple[int, int]
"""`(offset, length)` in bytes."""

MIB = 1024 * 1024
SECTOR = 512


def merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same bytes, ascending, each once, neighbours made one."""
    result: list[Span] = []
    for offset, length in sorted(span for span in spans if span[1] > 0):
        if result and offset <= sum(result[-1]):
            first, known = result[-1]
            result[-1] = (first, max(known, offset + length - first))
        else:
            result.append((offset, length))
    return tuple(result)


def clipped(spans: Iterable[Span], size: int) -> tuple[Span, ...]:
    """What of them lies on a disk of `size` bytes, whole sectors."""
    result = []
    for offset, length in spans:
        first = max(0, offset) // SECTOR * SECTOR
        end = min(-(-(offset + length) // SECTOR) * SECTOR, size)
        if first < end:
            result.append((first, end - first))
    return merged(result)


def covers(spans: tuple[Span, ...], offset: int, length: int) -> bool:
    """Whether one of merged `spans` holds all of it."""
    return any(first <= offset and offset + length <= first + n for first, n in spans)
