"""What is known of a disk before it is opened: records only."""

from __future__ import annotations

from enum import StrEnum

from provisioner.frozen import frozen


class Transport(StrEnum):
    """What a disk hangs on."""

    USB = "usb"
    MMC = "mmc"
    NVME = "nvme"
    ATA = "ata"
    SCSI = "scsi"
    VIRTIO = "virtio"
    LOOP = "loop"
    VIRTUAL = "virtual"
    """Made of other disks, of memory or of a network: device mapper, RAID, zram, nbd."""


class UseKind(StrEnum):
    """How something holds a disk."""

    MOUNT = "mounted"
    SWAP = "swap"
    HOLDER = "held"
    LOOP = "loop"


@frozen
class Use:
    """Something that needs the disk. `chain`: kernel names from the disk to it, as `sdc`, `sdc2`,
    `dm-0`; `where`: the mount point, the backing file, or the holder's own name."""

    kind: UseKind
    chain: tuple[str, ...]
    where: str
    system: bool = False
    """Whether the running system stands on it."""

    def describe(self) -> str:
        """`sdc2 → dm-0 (LVM vg-home) is mounted at /home`."""
        path = " → ".join(self.chain[1:] or self.chain)
        match self.kind:
            case UseKind.MOUNT:
                return f"{path} is mounted at {self.where}"
            case UseKind.SWAP:
                return f"{path} is swap space in use"
            case UseKind.HOLDER:
                return f"{path} is held by {self.where}"
            case UseKind.LOOP:
                return f"{path} serves a file on it, {self.where}"


@frozen
class PartitionInfo:
    """A partition as kernel and udev tell of it; sizes in bytes, texts may be empty."""

    name: str
    number: int
    offset: int
    size: int
    filesystem: str = ""
    label: str = ""


@frozen
class Disk:
    """A whole disk. Texts may be empty, `diskseq` is None before Linux 5.15; sizes in bytes."""

    name: str
    node: str
    number: str
    size: int
    sector: int
    read_only: bool
    removable: bool
    transport: Transport
    vendor: str
    model: str
    serial: str
    diskseq: int | None
    ids: tuple[str, ...]
    """Stable names, the best first; never empty for what can be a target."""
    partitions: tuple[PartitionInfo, ...] = ()
    uses: tuple[Use, ...] = ()

    @property
    def stable_id(self) -> str:
        """The name to give to `--to`."""
        return self.ids[0] if self.ids else f"diskseq-{self.diskseq}"

    @property
    def proof(self) -> str:
        """What a person types, and `--erase` gives, to show which disk is meant."""
        return self.serial or self.stable_id

    @property
    def title(self) -> str:
        """`SanDisk Ultra, serial 4C530001`."""
        words = " ".join(word for word in (self.vendor, self.model) if word) or "unnamed disk"
        return f"{words}, serial {self.serial}" if self.serial else f"{words}, without a serial"


@frozen
class Chosen:
    """The disk that was meant, as it was when it was chosen: what later looks are compared with."""

    node: str
    name: str
    number: str
    serial: str
    size: int
    diskseq: int | None


def chosen(disk: Disk) -> Chosen:
    """What identifies a disk from now on."""
    return Chosen(
        node=disk.node,
        name=disk.name,
        number=disk.number,
        serial=disk.serial,
        size=disk.size,
        diskseq=disk.diskseq,
    )


def name_of(disk: Disk) -> str:
    """`/dev/sdc (SanDisk Ultra, serial 4C530001)`."""
    return f"{disk.node} ({disk.title})"
