"""Directory entries of FAT32: long names, the 8.3 names beside them, times.

After Microsoft's "FAT32 File System Specification" (2000): entries of 32 bytes, long names in
entries before the short one, tied to it by a checksum. Which names are legal at all is
`provisioner.image.names`' business.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable, Mapping

from provisioner.frozen import frozen

ENTRY = 32
DIRECTORY_BYTES = 65_536 * ENTRY
"""The specification's limit for one directory."""
ATTRIBUTE_DIRECTORY, ATTRIBUTE_ARCHIVE, ATTRIBUTE_LABEL = 0x10, 0x20, 0x08
_LONG_NAME = 0x0F
_LAST = 0x40
_PER_ENTRY = 13
_SHORT_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'()-@^_`{}~")
EARLIEST, LATEST = 315_532_800, 4_354_819_198
"""1980-01-01 and 2107-12-31 23:59:58: what 16 bits of date can hold."""


@frozen
class Record:
    """One entry of a directory, placed. `cluster` 0 for an empty file."""

    name: str
    directory: bool
    cluster: int
    size: int
    modified: int


def short_names(names: Iterable[str]) -> Mapping[str, bytes]:
    """The 8.3 name of each name of one directory, as its 11 bytes, all different.

    A name that is an 8.3 name in capitals stays itself and needs no long one. No made-up name
    equals another file's name, so that a look-up finds one file, by whichever name. Which number
    a name gets depends only on the names and their order.
    """
    ordered = list(names)
    taken = {name.upper() for name in ordered}
    result: dict[str, bytes] = {}
    numbers: dict[tuple[str, str], int] = {}
    for name in ordered:
        plain = _plain(name)
        if plain is not None:
            result[name] = plain
            continue
        stem, suffix = _basis(name)
        number = numbers.get((stem, suffix), 0)
        while True:
            number += 1
            mark = f"~{number}"
            short = stem[: 8 - len(mark)] + mark
            candidate = f"{short}.{suffix}" if suffix else short
            if candidate not in taken:
                break
        numbers[stem, suffix] = number
        taken.add(candidate)
        result[name] = _packed(short, suffix)
    return result


def entries(record: Record, short: bytes) -> bytes:
    """The entries of one name: the long name's, if it needs one, and the short one."""
    return _long_name(record.name, short) + _short_entry(
        short,
        ATTRIBUTE_DIRECTORY if record.directory else ATTRIBUTE_ARCHIVE,
        record.cluster,
        record.size,
        record.modified,
    )


def entry_bytes(name: str) -> int:
    """How long `entries` will be."""
    return ENTRY if _plain(name) is not None else ENTRY * (1 + -(-units(name) // _PER_ENTRY))


def dots(own: int, parent: int, modified: int) -> bytes:
    """`.` and `..` of a directory; `parent` is 0 below the root."""
    return b"".join(
        _short_entry(name.ljust(11), ATTRIBUTE_DIRECTORY, cluster, 0, modified)
        for name, cluster in ((b".", own), (b"..", parent))
    )


def label_entry(label: str, modified: int) -> bytes:
    """The root's entry for the volume label."""
    return _short_entry(label.encode("ascii").ljust(11), ATTRIBUTE_LABEL, 0, 0, modified)


def units(name: str) -> int:
    """Length of a name as FAT counts it: UTF-16 code units."""
    return len(name.encode("utf-16-le")) // 2


def _plain(name: str) -> bytes | None:
    """The 11 bytes of a name that is an 8.3 name already, else None."""
    stem, dot, suffix = name.partition(".")
    fits = 1 <= len(stem) <= 8 and len(suffix) <= 3 and (suffix or not dot)
    if not fits or not set(stem + suffix) <= _SHORT_CHARACTERS:
        return None
    return _packed(stem, suffix)


def _basis(name: str) -> tuple[str, str]:
    """Stem of up to six and suffix of up to three characters for a name that is made up."""
    stem, _, suffix = name.lstrip(". ").rpartition(".")
    if not stem:
        stem, suffix = suffix, ""
    return _legal(stem)[:6] or "_", _legal(suffix)[:3]


def _legal(text: str) -> str:
    return "".join(
        c if c in _SHORT_CHARACTERS else "_" for c in text.upper().replace(".", "").replace(" ", "")
    )


def _packed(stem: str, suffix: str) -> bytes:
    return (stem.ljust(8) + suffix.ljust(3)).encode("ascii")


def _long_name(name: str, short: bytes) -> bytes:
    if _plain(name) is not None:
        return b""
    text = name.encode("utf-16-le")
    count = -(-units(name) // _PER_ENTRY)
    if len(text) % (2 * _PER_ENTRY):
        text = (text + b"\0\0").ljust(count * 2 * _PER_ENTRY, b"\xff")
    total = 0
    for byte in short:
        total = ((total >> 1) | (total << 7 & 0x80)) + byte & 0xFF
    parts = []
    for number in range(count, 0, -1):
        piece = text[(number - 1) * 26 : number * 26]
        order = number | (_LAST if number == count else 0)
        parts.append(
            struct.pack(
                "<B10sBBB12sH4s",
                order,
                piece[:10],
                _LONG_NAME,
                0,
                total,
                piece[10:22],
                0,
                piece[22:26],
            )
        )
    return b"".join(parts)


def _short_entry(short: bytes, attribute: int, cluster: int, size: int, modified: int) -> bytes:
    date, clock = _date_time(modified)
    # 0xE5 at the start would mark a deleted entry; our names are ASCII and never begin so.
    return struct.pack(
        "<11sBBBHHHHHHHI",
        short,
        attribute,
        0,
        0,
        clock,
        date,
        date,
        cluster >> 16,
        clock,
        date,
        cluster & 0xFFFF,
        size,
    )


def _date_time(modified: int) -> tuple[int, int]:
    """FAT's date and time, which have no zone: UTC, so that the same tree gives the same bytes."""
    at = time.gmtime(min(max(modified, EARLIEST), LATEST))
    return (
        (at.tm_year - 1980) << 9 | at.tm_mon << 5 | at.tm_mday,
        at.tm_hour << 11 | at.tm_min << 5 | at.tm_sec // 2,
    )
