"""Raw images and block maps: made by other people's tools, damaged in every way."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.errors import FailedError, MediaError, ProvisionerError
from provisioner.usb.raw import open_raw
from provisioner.usb.raw_bmap import beside, parse_map, read_map
from provisioner.usb.spans import MIB
from tests.unit.disc.readers import run

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "raw": bytes,
    "xz": lzma.compress,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}


def content(length: int) -> bytes:
    return os.urandom(100_000) + bytes(length - 200_000) + os.urandom(100_000)


def written(path: Path, **options: object) -> bytes:
    image = open_raw(path, None, limit=None, **options)  # type: ignore[arg-type]
    found = bytearray(image.size)
    end = 0
    for offset, data in image.blocks():
        assert offset >= end and len(data) % 512 == 0
        end = offset + len(data)
        found[offset:end] = data
    assert image.used == end
    return bytes(found)


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize("length", [5 * MIB, 5 * MIB + 1, 300_000])
def test_the_same_bytes(tmp_path: Path, kind: str, length: int) -> None:
    data = content(length)
    path = tmp_path / "image"  # the name says nothing
    path.write_bytes(PACKERS[kind](data))
    assert written(path) == data.ljust(-(-length // 512) * 512, b"\0")


@pytest.mark.parametrize("kind", ["xz", "gz", "bz2", "zst"])
def test_packed_in_two_pieces(tmp_path: Path, kind: str) -> None:
    """As parallel compressors leave them."""
    pack = PACKERS[kind]
    padding = bytes(8) if kind == "xz" else b""
    path = tmp_path / "image"
    path.write_bytes(pack(b"a" * 1024) + padding + pack(b"b" * 1024))
    assert written(path) == b"a" * 1024 + b"b" * 1024


@pytest.mark.parametrize("program", [["xz", "-T2"], ["zstd", "-q", "--long=27"], ["gzip"]])
def test_other_peoples_packers(tmp_path: Path, program: list[str]) -> None:
    data = content(3 * MIB)
    (tmp_path / "image").write_bytes(data)
    packed = subprocess.run(
        [*program, "-c", tmp_path / "image"], check=True, capture_output=True
    ).stdout
    (tmp_path / "packed").write_bytes(packed)
    assert written(tmp_path / "packed") == data


@pytest.mark.parametrize("kind", ["xz", "gz", "bz2", "zst"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "empty after the magic"])
def test_damage_is_found_before_a_stick_is_erased(tmp_path: Path, kind: str, damage: str) -> None:
    packed = bytearray(PACKERS[kind](content(2 * MIB)))
    if damage == "cut":
        del packed[-100:]
    elif damage == "flipped":
        packed[len(packed) // 4] ^= 0x55  # among what is random: zeros survive some flips
    else:
        del packed[8:]
    path = tmp_path / "image"
    path.write_bytes(packed)
    with pytest.raises(FailedError, match="damaged or cut short"):
        open_raw(path, None, limit=None)


def test_bombs_and_greedy_headers(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zst"
    path.write_bytes(zstandard.ZstdCompressor().compress(bytes(64 * MIB)))
    with pytest.raises(MediaError, match="all that the stick has"):
        open_raw(path, None, limit=10 * MIB)
    path.write_bytes(lzma.compress(b"x", filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 2**30}]))
    with pytest.raises(FailedError, match="damaged"):
        open_raw(path, None, limit=None)


def test_what_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    for name, says in (("missing", "does not exist"), ("empty", "empty"), (".", "cannot read")):
        with pytest.raises(ProvisionerError, match=says):
            open_raw(tmp_path / name, None, limit=None)


def test_an_image_that_shrinks(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(content(5 * MIB))
    image = open_raw(path, None, limit=None)
    with path.open("r+b") as file:
        file.truncate(MIB)
    with pytest.raises(FailedError, match="became shorter"):
        list(image.blocks())


@pytest.mark.parametrize("packed", [False, True])
def test_places(tmp_path: Path, packed: bool) -> None:
    """Partition and file of an offset, by the image's own tables."""
    path, part = tmp_path / "image", tmp_path / "part"
    for made, size in ((path, 40 * MIB), (part, 36 * MIB)):
        with made.open("wb") as file:
            file.truncate(size)
    run("sgdisk", "-n", f"1:2048:{2048 + 36 * 2048 - 1}", "-t", "1:0700", "-c", "1:DATA", path)
    run("mkfs.vfat", "-n", "STICK", part)
    (tmp_path / "setup.exe").write_bytes(b"MZ" * 10_000)
    run("mcopy", "-i", part, tmp_path / "setup.exe", "::/setup.exe")
    with path.open("r+b") as file:
        file.seek(MIB)
        file.write(part.read_bytes())
    if packed:
        run("gzip", "-1", path)
        path = path.with_suffix(".gz")
    image = open_raw(path, None, limit=None)
    at = part.read_bytes().index(b"MZMZ") + MIB
    assert image.place(at).partition == "partition 1 (DATA)"
    assert image.place(at).file == (None if packed else "setup.exe")
    assert image.place(0).partition == "outside of all partitions"


# --- block maps -----------------------------------------------------------------------------------

BLOCK = 4096


