"""The `metal:` part of a profile: a physical PC, in place of `machine:`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from provisioner.profile.base import HostPath, ProfileModel
from provisioner.profile.units import Size

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


class Metal(ProfileModel):
    """A physical PC. Nothing of it is erased unless `disk` and `wipe` say so: Setup asks."""

    firmware: Literal["secure-boot", "uefi", "bios"] = "secure-boot"
    """How the PC starts: UEFI with Secure Boot, UEFI without, or BIOS (answer files only: a stick
    starts by UEFI)."""
    disk: DiskChoice | Literal["only"] | None = None
    """The disk that Windows goes on. `only`: the one disk there is beside the stick. Where not
    exactly one fits, the PC stops and says so. Default: Setup asks."""
    wipe: bool = False
    """Whether that disk may be erased without a question. Has to be true for `disk` to count."""
    answers: Literal["setup", "first-start"] = "setup"
    """`setup`: Setup asks nothing that the profile answers; whoever runs setup.exe of the stick
    inside an installed Windows gets these answers as well. `first-start`: Setup asks as usual, and
    only the first start of the installed Windows is answered."""
    drivers: tuple[HostPath, ...] = ()
    """Folders with drivers (INF files) for this PC. Setup loads them from the stick before it looks
    for disks, and hands them on to Windows."""
