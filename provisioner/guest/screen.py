"""Pictures of a display: a cheap hash to see change by, and PNG for people. Pure."""

from __future__ import annotations

import re
import struct
import zlib
from hashlib import blake2b

from provisioner.errors import FailedError
from provisioner.ports import Picture

_PPM = re.compile(rb"P6\s+(\d{1,5})\s+(\d{1,5})\s+255\s")
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def mark(picture: Picture) -> bytes:
    """Equal for equal pictures. Of the file as it came: QEMU's PNG writer gives the same bytes for
    the same screen, and decoding a million pixels would cost a hundred times more."""
    return blake2b(picture.data, digest_size=8).digest()


def png(picture: Picture) -> bytes:
    """The picture as PNG. QEMU before 7.1 gives PPM (docs/facts/libvirt.md §5)."""
    if picture.data.startswith(PNG_MAGIC):
        return picture.data
    found = _PPM.match(picture.data)
    if found is None:
        raise FailedError(
            f"the display's picture is of a kind we cannot read: {picture.media_type}"
        )
    width, height = int(found[1]), int(found[2])
    pixels = memoryview(picture.data)[found.end() :]
    if not width or not height or len(pixels) < 3 * width * height:
        raise FailedError("the display's picture is cut off")
    row = 3 * width
    # Filter 0 before every row (PNG specification, 9.2): no filter.
    rows = b"".join(b"\0" + pixels[y * row : (y + 1) * row] for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return PNG_MAGIC + b"".join(
        _chunk(kind, data)
        for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 6)), (b"IEND", b""))
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
