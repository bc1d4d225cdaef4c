"""Ways to damage a file that parsers trip over: bits, numbers, blocks, cuts, repaired checksums."""

from __future__ import annotations

import binascii
import random
import re
import struct
from collections.abc import Callable, Sequence

_NUMBERS = (0, 1, 2, 7, 8, 127, 128, 255, 256, 2047, 2048, 2**15, 2**16 - 1, 2**24, 2**31 - 1)
_NUMBERS += (2**31, 2**32 - 1)
_FORMS = ("<B", "<H", ">H", "<I", ">I", "<Q")
_BLOCK = 2048
_WORDS = (
    *(b"", b"0", b"-1", b"9" * 400, b"1e999", b"0x7fffffffffffffffffff", b"1_000", b"010", b".inf"),
    *(
        b"null",
        b"~",
        b"true",
        b"[]",
        b"{}",
        b"[" * 40,
        b"{a: " * 30,
        b"]",
        b"}",
        b"*a",
        b"&a ",
        b"<<",
    ),
    *(
        b"!!python/object:os.system ",
        b"!!binary ",
        b"? ",
        b"|",
        b">-",
        b"'",
        b'"',
        b"# ",
        b": ",
        b"---",
    ),
    *(b"\t", b"\r", b"\0", b"\x85", b"\xff", b"\xed\xa0\x80", "\u202e".encode(), b"\xe2\x80\xa8"),
    *(
        b"a" * 3000,
        b"&lt;",
        b"<a>",
        b"</",
        b"<!--",
        b"]]>",
        b"<![CDATA[",
        b"2001-01-01",
        b"..",
        b"/",
    ),
)
"""What texts trip over, in YAML, XML, JSON, and columns."""
_UDF_TAGS = frozenset({1, 2, 4, 5, 6, 7, 8, 9, *range(256, 267)})


