"""The integrity table of a WIM: SHA-1 of every 10 MiB from the header to the blob table's end.

Reads all of the file, so only when asked (after `ebiggers/wimlib:src/integrity.c`).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable

from provisioner.frozen import frozen
from provisioner.media.wim import HEADER_BYTES, Readable, WimHeader
from provisioner.media.window import Damaged

_HEAD = struct.Struct("<III")
_LEAST_CHUNK, _LARGEST_CHUNK = 1 << 12, 1 << 30
_PIECE = 1 << 20


@frozen
class Integrity:
    """What the check found. `damaged` has (offset, length) of every run of bytes that differs."""

    chunks: int
    damaged: tuple[tuple[int, int], ...]


def has_integrity(header: WimHeader) -> bool:
    """Whether the WIM carries an integrity table at all; Microsoft's media do."""
    return header.integrity.size > 0


def check_integrity(
    file: Readable, header: WimHeader, progress: Callable[[int, int], None] | None = None
) -> Integrity | None:
    """Compares every chunk with the table; None where there is no table.

    `progress` is given bytes done and bytes in all. `Damaged` for a table that makes no sense.
    """
    if not has_integrity(header):
        return None
    end = header.table.offset + header.table.size
    total = end - HEADER_BYTES
    place = header.integrity
    if place.size != place.original_size or place.size < _HEAD.size or total < 0:
        raise Damaged("the integrity table of a WIM is damaged")
    size, count, chunk = _HEAD.unpack(file.read(place.offset, _HEAD.size))
    sound = _LEAST_CHUNK <= chunk <= _LARGEST_CHUNK and count == -(-total // chunk)
    if not sound or size != place.size or size != _HEAD.size + 20 * count:
        raise Damaged("the integrity table of a WIM does not fit the file")
    hashes = file.read(place.offset + _HEAD.size, 20 * count)
    damaged: list[tuple[int, int]] = []
    done = 0
    for number in range(count):
        start = HEADER_BYTES + number * chunk
        length = min(chunk, end - start)
        digest = hashlib.sha1(usedforsecurity=False)
        for at in range(start, start + length, _PIECE):
            piece = file.read(at, min(_PIECE, start + length - at))
            digest.update(piece)
            done += len(piece)
            if progress is not None:
                progress(done, total)
        if digest.digest() != hashes[number * 20 : number * 20 + 20]:
            damaged.append((start, length))
    return Integrity(chunks=count, damaged=tuple(damaged))
