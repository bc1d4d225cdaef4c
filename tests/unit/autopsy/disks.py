"""Disk images as Windows leaves them, made without root, mounts and a kernel driver for NTFS.

GPT by sgdisk, MBR by sfdisk, NTFS by mkntfs and wimlib (which writes folders into a volume that is
not mounted), chains by qemu-img. None of it is Windows: the logs are written after
docs/facts/windows-setup.md.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

MIB = 1 << 20
ESP_MIB, WINDOWS_MIB = 4, 12
WINDOWS_AT = (1 + ESP_MIB) * MIB


def run(*argv: str | Path) -> None:
    """Runs a tool; its complaints are the test's."""
    subprocess.run([str(word) for word in argv], check=True, capture_output=True, timeout=60)


def ntfs(folder: Path, files: Mapping[str, bytes]) -> Path:
    """An NTFS volume, WINDOWS_MIB in size, with these files."""
    tree, wim, volume = folder / "tree", folder / "tree.wim", folder / "ntfs.raw"
    shutil.rmtree(tree, ignore_errors=True)
    for path, content in files.items():
        target = tree / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    tree.mkdir(exist_ok=True)
    wim.unlink(missing_ok=True)
    volume.unlink(missing_ok=True)
    run("wimlib-imagex", "capture", tree, wim, "x", "--compress=none", "--threads=1")
    with volume.open("wb") as file:
        file.truncate(WINDOWS_MIB * MIB)
    run("mkntfs", "-Q", "-F", "-q", "-L", "Windows", volume)
    run("wimlib-imagex", "apply", wim, "1", volume)
    return volume


def gpt_disk(folder: Path, files: Mapping[str, bytes]) -> Path:
    """A raw disk as UEFI has it: EFI system, Microsoft reserved, Windows."""
    disk = folder / "disk.raw"
    with disk.open("wb") as file:
        file.truncate(WINDOWS_AT + (WINDOWS_MIB + 2) * MIB)
    run(
        *("sgdisk", "-n1:1M:+3M", "-t1:EF00", "-n2:4M:+1M", "-t2:0C01"),
        *(f"-n3:{WINDOWS_AT // MIB}M:+{WINDOWS_MIB}M", "-t3:0700", disk),
    )
    return _with_volume(disk, ntfs(folder, files))


def mbr_disk(folder: Path, files: Mapping[str, bytes]) -> Path:
    """A raw disk as BIOS has it."""
    disk = folder / "disk.raw"
    with disk.open("wb") as file:
        file.truncate(WINDOWS_AT + (WINDOWS_MIB + 2) * MIB)
    table = f"label: dos\nstart={WINDOWS_AT // 512}, size={WINDOWS_MIB * MIB // 512}, type=7\n"
    subprocess.run(
        ["sfdisk", "-q", str(disk)], input=table.encode(), check=True, capture_output=True
    )
    return _with_volume(disk, ntfs(folder, files))


def overlay(base: Path, name: str) -> Path:
    """An empty qcow2 over another image."""
    path = base.with_name(name)
    kind = "qcow2" if base.suffix == ".qcow2" else "raw"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-F", kind, "-b", base.name, path)
    return path


def converted(disk: Path, driver: str) -> Path:
    """The same disk in another format."""
    path = disk.with_suffix(f".{driver}")
    run("qemu-img", "convert", "-f", "raw", "-O", driver, disk, path)
    return path


def _with_volume(disk: Path, volume: Path) -> Path:
    with disk.open("r+b") as file:
        file.seek(WINDOWS_AT)
        file.write(volume.read_bytes())
    return disk
