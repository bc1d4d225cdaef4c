"""Reads the kernel's own account of the disks: sysfs, mountinfo, swaps, udev's database.

Only files below the given roots are read, so that a test can build a machine in a folder; nothing
is opened that stands in the device folder, except to read labels.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from provisioner.errors import MediaError
from provisioner.media.volumes import recognise
from provisioner.media.window import opened
from provisioner.usb.devices import Disk, PartitionInfo, Transport
from provisioner.usb.devices_uses import Block, Kernel, Mount, uses_of

_UNIT = 512
"""sysfs counts sizes in this, whatever the disk's sectors are (kernel ABI, block/<disk>/size)."""
_UNREAL = re.compile(r"(ram|zram|dm-|md|nbd|sr|fd|drbd|rbd|bcache)\d*")
_MOST = 4096


@dataclass(frozen=True, kw_only=True)
class System:
    """Where the machine is to be looked for.

    `allowed_loops` gives loop devices, by kernel name, a serial, and so makes targets of them: for
    tests, which make their own. No option and no variable sets it.
    """

    sys: Path = Path("/sys")
    dev: Path = Path("/dev")
    proc: Path = Path("/proc")
    udev: Path = Path("/run/udev/data")
    allowed_loops: Mapping[str, str] = field(default_factory=dict)

    def disks(self) -> tuple[Disk, ...]:
        """Every whole disk, those that are no targets too; by kernel name."""
        kernel = self.kernel()
        found = [
            self._disk(block, kernel)
            for block in kernel.blocks.values()
            if block.disk is None and not block.name.startswith(("ram", "sr", "fd"))
        ]
        return tuple(sorted(found, key=lambda disk: (len(disk.name), disk.name)))

    def kernel(self) -> Kernel:
        """The block devices, what is stacked on what, mounts and swap, at this moment."""
        blocks = {block.name: block for block in map(self._block, self._names()) if block}
        mounts = tuple(_mount(line) for line in _lines(self.proc / "self/mountinfo"))
        swaps = tuple(_plain(line.split()[0]) for line in _lines(self.proc / "swaps")[1:])
        return Kernel(
            blocks=blocks,
            mounts=tuple(mount for mount in mounts if mount is not None),
            swaps=tuple(filter(None, map(self.name_of, swaps))),
            btrfs=self._btrfs(),
            sources={mount.source: self.name_of(mount.source) for mount in mounts if mount},
        )

    def disk_of_number(self, number: str) -> Disk | None:
        """The disk with a device number, as it is now; None where there is none."""
        kernel = self.kernel()
        found = (b for b in kernel.blocks.values() if b.number == number and b.disk is None)
        return next((self._disk(block, kernel) for block in found), None)

    def name_of(self, path: str) -> str | None:
        """The kernel name behind a node: `dm-0` for /dev/mapper/vg-home; None for other files."""
        if not path.startswith("/dev/"):
            return None
        node = self.dev / path.removeprefix("/dev/")
        target = Path(os.path.realpath(node))
        return target.name if (self.sys / "class/block" / target.name).exists() else None

    def _names(self) -> list[str]:
        try:
            return sorted(entry.name for entry in (self.sys / "class/block").iterdir())
        except OSError:
            return []

    def _block(self, name: str) -> Block | None:
        folder = self._folder(name)
        number = _text(folder / "dev")
        if not number:
            return None  # it went while we looked
        partition = (folder / "partition").exists()
        return Block(
            name=name,
            number=number,
            disk=folder.parent.name if partition else None,
            holders=_listed(folder / "holders"),
            backing=_text(folder / "loop/backing_file") or _text(folder / "backing_dev"),
            title=_title(name, folder),
        )

    def _folder(self, name: str) -> Path:
        return Path(os.path.realpath(self.sys / "class/block" / name))

    def _disk(self, block: Block, kernel: Kernel) -> Disk:
        folder = self._folder(block.name)
        transport = self._transport(block.name, folder)
        usb = _usb_device(folder) if transport is Transport.USB else None
        udev = self._udev(block.number)
        serial = (
            (_text(usb / "serial") if usb else "")
            or _text(folder / "device/serial")
            or udev.get("ID_SERIAL_SHORT", "")
            or self.allowed_loops.get(block.name, "")
        )
        vendor = _text(folder / "device/vendor") or (_text(usb / "manufacturer") if usb else "")
        model = _text(folder / "device/model") or _text(folder / "device/name")
        if transport not in {Transport.USB, Transport.SCSI}:
            vendor = ""  # ATA's is "ATA", virtio's a number
        model = model or (_text(usb / "product") if usb else "")
        links = self._links(block.name)
        made = _made_id(transport, vendor, model, serial)
        diskseq = _number(folder / "diskseq")
        uses = uses_of(block.name, kernel)
        return Disk(
            name=block.name,
            node=str(self.dev / block.name),
            number=block.number,
            size=(_number(folder / "size") or 0) * _UNIT,
            sector=_number(folder / "queue/logical_block_size") or _UNIT,
            read_only=_text(folder / "ro") == "1",
            removable=_text(folder / "removable") == "1",
            transport=transport,
            vendor=vendor,
            model=model,
            serial=serial,
            diskseq=diskseq,
            ids=(*links, *(() if not made or made in links else (made,))),
            partitions=self._partitions(block, kernel),
            uses=uses,
        )

    def _transport(self, name: str, folder: Path) -> Transport:
        if name.startswith("loop"):
            return Transport.USB if name in self.allowed_loops else Transport.LOOP
        if _UNREAL.fullmatch(name):
            return Transport.VIRTUAL
        parts = folder.parts
        for pattern, transport in (
            (r"usb\d+", Transport.USB),
            (r"mmc_host", Transport.MMC),
            (r"nvme\d*", Transport.NVME),
            (r"virtio\d+", Transport.VIRTIO),
            (r"ata\d+", Transport.ATA),
        ):
            if any(re.fullmatch(pattern, part) for part in parts):
                return transport
        return Transport.VIRTUAL if "virtual" in parts else Transport.SCSI

    def _partitions(self, disk: Block, kernel: Kernel) -> tuple[PartitionInfo, ...]:
        found = []
        for block in kernel.blocks.values():
            if block.disk != disk.name:
                continue
            folder = self._folder(block.name)
            filesystem, label = self._volume(block)
            found.append(
                PartitionInfo(
                    name=block.name,
                    number=_number(folder / "partition") or 0,
                    offset=(_number(folder / "start") or 0) * _UNIT,
                    size=(_number(folder / "size") or 0) * _UNIT,
                    filesystem=filesystem,
                    label=label,
                )
            )
        return tuple(sorted(found, key=lambda part: part.number))

    def _volume(self, block: Block) -> tuple[str, str]:
        udev = self._udev(block.number)
        kind = udev.get("ID_FS_TYPE", "")
        if kind:
            coded = udev.get("ID_FS_LABEL_ENC")
            label = _unescape(coded) if coded else udev.get("ID_FS_LABEL", "")
            return {"vfat": "FAT", "ntfs": "NTFS", "exfat": "exFAT"}.get(kind, kind), label
        try:
            with opened(self.dev / block.name) as window:
                volume = recognise(window, 0)
        except (MediaError, OSError):
            return "", ""  # not for us to read, and nothing that anybody needs
        return (volume.filesystem, volume.label) if volume else ("", "")

    def _udev(self, number: str) -> Mapping[str, str]:
        pairs = (line[2:].partition("=") for line in _lines(self.udev / f"b{number}"))
        return {name: value for name, sign, value in pairs if sign}

    def _links(self, name: str) -> tuple[str, ...]:
        """udev's names for a disk; those that tell most stand first, bare numbers last."""
        folder = self.dev / "disk/by-id"
        try:
            links = sorted(entry.name for entry in folder.iterdir())
        except OSError:
            return ()
        mine = [one for one in links if Path(os.path.realpath(folder / one)).name == name]
        return tuple(sorted(mine, key=lambda one: (one.startswith(("wwn-", "nvme-eui")), one)))

    def _btrfs(self) -> tuple[frozenset[str], ...]:
        """The members of every mounted btrfs, whose mounts have device numbers of their own."""
        try:
            volumes = sorted((self.sys / "fs/btrfs").iterdir())
        except OSError:
            return ()
        sets = (frozenset(_listed(volume / "devices")) for volume in volumes)
        return tuple(members for members in sets if members)


