"""Machines made of files: sysfs, /dev, /proc and udev's database in a folder."""

from __future__ import annotations

import itertools
from pathlib import Path

from provisioner.usb.devices_sysfs import System

USB = "pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block"
SATA = "pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block"
CARD = "pci0000:00/0000:00:1a.0/mmc_host/mmc0/mmc0:aaaa/block"
NVME = "pci0000:00/0000:00:1d.0/0000:03:00.0/nvme/nvme0/nvme0n1/block"


class Tree:
    """A machine that is built up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = itertools.count(1)
        self._mounts: list[str] = []
        for name in ("sys/class/block", "sys/fs/btrfs", "dev/disk/by-id", "proc/self", "udev"):
            (folder / name).mkdir(parents=True)
        self.write("proc/swaps", "Filename Type Size Used Priority\n")
        self.write("proc/self/mountinfo", "")

    @property
    def system(self) -> System:
        return System(
            sys=self.folder / "sys",
            dev=self.folder / "dev",
            proc=self.folder / "proc",
            udev=self.folder / "udev",
        )

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def disk(self, name: str, bus: str, *, size: int = 60_000_000, **attributes: str) -> str:
        """A whole disk on a bus; `size` in units of 512 bytes. Its device number."""
        place = f"sys/devices/{bus}/{name}"
        number = f"8:{next(self._numbers)}"
        known = {
            "size": str(size),
            "dev": number,
            "ro": "0",
            "removable": "1" if bus == USB else "0",
            "diskseq": str(next(self._numbers)),
            "queue/logical_block_size": "512",
        }
        for attribute, value in {**known, **attributes}.items():
            self.write(f"{place}/{attribute}", value + "\n")
        for folder in ("holders", "slaves"):
            (self.folder / place / folder).mkdir(exist_ok=True)
        (self.folder / "sys/class/block" / name).symlink_to(self.folder / place)
        (self.folder / "dev" / name).write_bytes(b"")
        return number

    def usb(self, name: str, *, serial: str = "4C530001", **attributes: str) -> str:
        """A SanDisk stick."""
        above = f"sys/devices/{USB.partition('/2-1:1.0')[0]}"
        for attribute, value in (("idVendor", "0781"), ("serial", serial), ("product", "Ultra")):
            self.write(f"{above}/{attribute}", value + "\n")
        return self.disk(
            name,
            USB,
            **{"device/vendor": "SanDisk ", "device/model": "Ultra           ", **attributes},
        )

    def part(
        self, disk: str, name: str, index: int, *, filesystem: str = "", label: str = ""
    ) -> str:
        """A partition, and what udev knows of it."""
        parent = (self.folder / "sys/class/block" / disk).resolve()
        number = f"8:{100 + next(self._numbers)}"
        place = parent.relative_to(self.folder) / name
        for attribute, value in (
            ("partition", str(index)),
            ("start", str(2048 * index)),
            ("size", "1000000"),
            ("dev", number),
        ):
            self.write(f"{place}/{attribute}", value + "\n")
        (self.folder / place / "holders").mkdir()
        (self.folder / "sys/class/block" / name).symlink_to(self.folder / place)
        (self.folder / "dev" / name).write_bytes(b"")
        if filesystem:
            self.write(f"udev/b{number}", f"E:ID_FS_TYPE={filesystem}\nE:ID_FS_LABEL_ENC={label}\n")
        return number

    def stacked(self, name: str, *below: str, **attributes: str) -> str:
        """A device-mapper or RAID device on others."""
        number = self.disk(name, "virtual/block", **attributes)
        for other in below:
            holder = (self.folder / "sys/class/block" / other).resolve() / "holders" / name
            holder.write_text("")
        return number

    def mapped(self, name: str, title: str) -> None:
        """/dev/mapper/TITLE."""
        folder = self.folder / "dev/mapper"
        folder.mkdir(exist_ok=True)
        (folder / title).symlink_to(f"../{name}")

    def mount(self, number: str, point: str, source: str) -> None:
        """A line of mountinfo."""
        coded = point.replace(" ", "\\040")
        self._mounts.append(f"30 1 {number} / {coded} rw,relatime shared:1 - ext4 {source} rw")
        self.write("proc/self/mountinfo", "\n".join(self._mounts) + "\n")

    def link(self, name: str, disk: str) -> None:
        """/dev/disk/by-id/NAME."""
        (self.folder / "dev/disk/by-id" / name).symlink_to(f"../../{disk}")
