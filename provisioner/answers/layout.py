"""The partitions Setup makes: from the firmware and the disk's size, or as the profile says.

Sizes are MiB, which the reference calls MB. Sources: windows-setup.md §3.2 and Microsoft's
"UEFI/GPT-based" and "BIOS/MBR-based hard drive partitions".
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal

from provisioner.errors import Problem, ProfileError
from provisioner.frozen import frozen
from provisioner.profile import disks
from provisioner.profile.disk_rules import DEFAULT_SIZES
from provisioner.profile.metal import Disk
from provisioner.profile.model import Profile
from provisioner.profile.units import Size

MIB = 1024 * 1024
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


@frozen
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


@frozen
class Layout:
    """One disk; PartitionIDs and Orders count from 1 in this order.

    With `kept` nothing is created or erased: Windows goes on that existing partition, which is
    formatted where `format_kept`.
    """

    style: Literal["GPT", "MBR"]
    partitions: tuple[Partition, ...]
    disk: int = 0
    kept: int | None = None
    format_kept: bool = False

    @property
    def windows_partition(self) -> int:
        """PartitionID of Windows; StopIteration on a disk without it."""
        if self.kept is not None:
            return self.kept
        return 1 + next(n for n, p in enumerate(self.partitions) if p.purpose == "Windows")

    def describe(self) -> str:
        """One line: `GPT: EFI 260 MiB · MSR 16 MiB · Windows 63228 MiB · Recovery (the rest)`."""
        if self.kept is not None:
            formatted = "formatted" if self.format_kept else "as it is"
            return (
                f"disk {self.disk} is kept; Windows goes on its partition {self.kept}, {formatted}"
            )
        sizes = (
            f"{p.purpose} {p.size_mib} MiB" if p.size_mib else f"{p.purpose} (the rest)"
            for p in self.partitions
        )
        return f"{self.style}: " + " · ".join(sizes)


def decide(profile: Profile, *, image_bytes: int) -> tuple[Layout | None, tuple[Layout, ...]]:
    """The layout of Windows' disk, and those of others that get partitions.

    None where Setup asks for the disk. ProfileError where Windows does not fit.
    """
    uefi = profile.firmware != "bios"
    if profile.metal is not None:
        return _metal(profile.metal.disk, uefi=uefi), ()
    first, *others = profile.machine.disks
    windows = profile.windows
    if first.partitions is None:
        layout = compute(
            uefi=uefi,
            disk_bytes=first.size.bytes,
            recovery_bytes=windows.recovery.bytes if windows.recovery is not None else None,
            image_bytes=image_bytes,
            recovery_first=windows.recovery_place == "first",
        )
    else:
        layout = arrange(first.partitions, uefi=uefi, disk_bytes=first.size.bytes)
        _require_room(layout, disk_bytes=first.size.bytes, image_bytes=image_bytes)
    return layout, tuple(
        arrange(disk.partitions, uefi=uefi, disk_bytes=disk.size.bytes, number=number)
        for number, disk in enumerate(others, start=1)
        if disk.partitions is not None
    )


def _metal(disk: Disk | None, *, uefi: bool) -> Layout | None:
    """A disk of unknown size: Windows takes the rest, and Setup a recovery partition from it.

    One that is found out on the PC has no layout yet; `of_unknown_size` gives it its number.
    """
    if not isinstance(disk, disks.WindowsDisk):
        return None
    if disk.policy == "keep":
        return Layout(
            style="GPT" if uefi else "MBR",
            partitions=(),
            disk=disk.number,
            kept=disk.install_to,
            format_kept=disk.format,
        )
    wanted = disk.partitions or standard(uefi=uefi, recovery_bytes=None)
    return arrange(wanted, uefi=uefi, disk_bytes=None, number=disk.number)


def compute(
    *,
    uefi: bool,
    disk_bytes: int,
    recovery_bytes: int | None,
    image_bytes: int,
    recovery_first: bool = False,
) -> Layout:
    """The standard layout, or ProfileError where the disk cannot hold it.

    Windows is sized and the recovery partition behind it takes the rest, because only the last
    partition may extend and Windows' updates expect recovery directly behind Windows. Without a
    recovery partition, or with it in front, Windows takes the rest.
    """
    total = disk_bytes // MIB
    if not uefi and total > MBR_LIMIT_MIB:
        raise _problem(
            f"a BIOS machine cannot use a disk of {total // 1024} GiB beyond 2 TiB",
            "make the first disk smaller, or choose firmware: uefi",
        )
    wanted = standard(uefi=uefi, recovery_bytes=recovery_bytes, recovery_first=recovery_first)
    taken = sum(_asked_mib(one) or 0 for one in wanted) + SLACK_MIB
    room = total - taken
    needed = _needed_mib(image_bytes)
    if room < needed:
        raise _problem(
            f"a disk of {total} MiB leaves {max(room, 0)} MiB for Windows, "
            f"which needs {needed} MiB",
            f"make the first disk at least {-(-(needed + taken) // 1024)} GiB",
        )
    return arrange(wanted, uefi=uefi, disk_bytes=disk_bytes)


@cache
def standard(
    *, uefi: bool, recovery_bytes: int | None, recovery_first: bool = False
) -> tuple[disks.Partition, ...]:
    """What a disk gets that the profile says nothing about.

    Microsoft asks for an EFI partition of 100 MB, and 260 on disks with 4 KiB sectors; 260 suits
    both. For the active partition of a BIOS machine its minimum is 100; feature updates of Windows
    10 need room on it ("We couldn't update the system reserved partition"), and 500 is what the
    graphical Setup of Windows 10 made for years.
    """
    firmware: tuple[disks.Use, ...] = ("efi", "msr") if uefi else ("system",)
    start = tuple(disks.Partition.model_construct(use=use) for use in firmware)
    windows = (disks.Partition.model_construct(use="windows"),)
    if not recovery_bytes:
        return (*start, *windows)
    recovery = disks.Partition.model_construct(use="recovery", size=Size.of(recovery_bytes))
    if recovery_first:
        # In this order with UEFI as KubeVirt's and quickemu's files have it (§3.2).
        return (recovery, *start, *windows) if uefi else (*start, recovery, *windows)
    return (*start, *windows, recovery)


def arrange(
    wanted: Sequence[disks.Partition],
    *,
    uefi: bool,
    disk_bytes: int | None,
    number: int = 0,
) -> Layout:
    """Sizes for a layout that the profile's rules have passed; `disk_bytes` None: not known.

    One partition can take what is left. Where it is not the last, it is sized, and the last one
    extends over the few MiB that alignment may leave.
    """
    sizes = [_asked_mib(one) for one in wanted]
    last = len(wanted) - 1
    if None in sizes:
        rest = sizes.index(None)
        if rest != last and disk_bytes is not None:
            given = sum(size or 0 for size in sizes)
            sizes[rest] = disk_bytes // MIB - given - SLACK_MIB
            if wanted[last].use in ("recovery", "data", "windows"):
                sizes[last] = None
    active = "system" if any(one.use == "system" for one in wanted) else "windows"
    return Layout(
        style="GPT" if uefi else "MBR",
        partitions=tuple(
            _partition(one, size, uefi=uefi, active=not uefi and one.use == active)
            for one, size in zip(wanted, sizes, strict=True)
        ),
        disk=number,
    )


_PURPOSES: dict[disks.Use, str] = {
    "efi": "EFI",
    "msr": "MSR",
    "system": "System",
    "windows": "Windows",
    "recovery": "Recovery",
    "data": "Data",
}
_LABELS: dict[disks.Use, str] = {
    "efi": "System",
    "system": "System",
    "windows": "Windows",
    "recovery": "Recovery",
}


def _partition(
    one: disks.Partition, size_mib: int | None, *, uefi: bool, active: bool
) -> Partition:
    if one.use == "msr":
        return Partition(type="MSR", size_mib=size_mib, purpose="MSR")
    fat = one.use == "efi" or one.format == "fat32"
    recovery = RECOVERY_GPT if uefi else RECOVERY_MBR
    return Partition(
        type="EFI" if one.use == "efi" else "Primary",
        size_mib=size_mib,
        purpose=_PURPOSES[one.use],
        format="FAT32" if fat else "NTFS",
        label=one.label or _LABELS.get(one.use),
        letter="C" if one.use == "windows" else one.letter,
        active=active,
        type_id=recovery if one.use == "recovery" else None,
    )


def _asked_mib(one: disks.Partition) -> int | None:
    """The size a partition was given, or has by its use; None: all that is left."""
    if one.size is not None:
        return -(-one.size.bytes // MIB)
    usual = DEFAULT_SIZES.get(one.use)
    return usual // MIB if usual is not None else None


def _needed_mib(image_bytes: int) -> int:
    return max(WINDOWS_MINIMUM_MIB, -(-image_bytes // MIB) + HEADROOM_MIB)


def _require_room(layout: Layout, *, disk_bytes: int, image_bytes: int) -> None:
    """ProfileError where the partition for Windows, sized or not, is too small."""
    size = layout.partitions[layout.windows_partition - 1].size_mib
    if size is None:
        taken = sum(one.size_mib or 0 for one in layout.partitions)
        size = disk_bytes // MIB - taken - SLACK_MIB
    needed = _needed_mib(image_bytes)
    if size < needed:
        raise _problem(
            f"a partition of {max(size, 0)} MiB for Windows, which needs {needed} MiB",
            "make it, or the disk, larger",
        )


def of_unknown_size(profile: Profile, *, number: int) -> Layout:
    """The layout of a PC's disk, of which nobody knows the size: Windows takes the rest.

    Setup makes its recovery partition out of that by itself (windows-setup.md §3.2).
    """
    uefi = profile.firmware != "bios"
    return arrange(
        standard(uefi=uefi, recovery_bytes=None), uefi=uefi, disk_bytes=None, number=number
    )


def _problem(message: str, hint: str) -> ProfileError:
    return ProfileError([Problem(message=message, rule="machine.disk-size", hint=hint)])
