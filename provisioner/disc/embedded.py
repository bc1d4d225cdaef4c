"""The checksum that Fedora's and Red Hat's discs carry in themselves (isomd5sum).

In the application use field of the primary volume descriptor: `ISO MD5SUM = ...;SKIPSECTORS =
15;`. The MD5 covers the volume without its last sectors, this field taken as spaces
(rhinstaller/isomd5sum, README and libcheckisomd5.c).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

from provisioner.frozen import frozen
from provisioner.media.iso9660 import SECTOR
from provisioner.media.window import Window

_FIELD = 16 * SECTOR + 883
_FIELD_LENGTH = 512
_BLOCK = 1024 * 1024


@frozen
class Embedded:
    """The digest in the image, and how many bytes it covers."""

    md5: str
    covered: int


def read_embedded(window: Window) -> Embedded | None:
    """The embedded checksum, None where there is none."""
    descriptor = window.read_up_to(16 * SECTOR, SECTOR)
    if len(descriptor) < SECTOR or descriptor[1:6] != b"CD001":
        return None
    text = descriptor[883 : 883 + _FIELD_LENGTH].decode("latin-1")
    digest = re.search(r"ISO MD5SUM = ([0-9a-f]{32})", text)
    if digest is None:
        return None
    skipped = re.search(r"SKIPSECTORS = (\d{1,6})", text)
    blocks = int.from_bytes(descriptor[80:84], "little")
    covered = (blocks - (int(skipped[1]) if skipped else 0)) * SECTOR
    return Embedded(md5=digest[1], covered=covered) if covered > _FIELD + _FIELD_LENGTH else None


def check_embedded(
    window: Window,
    embedded: Embedded,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> bool:
    """Whether the image has the digest that it carries. `Damaged` where it is too short."""
    # MD5 because the format is so; it tells damage, it is no protection.
    digest = hashlib.md5(usedforsecurity=False)
    for start in range(0, embedded.covered, _BLOCK):
        data = window.read(start, min(_BLOCK, embedded.covered - start))
        if start <= _FIELD < start + len(data):
            at = _FIELD - start
            data = data[:at] + b" " * _FIELD_LENGTH + data[at + _FIELD_LENGTH :]
        digest.update(data)
        progress(start + len(data), embedded.covered)
    return digest.hexdigest() == embedded.md5
