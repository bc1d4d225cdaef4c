"""WIM, ESD and split WIM files: the header and the XML that names the images, in place.

Layout after `ebiggers/wimlib:include/wimlib/header.h`; the XML's elements as Microsoft's media have
them (facts windows-setup §7). Compressed resources are not decoded here.
"""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ET
from typing import Protocol

from provisioner.frozen import frozen
from provisioner.media.facts import Edition
from provisioner.media.window import Damaged

HEADER_BYTES = 208
MAX_XML_BYTES = 4 << 20
"""Real ones have about 10 KiB for each image."""
MAX_IMAGES = 4096

MAGIC = b"MSWIM\0\0\0"
PIPABLE_MAGIC = b"WLPWM\0\0\0"
_SOLID_VERSION = 0x00000E00
_COMPRESSIONS = {0x20000: "XPRESS", 0x40000: "LZX", 0x80000: "LZMS", 0x200000: "XPRESS"}
_ARCHITECTURES = {0: "x86", 5: "arm", 6: "ia64", 9: "amd64", 12: "arm64"}


class Readable(Protocol):
    """A bare file (`Window`) or a file inside an image (`Extents`)."""

    size: int

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes; `Damaged` where there are fewer."""
        ...


@frozen
class Resource:
    """A resource header: where a part of the WIM lies. Sizes in bytes."""

    offset: int
    size: int
    original_size: int
    flags: int
    """1 free, 2 metadata, 4 compressed, 8 spanned, 16 solid."""


@frozen
class WimHeader:
    """The 208 bytes at the start. `part` of `parts` counts from 1."""

    version: int
    flags: int
    chunk_bytes: int
    guid: bytes
    part: int
    parts: int
    image_count: int
    boot_index: int
    table: Resource
    xml: Resource
    boot_metadata: Resource
    integrity: Resource
    pipable: bool

    @property
    def solid(self) -> bool:
        """Many files packed together, as in an ESD: cannot be split by regrouping."""
        return self.version == _SOLID_VERSION

    @property
    def compression(self) -> str:
        """`none`, `XPRESS`, `LZX`, `LZMS` or `unknown`."""
        if not self.flags & 0x2:
            return "none"
        return next((name for bit, name in _COMPRESSIONS.items() if self.flags & bit), "unknown")


@frozen
class Wim:
    """What a WIM says about itself. `raw` is header and XML as stored, for the fingerprint.

    `editions` are the images that are a Windows: an ESD also holds Setup's own files and WinPE,
    which count in `header.image_count` only. `pe` are the images that are Windows PE, `names` what
    all images are called, by index.
    """

    header: WimHeader
    editions: tuple[Edition, ...]
    pe: tuple[Edition, ...]
    names: tuple[str, ...]
    raw: bytes


def is_wim(start: bytes) -> bool:
    """Whether a file that starts so is a WIM, plain or pipable."""
    return start[:8] in {MAGIC, PIPABLE_MAGIC}


def read_header(file: Readable) -> WimHeader:
    """The header; `Damaged` unless it is one. A pipable WIM keeps the complete copy at its end."""
    data = file.read(0, HEADER_BYTES)
    pipable = data[:8] == PIPABLE_MAGIC
    if pipable:
        data = file.read(file.size - HEADER_BYTES, HEADER_BYTES)
    if not is_wim(data) or int.from_bytes(data[8:12], "little") != HEADER_BYTES:
        raise Damaged("a WIM header is missing or damaged")
    version, flags, chunk = struct.unpack_from("<III", data, 12)
    part, parts, images = struct.unpack_from("<HHI", data, 40)
    return WimHeader(
        version=version,
        flags=flags,
        chunk_bytes=chunk,
        guid=data[24:40],
        part=part,
        parts=parts,
        image_count=images,
        boot_index=int.from_bytes(data[120:124], "little"),
        table=resource_at(data, 48),
        xml=resource_at(data, 72),
        boot_metadata=resource_at(data, 96),
        integrity=resource_at(data, 124),
        pipable=pipable,
    )


def resource_at(data: bytes, at: int) -> Resource:
    """The 24 bytes of a resource header, as the WIM's header and its blob table have them."""
    packed, offset, original = struct.unpack_from("<QQQ", data, at)
    return Resource(
        offset=offset, size=packed & ((1 << 56) - 1), original_size=original, flags=packed >> 56
    )