def _usb_device(folder: Path) -> Path | None:
    return next((parent for parent in folder.parents if (parent / "idVendor").exists()), None)


def _made_id(transport: Transport, vendor: str, model: str, serial: str) -> str:
    """As udev's persistent-storage rules build it, for machines without udev."""
    if not serial or transport in {Transport.LOOP, Transport.VIRTUAL}:
        return ""
    words = [re.sub(r"[^A-Za-z0-9#+.:=@_-]+", "_", word).strip("_") for word in (vendor, model)]
    return f"{transport.value}-" + "_".join([word for word in words if word] + [serial])


def _title(name: str, folder: Path) -> str:
    """What a holder is, in words a person knows."""
    mapped = _text(folder / "dm/name")
    if mapped:
        kind = _text(folder / "dm/uuid").partition("-")[0]
        word = {"LVM": "LVM volume", "CRYPT": "encrypted volume", "mpath": "multipath"}.get(kind)
        return f"{word or 'device-mapper volume'} {mapped}"
    if (folder / "md").exists():
        return f"RAID array {name}"
    return name


def _mount(line: str) -> Mount | None:
    """proc(5), mountinfo: the optional fields end at a lone dash."""
    before, sign, after = line.partition(" - ")
    fields, rest = before.split(), after.split()
    if not sign or len(fields) < 5 or len(rest) < 2:
        return None
    return Mount(number=fields[2], point=_plain(fields[4]), source=_plain(rest[1]))


def _plain(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _unescape(text: str) -> str:
    raw = re.sub(
        rb"\\x([0-9a-fA-F]{2})", lambda match: bytes([int(match[1], 16)]), text.encode("utf-8")
    )
    return raw.decode("utf-8", "replace").strip()


def _listed(folder: Path) -> tuple[str, ...]:
    try:
        return tuple(sorted(entry.name for entry in folder.iterdir()))
    except OSError:
        return ()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MOST).decode("utf-8", "replace").strip(" \t\r\n\0")
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdecimal() else None
