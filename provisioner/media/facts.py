"""What is on a medium: plain, immutable facts that the readers of this room produce."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class MediaKind(StrEnum):
    """What a person would call the thing in their hand."""

    WINDOWS_SETUP = "windows-setup"
    VIRTIO_DRIVERS = "virtio-drivers"
    ANSWER_DISC = "answer-disc"
    WIM = "wim"
    LINUX = "linux"
    OTHER_DISC = "other-disc"


class Platform(StrEnum):
    """El Torito platform ids that occur (El Torito 1.0 and UEFI 2.10 §13.3.2.1)."""

    BIOS = "bios"  # 0x00
    UEFI = "uefi"  # 0xEF
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """A run of bytes inside an image."""

    offset: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BootEntry:
    """One El Torito section entry (or the initial/default entry)."""

    platform: Platform
    platform_id: int
    bootable: bool
    media_type: int
    """0 is no emulation."""
    load_sectors: int
    """Sector count as written, in 512-byte units."""
    lba: int
    """First block of the boot image, in 2048-byte blocks."""
    entry_offset: int
    """Byte offset of the 32-byte entry in the image: its LBA field stands at +8."""
    path: str | None = None
    """The file that starts at that block, when one does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """One image of an install.wim (or .esd): a row of the WIM's XML."""

    index: int
    name: str
    display_name: str
    description: str
    edition_id: str
    """`Professional`, `ServerStandard`, `EnterpriseEval` ..."""
    installation_type: str
    """`Client`, `Server` or `Server Core`."""
    architecture: str
    """`amd64`, `arm64` or `x86`."""
    version: tuple[int, int, int, int]
    """Major, minor, build, service-pack build, as `10.0.26100.1742`."""
    languages: tuple[str, ...]
    default_language: str | None
    total_bytes: int
    """Bytes of the applied image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WimFile:
    """One WIM, ESD or SWM file of a medium, from its header."""

    path: str
    """On the disc, as in `MediaFacts.files`; the file's own name for a bare WIM."""
    compression: str
    """`none`, `XPRESS`, `LZX` or `LZMS`."""
    solid: bool
    """Packed as an ESD: it cannot be split by regrouping."""
    part: int
    parts: int
    """Part numbers of a split set, 1 of 1 otherwise."""
    images: int
    """All images, those that are no edition included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """Identifies a medium without reading all of it.

    `digest` is SHA-256 over the size, the volume descriptors, the boot catalog and the headers
    and XML of its WIM files (house §3); hexadecimal.
    """

    size: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaFacts:
    """What was found on one medium.

    `filesystems` lists what is there, as `UDF 1.02`, `ISO 9660`, `Joliet`, `Rock Ridge`.
    `files` maps every path of the richest file system, as written on the disc, to its extents.
    """

    path: Path
    kind: MediaKind
    evidence: tuple[str, ...]
    """Why it is taken for `kind`, one reason each, for people."""
    fingerprint: Fingerprint
    label: str
    filesystems: tuple[str, ...] = ()
    boot: tuple[BootEntry, ...] = ()
    editions: tuple[Edition, ...] = ()
    languages: tuple[str, ...] = ()
    """Languages Setup itself can show (lang.ini, else those of the images)."""
    architecture: str | None = None
    product: str | None = None
    """`windows-10`, `windows-11`, `windows-server-2025` ... by build and installation type."""
    evaluation: bool = False
    volume_licence: bool = False
    wims: tuple[WimFile, ...] = ()
    """The WIM files that Setup uses: boot.wim, install.wim or .esd or every .swm."""
    remarks: tuple[str, ...] = ()
    """What is odd about the medium without making it useless, one sentence each, for people."""
    files: Mapping[str, tuple[Extent, ...]] = field(default_factory=dict, repr=False)
    """Keys are POSIX paths without a leading slash, in the disc's own spelling."""

    @property
    def build(self) -> int | None:
        """The Windows build of the first image, as 26100."""
        return self.editions[0].version[2] if self.editions else None

    def find(self, path: str) -> tuple[str, tuple[Extent, ...]] | None:
        """Case-insensitive look-up of one file: its spelling on the disc and its extents."""
        wanted = path.casefold()
        for spelling, extents in self.files.items():
            if spelling.casefold() == wanted:
                return spelling, extents
        return None
