"""The partitions Setup makes on the first disk, computed from the firmware and the disk's size.

Sizes are MiB, which the reference calls MB. Sources: windows-setup.md §3.2 and Microsoft's
"UEFI/GPT-based" and "BIOS/MBR-based hard drive partitions".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from provisioner.errors import Problem, ProfileError

MIB = 1024 * 1024
EFI_MIB = 260
"""Microsoft asks for 100, and 260 on disks with 4 KiB sectors; 260 suits both."""
MSR_MIB = 16
SYSTEM_MIB = 500
"""The active partition of a BIOS machine. Microsoft's minimum is 100; feature updates of Windows 10
need room on it ("We couldn't update the system reserved partition"), and 500 is what the graphical
Setup of Windows 10 made for years."""
WINDOWS_MINIMUM_MIB = 20 * 1000**3 // MIB + 1
"""20 GB for 64-bit Windows (Microsoft, same pages)."""
HEADROOM_MIB = 4 * 1024
"""Beside the applied image: page file, Setup's own files, first-boot logs."""
SLACK_MIB = 4
"""Partition tables and alignment. Sizes that add up to exactly the disk make Setup fail (§3.2)."""
MBR_LIMIT_MIB = 2 * 1024 * 1024
"""MBR addresses 2^32 sectors of 512 bytes."""
RECOVERY_GPT = "DE94BBA4-06D1-4D40-A16A-BFD50179D6AC"
RECOVERY_MBR = "0x27"


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """One partition, in the words of `CreatePartition` and `ModifyPartition`.

    `size_mib` None means Extend. `format` None: not modified (MSR).
    """

    type: Literal["EFI", "MSR", "Primary"]
    size_mib: int | None
    purpose: str
    format: Literal["FAT32", "NTFS"] | None = None
    label: str | None = None
    letter: str | None = None
    active: bool = False
    type_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The whole disk; PartitionIDs and Orders count from 1 in this order."""

    style: Literal["GPT", "MBR"]
    partitions: tuple[Partition, ...]

    @property
    def windows_partition(self) -> int:
        """PartitionID of Windows."""
        return 1 + next(n for n, p in enumerate(self.partitions) if p.letter == "C")

    def describe(self) -> str:
        """One line: `GPT: EFI 260 MiB · MSR 16 MiB · Windows 63228 MiB · Recovery (the rest)`."""
        sizes = (
            f"{p.purpose} {p.size_mib} MiB" if p.size_mib else f"{p.purpose} (the rest)"
            for p in self.partitions
        )
        return f"{self.style}: " + " · ".join(sizes)


def compute(*, uefi: bool, disk_bytes: int, recovery_bytes: int | None, image_bytes: int) -> Layout:
    """The layout, or ProfileError where the disk cannot hold it.

    Windows is sized and the recovery partition behind it takes the rest, because only the last
    partition may extend and Windows' updates expect recovery directly behind Windows. Without a
    recovery partition Windows takes the rest.
    """
    total = disk_bytes // MIB
    if not uefi and total > MBR_LIMIT_MIB:
        raise _problem(
            f"a BIOS machine cannot use a disk of {total // 1024} GiB beyond 2 TiB",
            "make the first disk smaller, or choose firmware: uefi",
        )
    before = (
        (
            Partition(type="EFI", size_mib=EFI_MIB, purpose="EFI", format="FAT32", label="System"),
            Partition(type="MSR", size_mib=MSR_MIB, purpose="MSR"),
        )
        if uefi
        else (
            Partition(
                type="Primary",
                size_mib=SYSTEM_MIB,
                purpose="System",
                format="NTFS",
                label="System",
                active=True,
            ),
        )
    )
    recovery = -(-recovery_bytes // MIB) if recovery_bytes else 0
    taken = sum(p.size_mib or 0 for p in before) + recovery + SLACK_MIB
    room = total - taken
    needed = max(WINDOWS_MINIMUM_MIB, -(-image_bytes // MIB) + HEADROOM_MIB)
    if room < needed:
        raise _problem(
            f"a disk of {total} MiB leaves {max(room, 0)} MiB for Windows, "
            f"which needs {needed} MiB",
            f"make the first disk at least {-(-(needed + taken) // 1024)} GiB",
        )
    windows = Partition(
        type="Primary",
        size_mib=room if recovery else None,
        purpose="Windows",
        format="NTFS",
        label="Windows",
        letter="C",
    )
    behind = (
        (
            Partition(
                type="Primary",
                size_mib=None,
                purpose="Recovery",
                format="NTFS",
                label="Recovery",
                type_id=RECOVERY_GPT if uefi else RECOVERY_MBR,
            ),
        )
        if recovery
        else ()
    )
    return Layout(style="GPT" if uefi else "MBR", partitions=(*before, windows, *behind))


def of_unknown_size(*, uefi: bool) -> Layout:
    """The layout of a PC's disk, of which nobody knows the size: Windows takes the rest.

    Setup makes its recovery partition out of that by itself (windows-setup.md §3.2).
    """
    return compute(uefi=uefi, disk_bytes=MBR_LIMIT_MIB * MIB, recovery_bytes=None, image_bytes=0)


def _problem(message: str, hint: str) -> ProfileError:
    return ProfileError([Problem(message=message, rule="machine.disk-size", hint=hint)])
