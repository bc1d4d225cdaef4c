"""Files of the user's own that the answer disc takes over: what they are, not how they are read."""

from __future__ import annotations

import struct
from dataclasses import field
from pathlib import Path

from provisioner.frozen import frozen

LARGEST_LOGO = 1024 * 1024
LOGO_PIXELS = 120
"""Both sides of the logo in System Properties (Microsoft, "OEMInformation Logo")."""


@frozen
class SuppliedFile:
    """A file that was read once; `data` may hold secrets and is never shown."""

    path: Path
    data: bytes = field(repr=False)


@frozen
class Supplied:
    """Every file a profile names; None where it names none."""

    answer_file: SuppliedFile | None = None
    logo: SuppliedFile | None = None


def bitmap_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels of a Windows bitmap (BITMAPFILEHEADER, BITMAPINFOHEADER); None
    for anything else."""
    if len(data) < 26 or data[:2] != b"BM":
        return None
    header, width, height = struct.unpack_from("<Iii", data, 14)
    if header < 40 or width <= 0 or height == 0:
        return None
    return width, abs(height)
