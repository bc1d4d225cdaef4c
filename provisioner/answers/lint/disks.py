"""Partitions, the image and where it goes (windows-setup.md §3.2 to §3.4)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from provisioner.answers.lint.answerfile import AnswerFile
from provisioner.answers.lint.document import Element
from provisioner.answers.lint.findings import Finding, error, note, warning
from provisioner.answers.lint.targets import WINDOWS_11
from provisioner.frozen import frozen
from provisioner.pattern import pattern

_TYPE_ID = pattern(r"0x[0-9A-Fa-f]{2}|\{?[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}?")
_GUID = pattern(r"\{?[0-9A-Fa-f]{8}-")
RUNS_ON_GPT = ("efi", "msr")


@frozen
class _Disk:
    """One `Disk`: what is created on it, and what is modified, by PartitionID."""

    element: Element
    number: str
    wiped: bool
    created: tuple[Element, ...]
    """In the order Setup creates them."""
    modified: dict[int, Element]

    @property
    def numbered(self) -> dict[int, Element]:
        """By PartitionID: extended partitions are not counted (§3.2)."""
        counted = [item for item in self.created if item.get("Type").lower() != "extended"]
        return dict(enumerate(counted, start=1))


def check(file: AnswerFile) -> Iterator[Finding]:
    """Every disk, then where the image goes."""
    disks = [_disk(element) for element in file.all("Setup", "DiskConfiguration/Disk", "windowsPE")]
    for disk in disks:
        for partition in disk.created:
            yield from _created(partition)
        yield from _extend_is_last(disk)
        for number, partition in disk.modified.items():
            yield from _modified(disk, number, partition)
        yield from _firmware(file, disk, starts=disk.number in _started(file, disks))
    yield from _image(file)
    for element in file.all("Setup", "ImageInstall/OSImage", "windowsPE"):
        yield from _target(element, {disk.number: disk for disk in disks})


def _disk(element: Element) -> _Disk:
    created = list(element.all("CreatePartitions/CreatePartition"))
    created.sort(key=lambda item: _number(item.get("Order")) or 0)
    modified: dict[int, Element] = {}
    for item in element.all("ModifyPartitions/ModifyPartition"):
        number = _number(item.get("PartitionID"))
        if number is not None:
            modified[number] = item
    return _Disk(
        element=element,
        number=element.get("DiskID"),
        wiped=element.get("WillWipeDisk") == "true",
        created=tuple(created),
        modified=modified,
    )


def _created(partition: Element) -> Iterator[Finding]:
    size, extend = partition.find("Size"), partition.find("Extend")
    extends = extend is not None and extend.value == "true"
    if size is None and not extends:
        yield error(
            "lint.partition-size",
            partition,
            "this partition has neither Size nor Extend",
            "give a Size in MB, or <Extend>true</Extend>",
        )
    elif size is not None and extends:
        yield error(
            "lint.partition-size",
            size,
            "this partition has a Size and extends as well",
            "keep one of Size and Extend",
        )
    if partition.find("Type") is None:
        yield error(
            "lint.partition-size",
            partition,
            "this partition has no Type",
            "Primary, EFI, MSR, Extended or Logical",
        )


def _extend_is_last(disk: _Disk) -> Iterator[Finding]:
    for position, partition in enumerate(disk.created[:-1]):
        if partition.get("Extend") != "true":
            continue
        after = disk.created[position + 1]
        if partition.get("Type").lower() == "extended" and after.get("Type").lower() == "logical":
            continue
        yield warning(
            "lint.partition-extend",
            partition,
            "this partition takes the rest of the disk, and more are created after it",
            "let only the last one extend",
        )


def _modified(disk: _Disk, number: int, partition: Element) -> Iterator[Finding]:
    there = disk.numbered
    created = there.get(number)
    if created is None and disk.wiped:
        yield error(
            "lint.partition-target",
            partition.find("PartitionID") or partition,
            f"partition {number} is modified, and the wiped disk gets {len(there)}",
            "PartitionID counts the created partitions from 1",
        )
    kind = created.get("Type").lower() if created is not None else ""
    form = partition.find("Format")
    if form is not None and kind == "msr":
        yield error(
            "lint.partition-format",
            form,
            f"partition {number} is an MSR, which cannot be formatted",
            "remove Format; only Order and PartitionID may stand there",
        )
    elif form is not None and kind == "efi" and form.value.upper() != "FAT32":
        yield error(
            "lint.partition-format",
            form,
            f"the EFI partition is formatted as {form.value[:20]}, and firmware reads FAT32",
            "write <Format>FAT32</Format>",
        )
    label = partition.find("Label")
    if label is not None and form is None and label.value:
        yield warning(
            "lint.partition-format",
            label,
            f"Label without Format: partition {number} keeps the label it has",
            "add Format",
        )
    letter = partition.find("Letter")
    if letter is not None and letter.value and not re.fullmatch(r"[C-Z]", letter.value):
        yield error(
            "lint.partition-letter",
            letter,
            f"{letter.value[:10]!r} is no drive letter",
            "one capital letter from C to Z, without a colon",
        )
    type_id = partition.find("TypeID")
    if type_id is not None and type_id.value:
        if not _TYPE_ID.fullmatch(type_id.value):
            yield error(
                "lint.partition-type-id",
                type_id,
                "this TypeID is neither 0xNN nor a GUID",
                "recovery is 0x27 on MBR and DE94BBA4-06D1-4D40-A16A-BFD50179D6AC on GPT",
            )
        elif _is_gpt(disk) and not _GUID.match(type_id.value):
            yield warning(
                "lint.partition-type-id",
                type_id,
                "an MBR type on a disk with EFI or MSR partitions",
                "recovery on GPT is DE94BBA4-06D1-4D40-A16A-BFD50179D6AC",
            )


def _is_gpt(disk: _Disk) -> bool:
    return any(item.get("Type").lower() in RUNS_ON_GPT for item in disk.created)


def _started(file: AnswerFile, disks: list[_Disk]) -> frozenset[str]:
    """Numbers of the disks the firmware may start from: the one Windows goes on, where that is
    said, for the others hold data."""
    targets = frozenset(
        element.get("DiskID")
        for element in file.all("Setup", "ImageInstall/OSImage/InstallTo", "windowsPE")
    )
    return targets or frozenset(disk.number for disk in disks)


def _firmware(file: AnswerFile, disk: _Disk, *, starts: bool) -> Iterator[Finding]:
    """Setup picks GPT under UEFI and MBR under BIOS; the partitions have to suit (§3.2)."""
    if not disk.created or not disk.wiped:
        return
    firmware = file.purpose.firmware
    gpt = _is_gpt(disk)
    if gpt and firmware == "bios":
        wrong = next(i for i in disk.created if i.get("Type").lower() in RUNS_ON_GPT)
        yield error(
            "lint.firmware",
            wrong.find("Type") or wrong,
            f"{wrong.get('Type')[:10]} partitions need UEFI, and this machine starts with BIOS",
            "BIOS takes a small active NTFS partition and Windows",
        )
    has_efi = not starts or any(item.get("Type").lower() == "efi" for item in disk.created)
    if not has_efi and firmware == "uefi":
        yield error(
            "lint.firmware",
            disk.element.find("CreatePartitions") or disk.element,
            "no EFI partition is created, and this machine starts with UEFI",
            "create an EFI partition (FAT32, 260 MB), an MSR (16 MB) and Windows",
        )
    elif not has_efi and firmware is None and file.purpose.since(WINDOWS_11):
        windows = file.purpose.windows
        if windows is not None and not windows.server:
            yield warning(
                "lint.firmware",
                disk.element.find("CreatePartitions") or disk.element,
                f"no EFI partition is created, and {windows.name} starts from UEFI",
                "create an EFI partition (FAT32, 260 MB), an MSR (16 MB) and Windows",
            )
    elif gpt and not has_efi and firmware is None:
        yield warning(
            "lint.firmware",
            disk.element.find("CreatePartitions") or disk.element,
            "an MSR partition without an EFI partition: UEFI cannot start from this disk",
            "add an EFI partition in front",
        )
    active = next((m for m in disk.modified.values() if m.get("Active") == "true"), None)
    if gpt and active is not None:
        yield note(
            "lint.firmware",
            active.find("Active") or active,
            "Active does nothing on a GPT disk",
            "remove it",
        )


def _image(file: AnswerFile) -> Iterator[Finding]:
    for metadata in file.all("Setup", "ImageInstall/OSImage/InstallFrom/MetaData", "windowsPE"):
        key, value = metadata.find("Key"), metadata.find("Value")
        if key is None or value is None:
            yield error(
                "lint.image-selection",
                metadata,
                "MetaData needs a Key and a Value",
                "as /IMAGE/INDEX and 6",
            )
        elif (
            key.value.upper() == "/IMAGE/INDEX"
            and value.value
            and not re.fullmatch(r"[1-9][0-9]{0,3}", value.value)
        ):
            yield warning(
                "lint.image-selection",
                value,
                "the index of an image is a number from 1",
                "`provisioner inspect` lists the indexes of an ISO",
            )


def _target(image: Element, disks: dict[str, _Disk]) -> Iterator[Finding]:
    to, anywhere = image.find("InstallTo"), image.find("InstallToAvailablePartition")
    if anywhere is not None and anywhere.value == "true":
        if to is not None:
            yield error(
                "lint.partition-target",
                anywhere,
                "InstallToAvailablePartition and InstallTo contradict each other",
                "keep one of them",
            )
        return
    if to is None or not disks:
        return
    number = _number(to.get("PartitionID"))
    if number is None or not to.get("DiskID"):
        missing = "DiskID" if not to.get("DiskID") else "PartitionID"
        if to.find(missing) is None:
            yield error(
                "lint.partition-target",
                to,
                f"InstallTo has no {missing}",
                "give the DiskID and the PartitionID of the Windows partition",
            )
        return
    disk = disks.get(to.get("DiskID"))
    if disk is None:
        if any(_number(number) is None for number in disks):
            return  # told as a wrong type
        yield warning(
            "lint.partition-target",
            to.find("DiskID") or to,
            f"Windows goes on disk {to.get('DiskID')[:10]}, which this file does not lay out",
            f"it lays out disk {', '.join(disks)}",
        )
        return
    if disk.wiped and disk.created:
        yield from _target_partition(to.find("PartitionID") or to, disk, number)


def _target_partition(place: Element, disk: _Disk, number: int) -> Iterator[Finding]:
    """Windows' partition among those that are created."""
    created = disk.numbered.get(number)
    if created is None:
        yield error(
            "lint.partition-target",
            place,
            f"Windows goes on partition {number}, and {len(disk.numbered)} are created",
            "PartitionID counts the created partitions from 1",
        )
        return
    kind = created.get("Type").lower()
    if kind in (*RUNS_ON_GPT, "extended"):
        yield error(
            "lint.partition-target",
            place,
            f"Windows goes on partition {number}, which is of type {created.get('Type')[:10]}",
            "name the Primary partition for Windows",
        )
        return
    modified = disk.modified.get(number)
    form = modified.get("Format").upper() if modified is not None else ""
    if form and form != "NTFS":
        yield error(
            "lint.partition-format",
            place,
            f"Windows goes on partition {number}, which is formatted as {form[:10]}",
            "Windows needs NTFS",
        )
    elif not form:
        yield note(
            "lint.partition-format",
            place,
            f"Windows goes on partition {number}, which nothing formats",
            "add a ModifyPartition with <Format>NTFS</Format>",
        )


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None
