"""XPRESS with Huffman codes, one WIM chunk at a time ([MS-XCA] §2.1 and §2.2)."""

from __future__ import annotations

from provisioner.media.huffman import INVALID, decode_table
from provisioner.media.window import Damaged

_TABLE_BYTES = 256
_LONGEST = 15
_LEAST_MATCH = 3
_AHEAD = 2
"""Words past the end that a decoder may look at."""


def decompress(data: bytes, size: int, limit: int | None = None) -> bytes:
    """The first `limit` of the `size` bytes that a compressed chunk stands for.

    `Damaged` for a chunk that breaks the rules. Every step gives a byte at least, so that time and
    memory are bounded by `limit`.
    """
    if len(data) < _TABLE_BYTES:
        raise Damaged("an XPRESS chunk is shorter than its table of code lengths")
    lengths = [nibble for byte in data[:_TABLE_BYTES] for nibble in (byte & 15, byte >> 4)]
    table = decode_table(lengths, _LONGEST)
    end = size if limit is None else min(size, limit)
    # Looking ahead past the end gives zeros; going on there is damage.
    last = len(data) + 2 * _AHEAD
    out = bytearray()
    at = _TABLE_BYTES
    buffer = count = 0
    while len(out) < end:
        if at > last:
            raise Damaged("an XPRESS chunk ends too early")
        # Whole words are taken early: bytes of long lengths stand between them.
        while count < 16:
            word = data[at : at + 2]
            buffer = buffer << 16 | (int.from_bytes(word, "little") if len(word) == 2 else 0)
            at += 2
            count += 16
        entry = table[buffer >> (count - 15) & 0x7FFF]
        if entry == INVALID:
            raise Damaged("an XPRESS chunk holds a code that its table does not know")
        count -= entry & 31
        buffer &= (1 << count) - 1
        symbol = entry >> 5
        if symbol < 256:
            out.append(symbol)
            continue
        while count < 16:
            word = data[at : at + 2]
            buffer = buffer << 16 | (int.from_bytes(word, "little") if len(word) == 2 else 0)
            at += 2
            count += 16
        bits = symbol >> 4 & 15
        count -= bits
        distance = 1 << bits | buffer >> count
        buffer &= (1 << count) - 1
        length = symbol & 15
        if length == 15:
            length += int.from_bytes(data[at : at + 1], "little")
            at += 1
            if length == 15 + 255:
                length = int.from_bytes(data[at : at + 2], "little")
                at += 2
        length += _LEAST_MATCH
        start = len(out) - distance
        if start < 0 or len(out) + length > size:
            raise Damaged("an XPRESS chunk copies from before its start or past its end")
        if distance >= length:
            out += out[start : start + length]
        else:
            piece = bytes(out[start:])
            out += (piece * (length // distance + 1))[:length]
    return bytes(out[:end])
