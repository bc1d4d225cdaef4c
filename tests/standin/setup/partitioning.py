"""Puts a `DiskPlan` on a disk and formats its partitions. Runs only inside the guest."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from tests.standin.setup.layout import DiskPlan, Partition
from tests.standin.setup.machine import partition_device, run, wait_until
from tests.standin.setup.outcome import SetupStopped

SECTORS_PER_MIB = 2048
DISK_SIGNATURE = b"STDN"


def apply_plan(plan: DiskPlan) -> None:
    """Partition and format."""
    device = f"/dev/{plan.disk.device}"
    if plan.table == "gpt":
        run(["sgdisk", "-Z", device], allow_failure=True)
        run(["sgdisk", "-a", "2048", *_sgdisk_arguments(plan), device])
    else:
        with Path(device).open("r+b") as stream:
            stream.write(mbr(plan.partitions))
            os.fsync(stream.fileno())
        run(["blockdev", "--rereadpt", device])
    for partition in plan.partitions:
        node = Path(partition_device(plan.disk.device, partition.number))
        if not wait_until(node.exists, 10):
            raise SetupStopped(f"{node} did not appear")
        _format(partition, str(node))


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
    for partition in plan.partitions:
        number = partition.number
        start = partition.start_mib * SECTORS_PER_MIB
        end = start + partition.size_mib * SECTORS_PER_MIB - 1
        name = names.get(partition.kind, "Basic data partition")
        arguments += [f"-n{number}:{start}:{end}", f"-t{number}:{partition.type_id}"]
        arguments += [f"-c{number}:{name}"]
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
