"""LZX as WIM files use it, one chunk at a time.

The format of [MS-PATCH] with WIM's own rules, after the notes at the top of
`ebiggers/wimlib:src/lzx_decompress.c` and `include/wimlib/lzx_constants.h`: each chunk stands
alone, a block's size is one bit or two to three bytes, and x86 calls are always translated, for a
file of 12,000,000 bytes.
"""

from __future__ import annotations

import struct

from provisioner.media.huffman import INVALID, decode_table
from provisioner.media.window import Damaged

_VERBATIM, _ALIGNED, _UNCOMPRESSED = 1, 2, 3
_DEFAULT_BLOCK = 32768
_PRE_SYMBOLS, _LENGTH_SYMBOLS, _ALIGNED_SYMBOLS = 20, 249, 8
_LONGEST = 16
_LEAST_MATCH = 2
_CALL_FILE_SIZE = 12_000_000
LARGEST_CHUNK = 1 << 21
_AHEAD = 3
"""Words past the end that a decoder may look at."""


def _offset_slots() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Base and number of extra bits of each offset slot ([MS-PATCH] §2.6)."""
    bases, extras, base = [0, 1, 2, 3], [0, 0, 0, 0], 4
    while base <= LARGEST_CHUNK:
        bits = min((len(bases) - 2) // 2, 17)
        bases.append(base)
        extras.append(bits)
        base += 1 << bits
    return tuple(bases), tuple(extras)


_BASES, _EXTRAS = _offset_slots()


class _Bits:
    """Words of 16 bits, low byte first, each read from its upper end. Looking ahead past the end
    gives zeros; going on there is `Damaged`."""

    __slots__ = ("buffer", "count", "data", "next", "words")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.buffer = self.count = 0
        self.seek(0)

    def seek(self, byte: int) -> None:
        """Goes on at a byte with nothing read ahead."""
        rest = self.data[byte:]
        rest = rest[: len(rest) // 2 * 2] + bytes(2 * _AHEAD)
        self.words = struct.unpack(f"<{len(rest) // 2}H", rest)
        self.next = self.buffer = self.count = 0

    def take(self, bits: int) -> int:
        while self.count < bits:
            if self.next >= len(self.words):
                raise Damaged("an LZX chunk ends too early")
            self.buffer = self.buffer << 16 | self.words[self.next]
            self.next += 1
            self.count += 16
        self.count -= bits
        value = self.buffer >> self.count
        self.buffer &= (1 << self.count) - 1
        return value

    def symbol(self, table: list[int], width: int) -> int:
        value = self.take(width)
        entry = table[value]
        if entry == INVALID:
            raise Damaged("an LZX chunk holds a code that its table does not know")
        back = width - (entry & 31)
        self.buffer |= (value & ((1 << back) - 1)) << self.count
        self.count += back
        return entry >> 5


class _Decoder:
    """State of one chunk: code lengths go on from block to block, as do the recent offsets."""

    def __init__(self, data: bytes, size: int, limit: int, window: int) -> None:
        self.bits = _Bits(data)
        self.start = 0
        self.size = size
        self.limit = limit
        self.order = max((window - 1).bit_length(), 15)
        slots = sum(1 for base in _BASES if base < 1 << self.order)
        self.main_lengths = [0] * (256 + 8 * slots)
        self.length_lengths = [0] * _LENGTH_SYMBOLS
        self.recent = [1, 1, 1]
        self.out = bytearray()

    def run(self) -> bytearray:
        while len(self.out) < self.limit:
            kind = self.bits.take(3)
            size = self._block_size()
            if not size or len(self.out) + size > self.size:
                raise Damaged("an LZX block is empty or goes past the end of its chunk")
            if kind == _UNCOMPRESSED:
                self._uncompressed(size)
            elif kind in {_VERBATIM, _ALIGNED}:
                aligned = [self.bits.take(3) for _ in range(8)] if kind == _ALIGNED else None
                self._lengths(self.main_lengths, 0, 256)
                self._lengths(self.main_lengths, 256, len(self.main_lengths))
                self._lengths(self.length_lengths, 0, _LENGTH_SYMBOLS)
                self._block(len(self.out) + size, decode_table(aligned, 7) if aligned else None)
            else:
                raise Damaged(f"an LZX block is of unknown type {kind}")
        return self.out

    def _block_size(self) -> int:
        if self.bits.take(1):
            return _DEFAULT_BLOCK
        size = self.bits.take(8) << 8 | self.bits.take(8)
        return size << 8 | self.bits.take(8) if self.order >= 16 else size

    def _lengths(self, lengths: list[int], at: int, end: int) -> None:
        """Code lengths as differences from the last block's, themselves prefix-coded."""
        bits = self.bits
        table = decode_table([bits.take(4) for _ in range(_PRE_SYMBOLS)], 15)
        while at < end:
            symbol = bits.symbol(table, 15)
            if symbol < 17:
                lengths[at] = (lengths[at] - symbol) % 17
                at += 1
                continue
            value = 0
            if symbol == 17:
                run = 4 + bits.take(4)
            elif symbol == 18:
                run = 20 + bits.take(5)
            else:
                run = 4 + bits.take(1)
                change = bits.symbol(table, 15)
                if change > 16:
                    raise Damaged("an LZX chunk has an impossible code length")
                value = (lengths[at] - change) % 17
            run = min(run, end - at)
            lengths[at : at + run] = [value] * run
            at += run

    def _uncompressed(self, size: int) -> None:
        bits = self.bits
        # The rest of the current word is padding; a whole word where none is begun.
        used = bits.next * 16 - bits.count
        byte = self.start + (used // 16 + 1) * 2
        head = bits.data[byte : byte + 12]
        content = bits.data[byte + 12 : byte + 12 + size]
        if len(head) < 12 or len(content) < size:
            raise Damaged("an LZX chunk ends inside a block that is not compressed")
        self.recent = list(struct.unpack("<3I", head))
        self.out += content
        self.start = byte + 12 + size + size % 2
        bits.seek(self.start)

    def _block(self, end: int, aligned: list[int] | None) -> None:
        """Literals and matches up to `end`. Written out flat: this loop takes all the time."""
        main = decode_table(self.main_lengths, _LONGEST)
        long = decode_table(self.length_lengths, _LONGEST)
        bits, out = self.bits, self.out
        words, following = bits.words, bits.next
        buffer, count, recent = bits.buffer, bits.count, self.recent
        stop = min(end, self.limit)
        try:
            while len(out) < stop:
                if count < 16:
                    buffer = buffer << 16 | words[following]
                    following += 1
                    count += 16
                entry = main[buffer >> (count - 16)]
                if entry < 0:
                    raise Damaged("an LZX chunk holds a code that its table does not know")
                count -= entry & 31
                buffer &= (1 << count) - 1
                symbol = entry >> 5
                if symbol < 256:
                    out.append(symbol)
                    continue
                length = (symbol & 7) + _LEAST_MATCH
                if length == _LEAST_MATCH + 7:
                    if count < 16:
                        buffer = buffer << 16 | words[following]
                        following += 1
                        count += 16
                    entry = long[buffer >> (count - 16)]
                    if entry < 0:
                        raise Damaged("an LZX chunk holds a code that its table does not know")
                    count -= entry & 31
                    buffer &= (1 << count) - 1
                    length += entry >> 5
                slot = (symbol >> 3) - 32
                if slot < 3:
                    distance = recent[slot]
                    recent[slot], recent[0] = recent[0], distance
                else:
                    extra = _EXTRAS[slot]
                    while count < 32:
                        buffer = buffer << 16 | words[following]
                        following += 1
                        count += 16
                    if aligned is not None and extra >= 3:
                        count -= extra - 3
                        distance = (buffer >> count) << 3
                        buffer &= (1 << count) - 1
                        entry = aligned[buffer >> (count - 7)]
                        if entry < 0:
                            raise Damaged("an LZX chunk holds an unknown code of an offset")
                        count -= entry & 31
                        distance += entry >> 5
                    else:
                        count -= extra
                        distance = buffer >> count
                    buffer &= (1 << count) - 1
                    distance += _BASES[slot] - 2
                    recent[:] = distance, recent[0], recent[1]
                start = len(out) - distance
                if start < 0 or distance <= 0 or len(out) + length > end:
                    raise Damaged("an LZX chunk copies from before its start or past its end")
                if distance >= length:
                    out += out[start : start + length]
                else:
                    out += (bytes(out[start:]) * (length // distance + 1))[:length]
        except IndexError as err:  # of `words`: the only list whose index is not bounded
            raise Damaged("an LZX chunk ends too early") from err
        bits.next, bits.buffer, bits.count = following, buffer, count


def decompress(data: bytes, size: int, *, window: int, limit: int | None = None) -> bytes:
    """The first `limit` of the `size` bytes that a compressed chunk stands for.

    `window` is the chunk size of the WIM, which only its last chunk may fall short of. `Damaged`
    for a chunk that breaks the rules. Every step gives a byte at least: time and memory are
    bounded by `limit`.
    """
    if not 0 < size <= window <= LARGEST_CHUNK:
        raise Damaged(f"an LZX chunk of {size} bytes is larger than any can be")
    limit = size if limit is None else min(size, limit)
    # A call that starts before the limit is translated as a whole.
    out = _Decoder(data, size, min(size, limit + 4), window).run()
    _restore_calls(out, size)
    return bytes(out[:limit])


def _restore_calls(out: bytearray, size: int) -> None:
    """Makes the targets of x86 calls (E8) relative again; not in the last ten bytes of a chunk."""
    at = out.find(0xE8)
    while 0 <= at < size - 10 and at + 5 <= len(out):
        (target,) = struct.unpack_from("<i", out, at + 1)
        if -at <= target < _CALL_FILE_SIZE:
            relative = target - at if target >= 0 else target + _CALL_FILE_SIZE
            struct.pack_into("<i", out, at + 1, relative)
        at = out.find(0xE8, at + 5)