def bmap(data: bytes, ranges: list[tuple[int, int]], *, version: str = "2.0") -> bytes:
    """As bmaptool writes it."""
    kind = {"2.0": "sha256", "1.4": "sha256", "1.3": "sha1", "1.2": "", "1.0": ""}[version]
    name = "sha1" if version == "1.3" else "chksum"
    rows = ""
    for first, last in ranges:
        part = data[first * BLOCK : (last + 1) * BLOCK]
        digest = f' {name}="{hashlib.new(kind, part).hexdigest()}"' if kind else ""
        rows += (
            f"<Range{digest}> {first}-{last} </Range>\n"
            if last > first
            else (f"<Range{digest}> {first} </Range>\n")
        )
    own = {"sha256": "BmapFileChecksum", "sha1": "BmapFileSHA1", "": ""}[kind]
    zeros = "0" * (64 if kind == "sha256" else 40)
    text = f"""<?xml version="1.0" ?>
<!-- made here -->
<bmap version="{version}">
  <ImageSize> {len(data)} </ImageSize>
  <BlockSize> {BLOCK} </BlockSize>
  <BlocksCount> {-(-len(data) // BLOCK)} </BlocksCount>
  <MappedBlocksCount> {sum(last - first + 1 for first, last in ranges)} </MappedBlocksCount>
  {"<ChecksumType> sha256 </ChecksumType>" if kind == "sha256" else ""}
  {f"<{own}> {zeros} </{own}>" if own else ""}
  <BlockMap>
{rows}  </BlockMap>
</bmap>
"""
    if own:
        text = text.replace(zeros, hashlib.new(kind, text.encode()).hexdigest())
    return text.encode()


DATA = os.urandom(10 * BLOCK) + bytes(100 * BLOCK) + os.urandom(5 * BLOCK + 100)
RANGES = [(0, 9), (50, 50), (110, 115)]


@pytest.mark.parametrize("version", ["2.0", "1.4", "1.3", "1.2", "1.0"])
@pytest.mark.parametrize("kind", ["raw", "xz"])
def test_only_mapped_blocks_are_written(tmp_path: Path, version: str, kind: str) -> None:
    path = tmp_path / "image.wic.xz"
    path.write_bytes(PACKERS[kind](DATA))
    (tmp_path / "image.wic.bmap").write_bytes(bmap(DATA, RANGES, version=version))
    found = beside(path)
    assert found is not None
    image = open_raw(path, read_map(found), limit=None)
    assert [(offset, len(data)) for offset, data in image.blocks()] == [
        (0, 10 * BLOCK),
        (50 * BLOCK, BLOCK),
        (110 * BLOCK, 5 * BLOCK + 512),
    ]
    assert image.used == 16 * BLOCK + 512
    assert b"".join(bytes(data) for _, data in image.blocks())[: 10 * BLOCK] == DATA[: 10 * BLOCK]


def test_an_image_of_another_map(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(DATA)
    sound = parse_map(bmap(DATA, RANGES))
    other = bytearray(DATA)
    other[5 * BLOCK] ^= 1
    path.write_bytes(other)
    with pytest.raises(FailedError, match="not the image of its block map: bytes 0 to 40959"):
        open_raw(path, sound, limit=None)
    path.write_bytes(DATA[:-1])
    with pytest.raises(MediaError, match="block map is for one of"):
        open_raw(path, sound, limit=None)


GOOD = bmap(DATA, RANGES)
PLAIN = bmap(DATA, RANGES, version="1.2")
DAMAGED = [
    (GOOD.replace(b" 50 ", b" 51 "), "own checksum"),
    (PLAIN.replace(b"0-9", b"9-0"), "out of place"),
    (PLAIN.replace(b" 50 ", b" 5 "), "out of place"),
    (PLAIN.replace(b"110-115", b"110-116"), "out of place"),
    (PLAIN.replace(b" 50 ", b" x "), "a range is"),
    (PLAIN.replace(b"> 17 <", b"> 18 <"), "as many blocks"),
    (PLAIN.replace(b"> 4096 <", b"> 4097 <"), "sizes make no sense"),
    (PLAIN.replace(b"> 116 <", b"> 117 <"), "not that of its size"),
    (PLAIN.replace(b'"1.2"', b'"3.0"'), "not 1.0 to 2.0"),
    (PLAIN.replace(b"<bmap", b'<!DOCTYPE bmap [<!ENTITY a "b">]><bmap'), "document type"),
    (PLAIN[:-10], "no XML"),
    (b"", "no XML"),
]


@pytest.mark.parametrize(("data", "says"), DAMAGED, ids=lambda value: str(value)[:12])
def test_damaged_maps(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "a.bmap"
    path.write_bytes(data)
    with pytest.raises(MediaError, match=says):
        read_map(path)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(PLAIN) - 1), st.integers(0, 255), st.booleans())
def test_maps_never_raise_anything_else(at: int, byte: int, cut: bool) -> None:
    data = PLAIN[:at] if cut else PLAIN[:at] + bytes([byte]) + PLAIN[at + 1 :]
    path = Path(f"/dev/shm/provisioner-test-{os.getpid()}.bmap")
    try:
        path.write_bytes(data)
        found = read_map(path)
        assert found.size <= 10**19
    except MediaError:
        pass
    finally:
        path.unlink()
