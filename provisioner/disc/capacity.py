"""Where the image of a disc ends: what the drive counts, and what the file systems claim."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from provisioner.errors import MediaError
from provisioner.host.blockdev import Source
from provisioner.media.iso9660 import read_descriptors
from provisioner.media.udf_volume import read_volume, recognised
from provisioner.media.window import Damaged, opened

RUN_OUT = 150
"""Most sectors that a drive counts behind a track written at once, and cannot read (facts iso-usb
§6): two of them are usual, 150 is what burning programs pad with."""


class Until(StrEnum):
    """Where the image ends."""

    AUTO = "auto"
    CAPACITY = "capacity"
    FILESYSTEM = "filesystem"


def filesystem_size(path: Path) -> int:
    """The end of what the file systems of a disc claim, in bytes; 0 where none can be read."""
    try:
        with opened(path) as window:
            sizes = [
                int.from_bytes(data[80:84], "little") * int.from_bytes(data[128:130], "little")
                for data in read_descriptors(window)
                if data[0] == 1
            ]
            if recognised(window):
                volume = read_volume(window)
                # The second anchor stands behind the partition.
                sizes.append(volume.declared + volume.block)
            return max(sizes, default=0)
    except (Damaged, MediaError):
        return 0


def image_size(source: Source, filesystem: int, until: Until) -> int:
    """Bytes to read. MediaError where the file system is to tell and there is none."""
    if until is Until.FILESYSTEM or (
        until is Until.AUTO and source.device and not source.optical and filesystem
    ):
        if not filesystem:
            raise MediaError(f"{source.path} has no file system of discs that tells its size")
        return min(filesystem, source.size)
    return source.size
