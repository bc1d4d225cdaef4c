"""What is on a medium: plain, immutable facts that the readers of this room produce."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from pathlib import Path

from provisioner.frozen import frozen
from provisioner.media.trust import Loader


class MediaKind(StrEnum):
    """What a person would call the thing in their hand."""

    WINDOWS_SETUP = "windows-setup"
    VIRTIO_DRIVERS = "virtio-drivers"
    ANSWER_DISC = "answer-disc"
    WIM = "wim"
    DRIVER_DISC = "driver-disc"
    MEMORY_TEST = "memory-test"
    DISK_IMAGE = "disk-image"
    LINUX = "linux"
    OTHER_DISC = "other-disc"


class Platform(StrEnum):
    """El Torito platform ids that occur (El Torito 1.0 and UEFI 2.10 §13.3.2.1)."""

    BIOS = "bios"  # 0x00
    UEFI = "uefi"  # 0xEF
    OTHER = "other"


@frozen
class Extent:
    """A run of bytes inside an image."""

    offset: int
    length: int


@frozen
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


@frozen
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


@frozen
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
    boots: int = 0
    """The image that boots, 0 where none does."""
    size: int = 0
    integrity: bool = False
    """It carries a table to check it with."""
    pipable: bool = False
    missing: tuple[int, ...] = ()
    """Parts of its split set that are not beside it."""
    names: tuple[str, ...] = ()
    """Of a WIM file by itself: what its images are called, by index."""


@frozen
class AnswerFile:
    """An answer file that the medium carries already.

    `rank` is its row in Setup's search order (facts windows-setup §2.1), lower first.
    """

    path: str
    """On the medium; `sources/boot.wim, image 2: Autounattend.xml` inside an image."""
    place: str
    """What Setup calls that place, for people."""
    rank: int
    size: int
    passes: tuple[str, ...] = ()
    """Configuration passes it has settings for."""
    wins: tuple[str, ...] = ()
    """Passes for which Setup would take this file, with no other medium in the machine."""
    problem: str = ""
    """Why Setup would not use it, or why it could not be read here."""


@frozen
class SetupConfig:
    """`sources/ei.cfg` and `sources/pid.txt`. Setup ignores both when it has an answer file."""

    edition_id: str | None = None
    channel: str | None = None
    volume: bool | None = None
    key: str | None = None
    """Product key of pid.txt, all but its last five characters masked."""


@frozen
class Partition:
    """One partition of a raw disk image. `length` may reach past the end of a truncated image."""

    number: int
    kind: str
    """What its type stands for, in words."""
    name: str
    """GPT only."""
    offset: int
    length: int
    active: bool
    """The boot flag of an MBR."""
    filesystem: str = ""
    label: str = ""


@frozen
class Fingerprint:
    """Identifies a medium without reading all of it.

    `digest` is SHA-256 over the size, the volume descriptors, the boot catalog and the headers
    and XML of its WIM files (house §3); hexadecimal.
    """

    size: int
    digest: str


@frozen
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
    loaders: tuple[Loader, ...] = ()
    """What firmware starts: the loaders of `EFI/BOOT` and those inside El Torito boot images."""
    spare_loaders: tuple[Loader, ...] = ()
    """Loaders for Secure Boot's 2023 certificate that boot.wim carries beside older ones, as
    Microsoft's media do since 25H2 (facts iso-usb §1.3). Looked for where those on the disc need
    the 2011 certificate."""
    answers: tuple[AnswerFile, ...] = ()
    """Answer files already inside, in the order Setup would find them."""
    setup_config: SetupConfig | None = None
    partition_table: str | None = None
    """`GPT` or `MBR`: of a raw disk image, and of a disc that can be written to a stick."""
    partitions: tuple[Partition, ...] = ()
    driver_version: str | None = None
    """Of a virtio driver disc, `0.1.285`."""
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
