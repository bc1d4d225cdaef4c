"""What a job needs of the machine it runs on: looking at disks, and opening one of them."""

from __future__ import annotations

from typing import Protocol

from provisioner.usb.device import Device
from provisioner.usb.devices import Chosen, Disk
from provisioner.usb.devices_uses import Kernel
from provisioner.usb.gates import Request


class Machine(Protocol):
    """The machine; in tests one that is made up. Everything is looked up anew at each call."""

    def disks(self) -> tuple[Disk, ...]:
        """All whole disks."""
        ...

    def kernel(self) -> Kernel:
        """What is stacked and mounted."""
        ...

    def disk_of_number(self, number: str) -> Disk | None:
        """The disk with a device number."""
        ...

    def open(self, chosen: Chosen, request: Request) -> Device:
        """The disk, for us alone; for writing unless the request only reads. GateError or
        HostError where that cannot be."""
        ...

    def unmount(self, disk: Disk) -> None:
        """Everything that is mounted directly from it. FailedError where something stays."""
        ...

    def settle(self) -> None:
        """Waits, not long, until everybody has seen a new partition table."""
        ...

    def pause(self, seconds: float) -> None:
        """Before a write is tried again."""
        ...
