"""diskpart's scripts: from `select disk` and `create partition` to the plan of each disk.

Read from Microsoft's documentation of diskpart. Nothing here touches a disk.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tests.standin.setup.layout import (
    GPT_TYPES,
    MBR_NTFS,
    RESERVED_MIB,
    Disk,
    DiskPlan,
    Partition,
)

KINDS = {"efi": "EFI", "msr": "MSR", "primary": "Primary"}
FILE_SYSTEMS = {"ntfs": "NTFS", "fat32": "FAT32"}


class DiskpartError(Exception):
    """A command that diskpart refuses; it ends the script with an exit code of 1."""


@dataclass(slots=True)
class _Selected:
    disk: Disk
    table: str = ""
    partitions: list[Partition] = field(default_factory=list)

    @property
    def last(self) -> Partition:
        """The partition that has the focus: the one made last."""
        if not self.partitions:
            raise DiskpartError("There is no partition selected.")
        return self.partitions[-1]

    def change(self, **fields: object) -> None:
        self.partitions[-1] = replace(self.last, **fields)  # type: ignore[arg-type] # any field


def read_script(text: str, disks: Sequence[Disk]) -> tuple[DiskPlan, ...]:
    """What a script makes of disks that it cleans first; others are refused."""
    chosen: list[_Selected] = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words or words[0].lower() == "rem":
            continue
        if words[0].lower() == "exit":
            break
        try:
            _command([word.lower() for word in words], line, chosen, disks)
        except DiskpartError as err:
            raise DiskpartError(f"line {number}, {line.strip()}: {err}") from err
    return tuple(
        DiskPlan(disk=one.disk, wipe=True, table=one.table, partitions=tuple(one.partitions))
        for one in chosen
    )


def _command(words: list[str], line: str, chosen: list[_Selected], disks: Sequence[Disk]) -> None:
    if words[:2] == ["select", "disk"]:
        found = next((disk for disk in disks if str(disk.disk_id) == words[2]), None)
        if found is None:
            raise DiskpartError("The disk you specified is not valid.")
        chosen.append(_Selected(found))
        return
    if not chosen:
        raise DiskpartError("There is no disk selected.")
    disk = chosen[-1]
    match words:
        case ["clean"]:
            disk.partitions.clear()
            disk.table = "none"
        case ["convert", "gpt" | "mbr" as table]:
            if disk.partitions or (not disk.table and disk.disk.existing):
                raise DiskpartError("The disk is not empty.")
            disk.table = table
        case ["create", "partition", kind, *rest]:
            disk.partitions.append(_created(disk, kind, rest))
        case ["format", "quick", file_system, *_]:
            label = re.search(r'label="([^"]*)"', line)
            disk.change(
                file_system=FILE_SYSTEMS[file_system.removeprefix("fs=")],
                label=label[1] if label else None,
            )
        case ["active"]:
            if disk.table != "mbr":
                raise DiskpartError("The selected disk is not a fixed MBR disk.")
            disk.change(active=True)
        case ["assign", letter]:
            disk.change(letter=letter.removeprefix("letter=").upper())
        case ["set", identity]:
            type_id = identity.removeprefix("id=").upper()
            disk.change(type_id=type_id if disk.table == "gpt" else f"0x{type_id}")
        case ["gpt", attributes] if disk.table == "gpt":
            disk.change(attributes=int(attributes.removeprefix("attributes="), 16))
        case _:
            raise DiskpartError("The arguments specified for this command are not valid.")


def _created(disk: _Selected, kind: str, rest: list[str]) -> Partition:
    """Behind the last one; without a size up to the end of the disk."""
    if disk.table not in {"gpt", "mbr"}:
        raise DiskpartError("The disk is neither MBR nor GPT.")
    if disk.table == "mbr" and (kind != "primary" or len(disk.partitions) == 4):
        raise DiskpartError("The specified partition type is not valid for this disk.")
    start = RESERVED_MIB
    if disk.partitions:
        start = disk.partitions[-1].start_mib + disk.partitions[-1].size_mib
    room = disk.disk.size_mib - RESERVED_MIB - start
    sizes = [int(word.removeprefix("size=")) for word in rest]
    size = sizes[0] if sizes else room
    if not 0 < size <= room:
        raise DiskpartError("There is not enough usable free space on the specified disk.")
    name = KINDS[kind]
    return Partition(
        number=len(disk.partitions) + 1,
        kind=name,
        start_mib=start,
        size_mib=size,
        type_id=GPT_TYPES[name] if disk.table == "gpt" else MBR_NTFS,
    )