def read_wim(file: Readable) -> Wim:
    """Header and images of a WIM. Reads 208 bytes and the XML; `Damaged` for anything unsound."""
    header = read_header(file)
    place = header.xml
    if place.flags & 0x14 or place.size != place.original_size:
        raise Damaged("the XML of a WIM is compressed, which no writer does")
    if not 2 <= place.size <= MAX_XML_BYTES:
        raise Damaged(f"the XML of a WIM has {place.size} bytes; up to {MAX_XML_BYTES} are read")
    stored = file.read(place.offset, place.size)
    images = tuple(_image(element) for element in _images(stored))
    return Wim(
        header=header,
        editions=tuple(i for i in images if i.installation_type not in {"", "WindowsPE"}),
        pe=tuple(i for i in images if i.installation_type == "WindowsPE"),
        names=tuple(image.display_name for image in images),
        raw=file.read(0, HEADER_BYTES) + stored,
    )


def _images(stored: bytes) -> list[ET.Element]:
    """The IMAGE elements in index order."""
    try:
        text = stored.removeprefix(b"\xff\xfe").decode("utf-16-le").rstrip("\0")
    except UnicodeDecodeError as err:
        raise Damaged(f"the XML of a WIM is not UTF-16: {err.reason}") from err
    # Entities can only be declared in a DTD, and no WIM has one: no entity bombs.
    if "<!" in text.replace("<!--", "").replace("<![CDATA[", ""):
        raise Damaged("the XML of a WIM holds a document type, which none should")
    try:
        root = ET.fromstring(text)
    except (ET.ParseError, ValueError) as err:
        raise Damaged(f"the XML of a WIM is damaged: {err}") from err
    found = root.findall("IMAGE")
    if root.tag != "WIM" or len(found) > MAX_IMAGES:
        raise Damaged("the XML of a WIM is not about WIM images")
    indexes = [_number(element.get("INDEX")) for element in found]
    if len(set(indexes)) != len(found) or 0 in indexes:
        raise Damaged("the images of a WIM are not numbered properly")
    return sorted(found, key=lambda element: _number(element.get("INDEX")))


def _image(element: ET.Element) -> Edition:
    windows = element.find("WINDOWS")
    languages = tuple(
        text
        for found in element.findall("WINDOWS/LANGUAGES/LANGUAGE")
        if (text := (found.text or "").strip())
    )
    version = (
        _number(element.findtext("WINDOWS/VERSION/MAJOR")),
        _number(element.findtext("WINDOWS/VERSION/MINOR")),
        _number(element.findtext("WINDOWS/VERSION/BUILD")),
        _number(element.findtext("WINDOWS/VERSION/SPBUILD")),
    )
    name, kind = _text(element, "NAME"), _text(element, "WINDOWS/INSTALLATIONTYPE")
    edition = _text(element, "WINDOWS/EDITIONID")
    if windows is not None and not kind:  # Windows 7 and older, and images made by hand
        server = edition.startswith("Server")
        kind = edition if edition == "WindowsPE" else "Server" if server else "Client"
    number = (element.findtext("WINDOWS/ARCH") or "").strip()
    known = _ARCHITECTURES.get(_number(number), f"unknown ({number[:20]})")
    return Edition(
        index=_number(element.get("INDEX")),
        name=name,
        display_name=_text(element, "DISPLAYNAME") or name,
        description=_text(element, "DESCRIPTION"),
        edition_id=edition,
        installation_type=kind,
        architecture=known if number else "",
        version=version,
        languages=languages,
        default_language=_text(element, "WINDOWS/LANGUAGES/DEFAULT") or None,
        total_bytes=_number(element.findtext("TOTALBYTES")),
    )


def _text(element: ET.Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _number(text: str | None) -> int:
    """A decimal number, 0 where there is none; WIM numbers have at most 20 digits."""
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 20 else 0