def mutated(seed: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """One to sixteen changes; `others` are seeds whose pieces may be grafted in."""
    data = bytearray(seed)
    live = _live_blocks(seed)
    for _ in range(chance.choice((1, 1, 1, 2, 2, 4, 8, 16))):
        if not data:
            break
        chance.choice(_CHANGES)(data, live, others, chance)
    if chance.random() < 0.5:
        _repair_udf(data)
    if chance.random() < 0.5:
        _repair_gpt(data)
    return bytes(data)


def mutated_text(seed: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """One to eight changes by the line or the word, so that more of it is still understood."""
    lines = seed.splitlines(keepends=True) or [b""]
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        at = chance.randrange(len(lines))
        match chance.randrange(6):
            case 0 if len(lines) > 1:
                del lines[at]
            case 1:
                lines.insert(at, chance.choice(chance.choice(others).splitlines(keepends=True)))
            case 2:
                other = chance.randrange(len(lines))
                lines[at], lines[other] = lines[other], lines[at]
            case 3:
                lines[at] = chance.choice((b" ", b"  ", b"    ", b"\t", b"- ")) + lines[at]
            case _:
                words = re.split(rb"(\W+)", lines[at])
                words[chance.randrange(len(words))] = chance.choice(_WORDS)
                lines[at] = b"".join(words)
    return b"".join(lines)


def _live_blocks(data: bytes) -> list[int]:
    """Where the metadata is: blocks that are not all one byte. Most of a disc is padding."""
    if len(data) <= 4 * _BLOCK:
        return [0]
    return [at for at in range(0, len(data), _BLOCK) if len(set(data[at : at + 64])) > 1] or [0]


def _place(data: bytearray, live: list[int], chance: random.Random, room: int) -> int:
    """A byte in a live block, more often near its start."""
    span = min(_BLOCK, len(data)) - 1
    at = chance.choice(live) + int(chance.triangular(0, span, 0))
    return max(0, min(at, len(data) - room))


def _bit(data: bytearray, live: list[int], others: Sequence[bytes], chance: random.Random) -> None:
    data[_place(data, live, chance, 1)] ^= 1 << chance.randrange(8)


def _byte(data: bytearray, live: list[int], others: Sequence[bytes], chance: random.Random) -> None:
    data[_place(data, live, chance, 1)] = chance.randrange(256)


def _number(
    data: bytearray, live: list[int], others: Sequence[bytes], chance: random.Random
) -> None:
    form = chance.choice(_FORMS)
    size = struct.calcsize(form)
    if len(data) < size:
        return
    at = _place(data, live, chance, size)
    if chance.random() < 0.3:
        at -= at % size
    if chance.random() < 0.4:
        value = struct.unpack_from(form, data, at)[0] + chance.choice((-1, 1, -2048, 2048, 4))
    else:
        value = chance.choice(_NUMBERS)
    struct.pack_into(form, data, at, value % (1 << 8 * size))


def _copy(data: bytearray, live: list[int], others: Sequence[bytes], chance: random.Random) -> None:
    size = min(chance.choice((4, 16, 64, 512, _BLOCK)), len(data))
    source, target = (_place(data, live, chance, size) for _ in range(2))
    data[target : target + size] = data[source : source + size]


def _graft(
    data: bytearray, live: list[int], others: Sequence[bytes], chance: random.Random
) -> None:
    other = chance.choice(others)
    size = min(chance.choice((16, 512, _BLOCK, 16 * _BLOCK)), len(other))
    at = chance.randrange(len(other) - size + 1)
    target = _place(data, live, chance, 1)
    data[target : target + size] = other[at : at + size]


def _cut(data: bytearray, live: list[int], others: Sequence[bytes], chance: random.Random) -> None:
    if chance.random() < 0.5:
        del data[chance.randrange(len(data)) :]
    else:
        at = _place(data, live, chance, 1)
        del data[at : at + chance.choice((1, 2, 16, 512))]


def _insert(
    data: bytearray, live: list[int], others: Sequence[bytes], chance: random.Random
) -> None:
    at = _place(data, live, chance, 1)
    data[at:at] = chance.randbytes(chance.choice((1, 2, 4, 30)))


def _fill(data: bytearray, live: list[int], others: Sequence[bytes], chance: random.Random) -> None:
    size = min(chance.choice((4, 32, 512)), len(data))
    at = _place(data, live, chance, size)
    data[at : at + size] = bytes([chance.choice((0, 0xFF, 0x80, 0x41))]) * size


_Change = Callable[[bytearray, list[int], Sequence[bytes], random.Random], None]
_CHANGES: tuple[_Change, ...] = (
    _bit,
    _bit,
    _byte,
    _number,
    _number,
    _number,
    _copy,
    _graft,
    _cut,
    _insert,
    _fill,
)


def _repair_udf(data: bytearray) -> None:
    """Gives every UDF descriptor its checksum and CRC again, so that what it says is believed."""
    for at in range(0, len(data) - 511, 512):
        identifier, version = struct.unpack_from("<HH", data, at)
        if identifier not in _UDF_TAGS or version not in {2, 3}:
            continue
        (length,) = struct.unpack_from("<H", data, at + 10)
        length = min(length, len(data) - at - 16)
        struct.pack_into("<H", data, at + 10, length)
        crc = binascii.crc_hqx(data[at + 16 : at + 16 + length], 0)
        struct.pack_into("<H", data, at + 8, crc)
        data[at + 4] = (sum(data[at : at + 4]) + sum(data[at + 5 : at + 16])) & 0xFF


def _repair_gpt(data: bytearray) -> None:
    """The same for a GPT at the second sector."""
    if len(data) < 1024 or data[512:520] != b"EFI PART":
        return
    first, count, size = struct.unpack_from("<QII", data, 512 + 72)
    if first * 512 + count * size <= len(data) and count * size < 1 << 20:
        entries = binascii.crc32(data[first * 512 : first * 512 + count * size])
        struct.pack_into("<I", data, 512 + 88, entries)
    struct.pack_into("<I", data, 512 + 16, 0)
    (length,) = struct.unpack_from("<I", data, 512 + 12)
    struct.pack_into("<I", data, 512 + 16, binascii.crc32(data[512 : 512 + min(length, 512)]))
