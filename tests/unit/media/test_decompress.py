"""XPRESS and LZX chunks, with libwim as the other side."""

from __future__ import annotations

import random
import struct
from pathlib import Path
from time import process_time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provisioner.media import lzx, xpress
from provisioner.media.huffman import INVALID, decode_table
from provisioner.media.window import Damaged
from tests.unit.media import wimlib

CHUNK = 32768
PROGRAM = Path("/bin/bash").read_bytes()
KINDS = {"xpress": wimlib.XPRESS, "lzx": wimlib.LZX}


def decompress(kind: str, data: bytes, size: int, limit: int | None = None) -> bytes:
    if kind == "lzx":
        return lzx.decompress(data, size, window=CHUNK, limit=limit)
    return xpress.decompress(data, size, limit)


def sample(chance: random.Random, size: int) -> bytes:
    """Machine code, text, runs and noise, as files have them."""
    data = b""
    while len(data) < size:
        at = chance.randrange(len(PROGRAM) - size)
        match chance.randrange(5):
            case 0 | 1:
                data += PROGRAM[at : at + chance.randrange(1, size + 1)]
            case 2:
                data += bytes([chance.randrange(256)]) * chance.randrange(1, 3000)
            case 3:
                data += bytes(chance.choice(b"\xe8\xe8\0\xffab") for _ in range(300))
            case _:
                data += chance.randbytes(chance.randrange(1, 200))
    return data[:size]


@pytest.mark.parametrize("kind", KINDS)
def test_what_libwim_packs_is_unpacked(kind: str) -> None:
    """Whole, and any part from the start."""
    chance = random.Random(f"chunks {kind}")
    packed = 0
    for _ in range(60):
        size = chance.choice((CHUNK, CHUNK, chance.randrange(20, CHUNK)))
        data = sample(chance, size)
        chunk = wimlib.compress(KINDS[kind], data)
        if chunk is None:
            continue
        packed += 1
        assert decompress(kind, chunk, size) == data
        limit = chance.randrange(size + 1)
        assert decompress(kind, chunk, size, limit) == data[:limit]
    assert packed > 40


@pytest.mark.parametrize("window", [1 << n for n in range(15, 22)])
def test_lzx_of_every_window(window: int) -> None:
    """A larger window has more offset slots and longer block sizes."""
    data = (PROGRAM * 3)[:window]
    chunk = wimlib.compress(wimlib.LZX, data, window=window)
    assert chunk is not None
    limit = min(window, 200_000)
    assert lzx.decompress(chunk, len(data), window=window, limit=limit) == data[:limit]
    short = wimlib.compress(wimlib.LZX, data[:5000], window=window)
    assert short is not None
    assert lzx.decompress(short, 5000, window=window) == data[:5000]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=12), st.integers(1, 400)), min_size=1),
    st.sampled_from(sorted(KINDS)),
)
def test_any_repetitive_bytes(pieces: list[tuple[bytes, int]], kind: str) -> None:
    data = b"".join(piece * times for piece, times in pieces)[:CHUNK]
    chunk = wimlib.compress(KINDS[kind], data)
    if chunk is not None:
        assert decompress(kind, chunk, len(data)) == data


class Bits:
    """Writes LZX's bit stream: words of 16 bits, the upper end first."""

    def __init__(self) -> None:
        self.text = ""

    def put(self, value: int, count: int) -> Bits:
        self.text += f"{value:0{count}b}" if count else ""
        return self

    def bytes(self) -> bytes:
        text = self.text + "0" * (-len(self.text) % 16)
        words = [int(text[at : at + 16], 2) for at in range(0, len(text), 16)]
        return struct.pack(f"<{len(words)}H", *words)


def uncompressed(data: bytes, *, aligned: bool = False) -> bytes:
    """An LZX chunk with one block that is not compressed; libwim itself never writes one."""
    bits = Bits().put(3, 3).put(0, 1).put(len(data), 16)
    if aligned:
        bits.put(0, 12)  # then a whole word of padding follows
    return bits.bytes() + struct.pack("<3I", 1, 1, 1) + data + b"\0" * (len(data) % 2)


@pytest.mark.parametrize("size", [1, 2, 99, 3000])
def test_blocks_that_are_not_compressed(size: int) -> None:
    data = random.Random(size).randbytes(size).replace(b"\xe8", b"\xe9")
    chunk = uncompressed(data)
    assert wimlib.decompress(wimlib.LZX, chunk, size) == data
    assert lzx.decompress(chunk, size, window=CHUNK) == data


