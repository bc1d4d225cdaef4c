"""Block maps of Yocto's bmaptool (versions 1.0 to 2.0): which blocks of an image mean something.

Format: bmaptool's own documentation and its BmapCreate.py. Entities are not expanded; a map that
is not wholly sound is refused, because what it leaves out is not written.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

from provisioner.errors import MediaError
from provisioner.frozen import frozen
from provisioner.host.files import os_error

MOST = 64 * 1024 * 1024
_CHECKSUMS = {"sha1", "sha256", "sha224", "sha384", "sha512", "md5"}


@frozen
class MappedRange:
    """Bytes that mean something, and their digest, empty where the map has none."""

    offset: int
    length: int
    digest: str


@frozen
class BlockMap:
    """A sound map. `size` is the image's, in bytes; `algorithm` is hashlib's name."""

    version: str
    size: int
    algorithm: str
    ranges: tuple[MappedRange, ...]


def beside(image: Path) -> Path | None:
    """The map that belongs to an image: IMAGE.bmap, or without the suffix of a compression."""
    names = [f"{image.name}.bmap"]
    if image.suffix in {".xz", ".gz", ".zst", ".bz2"}:
        names.append(f"{image.stem}.bmap")
    return next((path for name in names if (path := image.with_name(name)).is_file()), None)


def read_map(path: Path) -> BlockMap:
    """MediaError for what is no map, and for one that is damaged."""
    try:
        if path.stat().st_size > MOST:
            raise MediaError(f"{path} is too large for a block map")
        data = path.read_bytes()
    except OSError as err:
        raise os_error(err, f"read {path}") from err
    try:
        return parse_map(data)
    except _Wrong as err:
        raise MediaError(
            f"{path} is no sound block map: {err}",
            hint="fetch it again, or leave it out with --no-bmap",
        ) from err


class _Wrong(Exception):
    pass


def parse_map(data: bytes) -> BlockMap:
    """A map from its bytes."""
    root = _parsed(data)
    version = root.get("version", "")
    if root.tag != "bmap" or not re.fullmatch(r"1\.\d+|2\.0", version):
        raise _Wrong(f"its version is {version or 'missing'}, not 1.0 to 2.0")
    size, block = _count(root, "ImageSize"), _count(root, "BlockSize")
    if not block or block % 512 or not size:
        raise _Wrong("its sizes make no sense")
    algorithm = (root.findtext("ChecksumType") or "sha1").strip().lower()
    if algorithm not in _CHECKSUMS:
        raise _Wrong(f"its checksums are {algorithm}")
    _own_checksum(root, data, algorithm)
    blocks = -(-size // block)
    if _count(root, "BlocksCount") != blocks:
        raise _Wrong("its number of blocks is not that of its size")
    listing = root.find("BlockMap")
    if listing is None:
        raise _Wrong("it lists no blocks")
    ranges: list[MappedRange] = []
    end = mapped = 0
    for entry in listing.findall("Range"):
        match = re.fullmatch(r"\s*(\d+)(?:\s*-\s*(\d+))?\s*", entry.text or "")
        if match is None:
            raise _Wrong(f"a range is {entry.text!r}")
        first, last = int(match[1]), int(match[2] or match[1])
        if first < end or last < first or last >= blocks:
            raise _Wrong(f"range {first}-{last} is out of place")
        end = last + 1
        mapped += end - first
        ranges.append(
            MappedRange(
                offset=first * block,
                length=min(end * block, size) - first * block,
                digest=(entry.get("chksum") or entry.get("sha1") or "").strip().lower(),
            )
        )
    count = root.findtext("MappedBlocksCount")
    if count is not None and count.strip() != str(mapped):
        raise _Wrong("its ranges are not as many blocks as it says")
    return BlockMap(version=version, size=size, algorithm=algorithm, ranges=tuple(ranges))


def _parsed(data: bytes) -> ElementTree.Element:
    """The document, without a document type: there is nothing that could be expanded."""

    def refuse(*_: object) -> None:
        raise _Wrong("it has a document type")

    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(data, True)
        return builder.close()
    except (expat.ExpatError, AssertionError, LookupError, ValueError) as err:
        raise _Wrong("it is no XML") from err


def _count(root: ElementTree.Element, name: str) -> int:
    text = (root.findtext(name) or "").strip()
    if not re.fullmatch(r"\d{1,19}", text):
        raise _Wrong(f"{name} is missing")
    return int(text)


def _own_checksum(root: ElementTree.Element, data: bytes, algorithm: str) -> None:
    """The map's digest is taken with zeros in place of the digest itself (bmaptool)."""
    for name, kind in (("BmapFileChecksum", algorithm), ("BmapFileSHA1", "sha1")):
        text = (root.findtext(name) or "").strip()
        if not text:
            continue
        zeroed = data.replace(text.encode(), b"0" * len(text), 1)
        if hashlib.new(kind, zeroed, usedforsecurity=False).hexdigest() != text.lower():
            raise _Wrong("its own checksum does not fit it")
