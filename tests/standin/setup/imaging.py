"""The image on the disk: applying it, making the disk start, reading back what is there.

Runs only inside the guest; Setup's engine and the programs of Windows PE share it.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.standin.setup import machine
from tests.standin.setup.layout import DiskPlan
from tests.standin.setup.outcome import SetupStopped
from tests.standin.setup.partition_table import read_table
from tests.standin.setup.serial_report import SerialReport

PROGRESS = re.compile(rb"(\d+) MiB of (\d+) MiB")
IMAGES = ("install.wim", "install.swm")
BIOS_BOOT_CODE = Path("/grub/boot.img")


def apply_image(
    wim: Path, index: int, windows: str, parts: Sequence[str], serial: SerialReport | None
) -> None:
    """Apply an image to a partition, and report every tenth of it as wimlib counts."""
    argv = ["wimlib-imagex", "apply", str(wim), str(index), windows, *parts]
    tenths, line = 0, b""
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        while piece := process.stdout.read1(4096):
            line = (line + piece)[-400:]
            for done, total in PROGRESS.findall(line):
                if serial and 10 * int(done) // max(1, int(total)) > tenths:
                    tenths = 10 * int(done) // int(total)
                    serial.progress(int(done) * 2**20, int(total) * 2**20)
    machine.log(f"$ {' '.join(argv)} -> {process.returncode}\n{line.decode(errors='replace')}")
    if process.returncode:
        raise SetupStopped(f"wimlib-imagex failed with {process.returncode}")


def image_files(sources: Path) -> tuple[Path, tuple[str, ...]]:
    """The image, and how wimlib is told of the other parts: Setup finds them by their names
    (docs/facts/iso-usb.md §2.4)."""
    wim = next(path for name in IMAGES if (path := sources / name).is_file())
    parts = sorted(path for path in sources.glob("install*.swm") if path != wim)
    return wim, tuple(f"--ref={path}" for path in parts)


def make_bootable(wim: Sequence[str], index: int, plan: DiskPlan, *, firmware: str) -> None:
    """What bcdboot does: put the image's boot loader where the firmware looks for it."""
    boot = Path("/tmp/boot")
    boot.mkdir(exist_ok=True)
    machine.run(
        [
            "wimlib-imagex",
            "extract",
            wim[0],
            str(index),
            *wim[1:],
            "/Windows/Boot",
            f"--dest-dir={boot}",
        ]
    )
    boot = boot / "Boot"
    if firmware == "bios":
        device = Path(f"/dev/{plan.disk.device}")
        with device.open("r+b") as stream:
            stream.write(BIOS_BOOT_CODE.read_bytes()[:440])
            stream.seek(512)
            stream.write((boot / "PCAT/core.img").read_bytes())
            stream.flush()
            os.fsync(stream.fileno())
        return
    number = next(p.number for p in plan.partitions if p.kind == "EFI")
    esp = Path("/mnt/esp")
    esp.mkdir(parents=True, exist_ok=True)
    machine.run(
        ["mount", "-t", "vfat", machine.partition_device(plan.disk.device, number), str(esp)]
    )
    for folder, name in (("EFI/Boot", "bootx64.efi"), ("EFI/Microsoft/Boot", "bootmgfw.efi")):
        (esp / folder).mkdir(parents=True, exist_ok=True)
        for loader in (boot / "EFI").iterdir():
            target = name if loader.name == "bootmgfw.efi" else loader.name
            (esp / folder / target).write_bytes(loader.read_bytes())
    if (boot / "ESP").is_dir():
        machine.run(["cp", "-r", *map(str, (boot / "ESP").iterdir()), str(esp)])
    machine.run(["umount", str(esp)])


def found_on_disk(plan: DiskPlan) -> dict[str, Any]:
    """A disk for the report, read back from its bytes."""
    os.sync()
    with Path(f"/dev/{plan.disk.device}").open("rb") as stream:
        table, partitions = read_table(stream)
    letters = {partition.number: partition.letter for partition in plan.partitions}
    return {
        "disk_id": plan.disk.disk_id,
        "device": plan.disk.device,
        "bus": plan.disk.bus,
        "size_mib": plan.disk.size_mib,
        "table": table,
        "partitions": [
            {
                "number": p.number,
                "type": p.kind,
                "type_id": p.type_id,
                "start_mib": p.start_mib,
                "size_mib": p.size_mib,
                "filesystem": p.file_system,
                "label": p.label,
                "letter": letters.get(p.number),
                "active": p.active,
            }
            for p in partitions
        ],
    }


def put_file(windows: str, path: str, content: bytes) -> None:
    """Write a file onto the NTFS partition; its folder must be there."""
    local = Path("/tmp/content")
    local.write_bytes(content)
    machine.run(["ntfscp", "-q", windows, str(local), path])
