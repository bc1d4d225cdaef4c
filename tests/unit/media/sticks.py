"""Raw images of sticks, made by sgdisk, mkfs.fat and mtools."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

from tests.unit.media.discs import run

MIB = 1 << 20
GPT_TYPES = {"efi": "ef00", "data": "0700", "reserved": "0c01", "linux": "8300"}


def make_fat(path: Path, files: Mapping[str, bytes], *, size: int, bits: int, label: str) -> Path:
    """A FAT volume by mkfs.fat, filled by mtools."""
    path.write_bytes(b"")
    with path.open("r+b") as stream:
        stream.truncate(size)
    run(["mkfs.fat", "-F", str(bits), "-n", label, path])
    if files:
        # One call: mcopy copies folders, and a hundred processes would take seconds.
        tree = path.with_name(f"{path.name}.tree")
        for name, content in files.items():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes(content)
        run(["mcopy", "-s", "-i", path, *sorted(tree.iterdir()), "::/"])
    return path


def make_gpt(path: Path, volumes: Mapping[str, bytes], types: Mapping[str, str]) -> Path:
    """A GPT by sgdisk with one partition for each volume, at whole mebibytes."""
    size = 2 * MIB + sum(-(-len(v) // MIB) * MIB for v in volumes.values())
    path.write_bytes(b"")
    with path.open("r+b") as stream:
        stream.truncate(size)
    at = MIB
    arguments: list[str] = []
    for number, (name, volume) in enumerate(volumes.items(), 1):
        sectors = -(-len(volume) // MIB) * MIB // 512
        arguments += [f"--new={number}:{at // 512}:{at // 512 + sectors - 1}"]
        arguments += [f"--typecode={number}:{types[name]}", f"--change-name={number}:{name}"]
        with path.open("r+b") as stream:
            stream.seek(at)
            stream.write(volume)
        at += sectors * 512
    run(["sgdisk", *arguments, path])
    return path


def make_gpt_stick(folder: Path) -> bytes:
    """A small stick with an answer file on FAT16."""
    volume = make_fat(
        folder / "gpt.fat",
        {"Autounattend.xml": b"<unattend/>", "sources/a long name.txt": b"x" * 9000},
        size=9 * MIB,
        bits=16,
        label="STICK",
    )
    path = make_gpt(folder / "gpt.img", {"data": volume.read_bytes()[: 2 * MIB]}, {"data": "0700"})
    return path.read_bytes()


def mbr_entry(kind: int, first: int, sectors: int, *, active: bool = False) -> bytes:
    """One row of an MBR, without the addresses in cylinders."""
    return struct.pack("<B3xB3xII", 0x80 if active else 0, kind, first, sectors)


def make_mbr_stick(folder: Path) -> bytes:
    """An MBR with a FAT12 partition and a logical drive, by hand."""
    volume = make_fat(
        folder / "mbr.fat", {"setup.exe": b"MZ", "X.TXT": b"x"}, size=MIB, bits=12, label="OLD"
    ).read_bytes()
    table = mbr_entry(0x0C, 64, len(volume) // 512, active=True)
    table += mbr_entry(0x05, 64 + len(volume) // 512, 200)
    head = bytes(446) + table + bytes(32) + b"\x55\xaa"
    extended = bytes(446) + mbr_entry(0x07, 8, 100) + bytes(48) + b"\x55\xaa"
    return head.ljust(64 * 512, b"\0") + volume + extended.ljust(200 * 512, b"\0")


def make_boot_image(folder: Path, loader: bytes) -> bytes:
    """An efisys.bin: a FAT12 volume with a loader where firmware looks."""
    size = max(256 << 10, len(loader) + (64 << 10))
    path = folder / "efisys.fat"
    return make_fat(
        path, {"EFI/BOOT/BOOTX64.EFI": loader}, size=size, bits=12, label="EFISECTOR"
    ).read_bytes()


def make_volumes(folder: Path) -> Path:
    """A GPT disk with one volume of every kind that is told by name."""
    makers = {
        "ntfs": (["mkntfs", "-q", "-Q", "-F", "-s", "512", "-L", "Daten é"], 2 * MIB),
        "exfat": (["mkfs.exfat", "-b", "64K", "-c", "4K", "-L", "Stick"], 2 * MIB),
        "ext4": (["mke2fs", "-q", "-t", "ext4", "-L", "root fs"], 2 * MIB),
        "ext2": (["mke2fs", "-q", "-t", "ext2", "-L", "old"], MIB),
        "swap": (["mkswap"], MIB),
    }
    volumes: dict[str, bytes] = {}
    for name, (command, size) in makers.items():
        path = folder / f"{name}.volume"
        path.write_bytes(bytes(size))
        run([*command, path])
        volumes[name] = path.read_bytes()
    volumes["nothing"] = bytes(MIB)
    types = dict.fromkeys(volumes, "0700") | {"ext4": "8300", "ext2": "8300", "swap": "8200"}
    return make_gpt(folder / "volumes.img", volumes, types)