def test_two_blocks_that_are_not_compressed() -> None:
    """The bit stream goes on behind the padding of the first."""
    first, second = b"abc", b"defgh"
    chunk = uncompressed(first) + uncompressed(second)
    assert wimlib.decompress(wimlib.LZX, chunk, 8) == b"abcdefgh"
    assert lzx.decompress(chunk, 8, window=CHUNK) == b"abcdefgh"


@pytest.mark.parametrize("size", [9, 10, 11, 14, 15, 16, 20, 40])
def test_calls_at_the_end_of_a_chunk(size: int) -> None:
    """Which calls (E8) are translated near the end, as libwim has it."""
    for at in range(size - 1):
        data = bytearray(size)
        data[at] = 0xE8
        chunk = uncompressed(bytes(data))
        assert lzx.decompress(chunk, size, window=CHUNK) == wimlib.decompress(
            wimlib.LZX, chunk, size
        )


@pytest.mark.parametrize("target", [0, 5, -1, -20, 11_999_999, 12_000_000, 2**31 - 1, -(2**31)])
def test_targets_of_calls(target: int) -> None:
    data = bytearray(60)
    struct.pack_into("<Bi", data, 20, 0xE8, target)
    chunk = uncompressed(bytes(data))
    assert lzx.decompress(chunk, 60, window=CHUNK) == wimlib.decompress(wimlib.LZX, chunk, 60)


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_chunks(kind: str) -> None:
    """What libwim refuses may be read or refused; what both read is the same."""
    chance = random.Random(f"damage {kind}")
    agreed = refused = 0
    for _ in range(400):
        size = chance.randrange(20, 3000)
        chunk = wimlib.compress(KINDS[kind], sample(chance, size))
        if chunk is None:
            continue
        data = bytearray(chunk)
        for _ in range(chance.choice((1, 1, 3))):
            data[chance.randrange(len(data))] = chance.randrange(256)
        if chance.random() < 0.2:
            del data[chance.randrange(1, len(data)) :]
        theirs = wimlib.decompress(KINDS[kind], bytes(data), size)
        try:
            ours = decompress(kind, bytes(data), size)
        except Damaged:
            refused += 1
            continue
        assert len(ours) == size
        if theirs is not None:
            assert ours == theirs
            agreed += 1
    assert agreed > 20
    assert refused > 20


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty or goes past"),
        (Bits().put(1, 3).put(1, 1).bytes(), "goes past|ends too early"),
        (Bits().put(0, 3).bytes() + bytes(60), "empty or goes past"),
        (Bits().put(4, 3).put(1, 1).bytes() + bytes(60), "empty or goes past"),
        (Bits().put(4, 3).put(0, 1).put(64, 16).bytes() + bytes(60), "unknown type 4"),
        (Bits().put(3, 3).put(0, 1).put(64, 16).bytes(), "not compressed"),
        (Bits().put(1, 3).put(0, 1).put(64, 16).bytes() + bytes(60), "table does not know"),
        (b"\xff" * 3000, "unknown type 7|goes past|impossible"),
    ],
)
def test_hostile_lzx(data: bytes, message: str) -> None:
    with pytest.raises(Damaged, match=message):
        lzx.decompress(data, 64, window=CHUNK)


@pytest.mark.parametrize("size", [0, -1, lzx.LARGEST_CHUNK + 1])
def test_sizes_that_no_chunk_has(size: int) -> None:
    with pytest.raises(Damaged, match="larger than any"):
        lzx.decompress(b"", size, window=lzx.LARGEST_CHUNK)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (bytes(255), "shorter than its table"),
        (bytes(300), "does not know"),
        (b"\x11" * 256, "impossible prefix code"),
    ],
)
def test_hostile_xpress(data: bytes, message: str) -> None:
    with pytest.raises(Damaged, match=message):
        xpress.decompress(data, 64)


def test_tables() -> None:
    assert decode_table([1, 2, 2], 2) == [0 << 5 | 1, 0 << 5 | 1, 1 << 5 | 2, 2 << 5 | 2]
    assert decode_table([1, 0, 0], 1) == [1, INVALID]
    with pytest.raises(Damaged):
        decode_table([1, 1, 1], 2)


def test_speed() -> None:
    """A megabyte in seconds, not minutes: 2.6 MB/s (LZX) where this was written."""
    data = PROGRAM[: 1 << 20]
    chunks = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
    packed = [(wimlib.compress(wimlib.LZX, chunk), len(chunk)) for chunk in chunks]
    before = process_time()
    for chunk, size in packed:
        if chunk is not None:
            lzx.decompress(chunk, size, window=CHUNK)
    assert process_time() - before < 4
