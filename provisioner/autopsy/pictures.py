"""Pictures of the display as PNG. Pure.

libvirt hands out what QEMU draws: PPM, or PNG from newer versions. PNG: ISO/IEC 15948; PPM: netpbm,
the binary form with 8 bits a sample, which QEMU writes.
"""

from __future__ import annotations

import re
import struct
import zlib

from provisioner.ports import Picture

BIGGEST = 64 << 20
"""Bytes of a picture; 4096 x 4096 at three bytes a pixel are 48 MiB."""
_PNG = b"\x89PNG\r\n\x1a\n"
_PPM = re.compile(rb"P6\s+(?:#[^\n]*\n\s*)*(\d{1,5})\s+(\d{1,5})\s+255\s")


def png_of(picture: Picture) -> bytes | None:
    """The picture as PNG; None for anything that is no picture, or far too big."""
    return png(picture.data)


def png(data: bytes) -> bytes | None:
    """The same for bytes of unknown kind."""
    if len(data) > BIGGEST:
        return None
    if data.startswith(_PNG):
        return data
    found = _PPM.match(data)
    if found is None:
        return None
    width, height = int(found[1]), int(found[2])
    pixels = memoryview(data)[found.end() :]
    stride = width * 3
    if not width or not height or len(pixels) < stride * height:
        return None
    rows = bytearray()
    for row in range(height):
        rows += b"\0"  # filter type None
        rows += pixels[row * stride : (row + 1) * stride]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        _PNG
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(bytes(rows), 6))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
