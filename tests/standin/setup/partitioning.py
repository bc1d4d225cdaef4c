"""Puts a `DiskPlan` on a disk and formats its partitions. Runs only inside the guest."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.standin.setup.layout import DiskPlan, Partition
from tests.standin.setup.machine import load_modules, partition_device, run, wait_until
from tests.standin.setup.outcome import SetupStopped

SECTORS_PER_MIB = 2048
DISK_SIGNATURE = b"STDN"
WINDOWS_FOLDERS = frozenset(
    {"windows", "users", "program files", "program files (x86)", "programdata"}
)


def apply_plan(plan: DiskPlan) -> None:
    """Partition and format; of a disk that is not wiped, only what is new or changes."""
    device = f"/dev/{plan.disk.device}"
    if plan.table == "gpt":
        if plan.wipe:
            run(["sgdisk", "-Z", device], allow_failure=True)
        if arguments := _sgdisk_arguments(plan):
            run(["sgdisk", "-a", "2048", *arguments, device])
    elif plan.wipe or not plan.disk.existing:
        with Path(device).open("r+b") as stream:
            stream.write(mbr(plan.partitions))
            os.fsync(stream.fileno())
        run(["blockdev", "--rereadpt", device])
    for partition in plan.partitions:
        node = Path(partition_device(plan.disk.device, partition.number))
        if not wait_until(node.exists, 10):
            raise SetupStopped(f"{node} did not appear")
        if not partition.keeps:
            _format(partition, str(node))


def move_old_windows(node: str) -> tuple[str, ...]:
    """What Setup does with a Windows in the partition it installs to: its folders go to
    Windows.old, everything else stays. The folders' names."""
    with mounted(node) as root:
        found = [path for path in root.iterdir() if path.name.lower() in WINDOWS_FOLDERS]
        if found:
            (root / "Windows.old").mkdir(exist_ok=True)
        for path in found:
            path.rename(root / "Windows.old" / path.name)
    return tuple(sorted(path.name for path in found))


@contextmanager
def mounted(node: str) -> Iterator[Path]:
    """An NTFS partition as a folder."""
    load_modules("fuse")
    root = Path("/mnt", Path(node).name)
    root.mkdir(parents=True, exist_ok=True)
    run(["ntfs-3g", node, str(root)])
    try:
        yield root
    finally:
        run(["umount", str(root)])


def mbr(partitions: tuple[Partition, ...]) -> bytes:
    """A partition table without boot code; addresses beyond CHS are marked as such."""
    sector = bytearray(512)
    sector[440:444] = DISK_SIGNATURE
    for place, partition in enumerate(partitions):
        beyond = b"\xfe\xff\xff"
        struct.pack_into(
            "<B3sB3sII",
            sector,
            446 + 16 * place,
            0x80 if partition.active else 0,
            beyond,
            int(partition.type_id, 16),
            beyond,
            partition.start_mib * SECTORS_PER_MIB,
            partition.size_mib * SECTORS_PER_MIB,
        )
    sector[510:512] = b"\x55\xaa"
    return bytes(sector)


def _sgdisk_arguments(plan: DiskPlan) -> list[str]:
    names = {"EFI": "EFI system partition", "MSR": "Microsoft reserved partition"}
    arguments = []
    there = {} if plan.wipe else {one.number: one for one in plan.disk.existing}
    for partition in plan.partitions:
        number = partition.number
        if number in there:
            if there[number].type_id != partition.type_id:
                arguments.append(f"-t{number}:{partition.type_id}")
            continue
        start = partition.start_mib * SECTORS_PER_MIB
        end = start + partition.size_mib * SECTORS_PER_MIB - 1
        name = names.get(partition.kind, "Basic data partition")
        arguments += [f"-n{number}:{start}:{end}", f"-t{number}:{partition.type_id}"]
        arguments += [f"-c{number}:{name}"]
        if partition.attributes:
            arguments.append(f"-A{number}:=:{partition.attributes:016x}")
    return arguments


def _format(partition: Partition, node: str) -> None:
    match partition.file_system:
        case "NTFS":
            label = ["-L", partition.label] if partition.label else []
            run(["mkntfs", "-Q", "-F", *label, node])
        case "FAT32":
            label = ["-n", partition.label.upper()[:11]] if partition.label else []
            run(["mkfs.fat", "-F32", *label, node])
        case _:
            pass
