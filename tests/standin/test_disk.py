"""What `partitioning` writes, `partition_table` and other programs read back."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.standin.packages import which
from tests.standin.setup.layout import Partition
from tests.standin.setup.partition_table import read_table
from tests.standin.setup.partitioning import mbr


def partition(number: int, start: int, size: int, *, active: bool = False) -> Partition:
    """An NTFS partition of an MBR disk, in MiB."""
    return Partition(
        number=number,
        kind="Primary",
        start_mib=start,
        size_mib=size,
        type_id="0x07",
        active=active,
    )


def test_mbr_and_labels(tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    with disk.open("wb") as stream:
        stream.truncate(200 * 2**20)
        stream.write(mbr((partition(1, 1, 60, active=True), partition(2, 61, 100))))
    for number, (start, size, program) in {
        1: (1, 60, ["mkfs.fat", "-F32", "-n", "SYSTEM"]),
        2: (61, 100, ["mkntfs", "-q", "-F", "-Q", "-L", "W\u00fcste"]),
    }.items():
        part = tmp_path / f"part{number}"
        with part.open("wb") as stream:
            stream.truncate(size * 2**20)
        subprocess.run(
            [str(which(program[0])), *program[1:], str(part)], check=True, capture_output=True
        )
        with disk.open("r+b") as stream:
            stream.seek(start * 2**20)
            stream.write(part.read_bytes())
    with disk.open("rb") as stream:
        table, found = read_table(stream)
    assert table == "mbr"
    assert [(p.number, p.active, p.start_mib, p.size_mib) for p in found] == [
        (1, True, 1, 60),
        (2, False, 61, 100),
    ]
    assert [(p.file_system, p.label) for p in found] == [
        ("FAT32", "SYSTEM"),
        ("NTFS", "W\u00fcste"),
    ]
    listing = subprocess.run(["7z", "l", str(disk)], capture_output=True, text=True, check=True)
    assert "Type = MBR" in listing.stdout


def test_gpt(tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    with disk.open("wb") as stream:
        stream.truncate(100 * 2**20)
    commands = ["-n1:0:+50M", "-t1:EF00", "-n2:0:+16M", "-t2:0C01", "-n3:0:0", "-t3:2700"]
    subprocess.run([str(which("sgdisk")), *commands, str(disk)], check=True, capture_output=True)
    with disk.open("rb") as stream:
        table, found = read_table(stream)
    assert table == "gpt"
    assert [(p.number, p.kind, p.size_mib, p.file_system) for p in found] == [
        (1, "EFI", 50, None),
        (2, "MSR", 16, None),
        (3, "Recovery", 32, None),
    ]


def test_empty_disk(tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(2**20))
    with disk.open("rb") as stream:
        assert read_table(stream) == ("none", ())
