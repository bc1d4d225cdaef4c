"""DiskConfiguration and ImageInstall/InstallTo: from the answer file to partitions with sizes.

Rules: facts/windows-setup.md §3.2-§3.4. Nothing here touches a disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.standin.setup.elements import Element
from tests.standin.setup.outcome import SetupStopped, page_shown

GPT_TYPES = {
    "EFI": "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
    "MSR": "E3C9E316-0B5C-4DB8-817D-F92DF00215AE",
    "Primary": "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7",
}
MBR_NTFS = "0x07"
RESERVED_MIB = 1
"""Kept free at both ends of a disk: alignment and the second partition table."""
WINDOWS_MINIMUM_MIB = 19_073
"""20 GB (facts §3.2, Windows partition minimum)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A partition to make, or one that is there and what becomes of it; `type_id` is a GUID on GPT
    and a byte on MBR, `attributes` are GPT's."""

    number: int
    kind: str
    start_mib: int
    size_mib: int
    type_id: str
    file_system: str | None = None
    label: str | None = None
    letter: str | None = None
    active: bool = False
    attributes: int = 0
    keeps: bool = False
    """It was there before, and what is on it stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A disk Setup sees. `bus` is virtio, sata, nvme, scsi or usb; `table` is gpt, mbr or none, and
    `existing` are the partitions in it."""

    disk_id: int
    device: str
    bus: str
    size_mib: int
    table: str = "none"
    existing: tuple[Partition, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskPlan:
    """What happens to one disk; `table` is gpt or mbr. Without `wipe` its partitions stay."""

    disk: Disk
    wipe: bool
    table: str
    partitions: tuple[Partition, ...]


def plan_disks(
    configuration: Element | None, disks: Sequence[Disk], *, firmware: str
) -> tuple[DiskPlan, ...]:
    """The plan for every disk that the answer file names; without a DiskConfiguration, none."""
    if not disks:
        raise SetupStopped("no disks found; a driver is missing")
    plans = []
    for element in configuration.all("Disk") if configuration else ():
        disk_id = _number(element, "DiskID")
        disk = next((disk for disk in disks if disk.disk_id == disk_id), None)
        if disk is None:
            raise SetupStopped(f"DiskConfiguration: there is no disk {disk_id}")
        if _relabels(element):
            _check_labels(element, disk)
            continue
        plans.append(_plan_disk(element, disk, firmware=firmware))
    return tuple(plans)


def relabelled(configuration: Element | None) -> list[dict[str, object]]:
    """What partitions that are there already are to be called, for the report."""
    return [
        {
            "disk_id": _number(element, "DiskID"),
            "partition_id": _number(item, "PartitionID"),
            "label": item.value("Label"),
        }
        for element in (configuration.all("Disk") if configuration else ())
        if _relabels(element)
        for item in _modifications(element)
    ]


def _relabels(element: Element) -> bool:
    """Rufus' tripwire (facts §3.2, "Safety trick"): a disk that is not wiped, where nothing is
    created or formatted, and a partition gets a label."""
    changed = {"size", "extend", "format", "letter", "active", "typeid"}
    names = {child.name.lower() for item in _modifications(element) for child in item.children}
    creates = element.find("CreatePartitions") is not None
    return not (element.flag("WillWipeDisk") or creates or names & changed) and "label" in names


def _check_labels(element: Element, disk: Disk) -> None:
    for item in _modifications(element):
        number = _number(item, "PartitionID")
        if number not in {partition.number for partition in disk.existing}:
            raise SetupStopped(
                f"ModifyPartition, line {item.line}: disk {disk.disk_id} has no partition {number}"
            )


def _modifications(element: Element) -> tuple[Element, ...]:
    holder = element.find("ModifyPartitions")
    return holder.all("ModifyPartition") if holder else ()


def install_target(
    image_install: Element | None,
    plans: Sequence[DiskPlan],
    disks: Sequence[Disk],
    *,
    firmware: str,
) -> tuple[DiskPlan, Partition]:
    """The partition ImageInstall/OSImage/InstallTo names, checked. It may be on a disk that the
    DiskConfiguration says nothing of; that one stays as it is."""
    os_image = None if image_install is None else image_install.find("OSImage")
    if os_image is None:
        raise page_shown("disk selection", "there is no ImageInstall/OSImage")
    install_to = os_image.find("InstallTo")
    if install_to is None:
        if os_image.flag("InstallToAvailablePartition"):
            candidates = [(plan, p) for plan in plans for p in plan.partitions if _is_windows(p)]
            if candidates:
                return _checked_target(*candidates[0], firmware=firmware)
        raise page_shown("disk selection", "there is no InstallTo")
    disk_id, number = _number(install_to, "DiskID"), _number(install_to, "PartitionID")
    plan = next(
        (plan for plan in (*plans, *map(_untouched, disks)) if plan.disk.disk_id == disk_id), None
    )
    partition = next((p for p in plan.partitions if p.number == number), None) if plan else None
    if plan is None or partition is None:
        raise SetupStopped(f"InstallTo: disk {disk_id} has no partition {number}")
    return _checked_target(plan, partition, firmware=firmware)


def _untouched(disk: Disk) -> DiskPlan:
    kept = tuple(replace(one, keeps=True) for one in disk.existing)
    return DiskPlan(disk=disk, wipe=False, table=disk.table, partitions=kept)


def _checked_target(
    plan: DiskPlan, partition: Partition, *, firmware: str
) -> tuple[DiskPlan, Partition]:
    where = f"disk {plan.disk.disk_id} partition {partition.number}"
    if partition.kind not in {"Primary", "Logical"}:
        raise SetupStopped(f"InstallTo: {where} is of type {partition.kind}")
    if partition.file_system != "NTFS":
        raise SetupStopped(f"InstallTo: {where} is not formatted NTFS")
    if partition.size_mib < WINDOWS_MINIMUM_MIB:
        raise SetupStopped(f"InstallTo: {where} has {partition.size_mib} MiB, less than 20 GB")
    if firmware == "uefi":
        if plan.table == "mbr":
            raise SetupStopped(
                f"Windows cannot be installed to disk {plan.disk.disk_id}: it has an MBR partition "
                "table, and on EFI systems Windows can only be installed to GPT disks"
            )
        if not any(p.kind == "EFI" and p.file_system == "FAT32" for p in plan.partitions):
            raise SetupStopped(
                f"disk {plan.disk.disk_id} has no EFI partition formatted FAT32 to start from"
            )
    elif plan.table == "gpt":
        raise SetupStopped(
            f"Windows cannot be installed to disk {plan.disk.disk_id}: it is of the GPT partition "
            "style"
        )
    elif not any(p.active and p.file_system for p in plan.partitions):
        raise SetupStopped(f"disk {plan.disk.disk_id} has no active, formatted partition")
    return plan, partition


def _plan_disk(element: Element, disk: Disk, *, firmware: str) -> DiskPlan:
    wipe = element.flag("WillWipeDisk")
    there = [] if wipe else [replace(one, keeps=True) for one in disk.existing]
    table = disk.table if there else "gpt" if firmware == "uefi" else "mbr"
    creates = element.find("CreatePartitions")
    items = sorted(
        creates.all("CreatePartition") if creates else (),
        key=lambda item: _number(item, "Order"),
    )
    if there and items and table == "mbr":
        raise SetupStopped(
            f"disk {disk.disk_id}: the stand-in does not play new partitions beside those of an "
            "MBR disk"
        )
    partitions = there + _create(items, disk, there, table=table)
    modifies = element.find("ModifyPartitions")
    for item in sorted(
        modifies.all("ModifyPartition") if modifies else (),
        key=lambda item: _number(item, "Order"),
    ):
        number = _number(item, "PartitionID")
        current = next((p for p in partitions if p.number == number), None)
        if current is None:
            raise SetupStopped(
                f"ModifyPartition, line {item.line}: disk {disk.disk_id} has no partition {number}"
            )
        partitions[partitions.index(current)] = _modify(item, current, table=table)
    letters = [p.letter for p in partitions if p.letter]
    if len(letters) != len(set(letters)):
        raise SetupStopped(f"disk {disk.disk_id}: a drive letter is given twice")
    return DiskPlan(disk=disk, wipe=wipe, table=table, partitions=tuple(partitions))


def _create(
    items: Sequence[Element], disk: Disk, there: Sequence[Partition], *, table: str
) -> list[Partition]:
    """Behind those that are there; Windows may also fill gaps between them."""
    if table == "mbr" and len(items) > 4:
        raise SetupStopped(f"disk {disk.disk_id}: an MBR disk holds four primary partitions")
    partitions: list[Partition] = []
    start = max((one.start_mib + one.size_mib for one in there), default=RESERVED_MIB)
    end = disk.size_mib - RESERVED_MIB
    first = 1 + max((one.number for one in there), default=0)
    for number, item in enumerate(items, start=first):
        where = f"CreatePartition, line {item.line}"
        kind = item.value("Type") or ""
        _check_kind(kind, table=table, where=where)
        size = item.find("Size")
        extend = item.flag("Extend")
        if (size is not None) == extend:
            raise SetupStopped(f"{where}: exactly one of Size and Extend is needed")
        if extend and item is not items[-1]:
            raise SetupStopped(f"{where}: the partition with Extend must be the last one")
        wanted = end - start if extend else _number(item, "Size")
        if wanted <= 0 or start + wanted > end:
            raise SetupStopped(
                f"{where}: {wanted} MiB from {start} MiB on do not fit into disk {disk.disk_id} "
                f"of {disk.size_mib} MiB"
            )
        partitions.append(
            Partition(
                number=number,
                kind=kind,
                start_mib=start,
                size_mib=wanted,
                type_id=GPT_TYPES[kind] if table == "gpt" else MBR_NTFS,
            )
        )
        start += wanted
    return partitions


def _check_kind(kind: str, *, table: str, where: str) -> None:
    if table == "mbr" and kind in {"EFI", "MSR"}:
        raise SetupStopped(f"{where}: type {kind} is not possible on a machine started by BIOS")
    if kind in {"Extended", "Logical"}:
        if table == "gpt":
            raise SetupStopped(f"{where}: type {kind} is not possible on a GPT disk")
        raise SetupStopped(f"{where}: the stand-in does not play {kind} partitions")
    if kind not in GPT_TYPES:
        raise SetupStopped(f"{where}: no Type")


def _modify(item: Element, current: Partition, *, table: str) -> Partition:
    where = f"ModifyPartition, line {item.line}"
    settings = {child.name.lower() for child in item.children} - {"order", "partitionid"}
    if current.kind == "MSR" and settings:
        raise SetupStopped(f"{where}: an MSR partition cannot be modified")
    file_system = item.value("Format")
    label = item.value("Label")
    letter = item.value("Letter")
    type_id = item.value("TypeID")
    if label is not None and file_system is None:
        raise SetupStopped(f"{where}: Label needs Format")
    if current.kind == "EFI" and file_system not in {None, "FAT32"}:
        raise SetupStopped(f"{where}: an EFI partition must be FAT32")
    if letter is not None and not (len(letter) == 1 and "C" <= letter <= "Z"):
        raise SetupStopped(f"{where}: Letter must be C to Z in upper case")
    if item.flag("Active") and table == "gpt":
        # Documented as ignored under UEFI.
        active = False
    else:
        active = item.flag("Active")
    if item.flag("Extend") and table == "gpt":
        raise SetupStopped(f"{where}: Extend is for MBR disks")
    if type_id is not None:
        _check_type_id(type_id, table=table, where=where)
    stays = current.keeps and file_system is None
    return replace(
        current,
        file_system=current.file_system if stays else file_system,
        label=current.label if stays else label,
        letter=letter,
        active=active or (current.keeps and current.active),
        type_id=type_id or current.type_id,
        keeps=stays,
    )


def _check_type_id(type_id: str, *, table: str, where: str) -> None:
    if table == "gpt":
        parts = [len(part) for part in type_id.split("-")]
        if parts != [8, 4, 4, 4, 12]:
            raise SetupStopped(f"{where}: TypeID {type_id} is no GUID")
    elif type_id.lower() not in {"0x07", "0x12", "0x27", "0x84", "0xde", "0xfe", "0xa0"}:
        raise SetupStopped(f"{where}: TypeID {type_id} is not possible on an MBR disk")


def _is_windows(partition: Partition) -> bool:
    return (
        partition.kind == "Primary"
        and partition.file_system == "NTFS"
        and partition.size_mib >= WINDOWS_MINIMUM_MIB
    )


def _number(element: Element, name: str) -> int:
    text = element.value(name)
    if text is None:
        raise SetupStopped(f"{element.name}, line {element.line}: {name} is missing")
    return int(text)
