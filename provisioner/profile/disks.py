"""Partitions of a profile's disks (docs/facts/windows-setup.md §3.2)."""

import re
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from provisioner.profile.base import ProfileModel
from provisioner.profile.units import Size
from provisioner.profile.values import BadValue, TextValue

Use = Literal["efi", "msr", "system", "windows", "recovery", "data"]


class DriveLetter(TextValue):
    """The letter of a volume, C to Z, in capitals and without a colon."""

    __slots__ = ()
    json_schema: ClassVar = {"pattern": "^[C-Z]$", "examples": ["D"]}

    @classmethod
    def checked(cls, text: str) -> str:
        if not re.fullmatch("[C-Z]", text):
            letter = text.strip().rstrip(":\\").upper()
            meant = re.fullmatch("[C-Z]", letter) is not None
            raise BadValue(
                f"'{text}' is not a drive letter",
                rule="machine.drive-letter",
                hint=f"write '{letter}'" if meant else "one letter from C to Z, without a colon",
            )
        return text


class VolumeLabel(TextValue):
    """The label of a volume: at most 32 characters, none that labels cannot have."""

    __slots__ = ()
    json_schema: ClassVar = {
        "pattern": r'^[^*?/\\|.,;:+=<>\[\]"\x00-\x1f\x7f]{1,32}$',
        "examples": ["Data"],
    }

    @classmethod
    def checked(cls, text: str) -> str:
        if not re.fullmatch(r'[^*?/\\|.,;:+=<>\[\]"\x00-\x1f\x7f]{1,32}', text):
            raise BadValue(
                f"'{text}' cannot be the label of a volume",
                rule="machine.volume-label",
                hint="1 to 32 letters, digits, blanks, hyphens and underscores",
            )
        return text


class Partition(ProfileModel):
    """One partition, in its place on the disk."""

    use: Use
    """What it is for. `efi` and `msr` are UEFI's, `system` is the active partition of a BIOS
    machine; `windows`, `recovery` and `data` say what they are."""
    size: Size | None = None
    """Default: 260 MiB for `efi`, 16 MiB for `msr`, 500 MiB for `system`, 1 GiB for `recovery`; for
    `windows` and `data` all that is left, which one partition of a disk can take."""
    format: Literal["ntfs", "fat32"] | None = None
    """File system. Default: ntfs, and fat32 for `efi`. An `msr` has none."""
    label: VolumeLabel | None = None
    """Label of the volume. Default: one that says what it is for; none for `data`."""
    letter: DriveLetter | None = None
    """Drive letter of `data`. Default: the one Windows chooses. Windows itself is C."""


Partitions = Annotated[tuple[Partition, ...], Field(min_length=1, max_length=32)]
"""In their order on the disk."""


class WindowsDisk(ProfileModel):
    """The disk of a physical PC that Windows goes on, so that Setup does not ask."""

    number: Annotated[int, Field(ge=0, le=99)]
    """The number Setup gives it, counted from 0. An install stick is counted too."""
    policy: Literal["wipe", "keep"]
    """`wipe`: everything on this disk is erased, and nobody is asked. `keep`: Windows goes on the
    existing partition `install_to`, and the others stay as they are."""
    partitions: Partitions | None = None
    """What a wiped disk gets. Default: EFI, MSR and Windows, or System and Windows with BIOS; Setup
    takes a recovery partition from Windows' by itself."""
    install_to: Annotated[int, Field(ge=1, le=128)] | None = None
    """With `keep`: the number of the partition, counted from 1."""
    format: bool = True
    """With `keep`: format that partition as NTFS. Without, an older Windows on it is moved to
    Windows.old."""
