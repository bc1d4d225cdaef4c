"""The `metal:` part of a profile: a physical PC, in place of `machine:`."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from provisioner.profile.base import HostPath, ProfileModel
from provisioner.profile.disks import WindowsDisk
from provisioner.profile.network import Addresses
from provisioner.profile.units import MacAddress, Size

DiskText = Annotated[str, Field(min_length=3, max_length=64, pattern=r"^[ #$&-~]+$")]
"""ASCII without `!`, `%` and double quotes: it is compared in a batch file of Windows PE."""


class DiskChoice(ProfileModel):
    """Which disk of the PC Windows goes on: all that is said here must hold, for one disk alone."""

    serial: DiskText | None = None
    """Serial number as Windows tells it; for NVMe disks usually that of the sticker. Needs a disc
    whose Windows PE can tell serial numbers; `usb plan` says whether yours can."""
    model: DiskText | None = None
    """The beginning of its model, as Windows and `diskpart` name it: `Samsung SSD 970`."""
    bus: Literal["nvme", "sata", "sas", "raid", "usb"] | None = None
    """How it is connected, as Windows sees it; `raid` also for Intel's RST and VMD."""
    size: Size | None = None
    """Its size as it is sold, `500 GB`; up to 4 % more or less are taken for the same."""


class Card(Addresses):
    """A network card of a physical PC, known by its address."""

    mac: MacAddress
    """The card's MAC address, as its label or the firmware shows it."""


def _kind_of_disk(disk: object) -> str:
    if isinstance(disk, Mapping):
        return "WindowsDisk" if {"number", "policy"} & set(disk) else "DiskChoice"
    return "only" if isinstance(disk, str) else type(disk).__name__


Disk = Annotated[
    Annotated[DiskChoice, Tag("DiskChoice")]
    | Annotated[WindowsDisk, Tag("WindowsDisk")]
    | Annotated[Literal["only"], Tag("only")],
    Discriminator(_kind_of_disk),
]
"""What the disk is like, which is found out on the PC, or the number that Setup gives it."""


class Metal(ProfileModel):
    """A physical PC. Nothing of it is erased unless `disk` and `wipe` say so: Setup asks."""

    firmware: Literal["secure-boot", "uefi", "bios"] = "secure-boot"
    """How the PC starts: UEFI with Secure Boot, UEFI without, or BIOS (answer files only: a stick
    starts by UEFI)."""
    disk: Disk | None = None
    """The disk that Windows goes on: what it is like (serial, model, bus, size), `only` for the one
    disk there is beside the stick, or its number. Where not exactly one fits, the PC stops and says
    so; a number is taken as it is. Default: Setup asks."""
    wipe: bool = False
    """Whether that disk may be erased without a question. Has to be true for a disk that is
    described, or `only`; one by number has its own `policy`."""
    networks: tuple[Card, ...] = ()
    """Network cards with settings of their own. The others are left to DHCP and routers."""
    answers: Literal["setup", "first-start"] = "setup"
    """`setup`: Setup asks nothing that the profile answers; whoever runs setup.exe of the stick
    inside an installed Windows gets these answers as well. `first-start`: Setup asks as usual, and
    only the first start of the installed Windows is answered."""
    drivers: tuple[HostPath, ...] = ()
    """Folders with drivers (INF files) for this PC. Setup loads them from the stick before it looks
    for disks, and hands them on to Windows."""
