"""A disk is opened for one job: through all gates, and once more on its own descriptor."""

from __future__ import annotations

from provisioner.usb.device import Device
from provisioner.usb.devices import Chosen, Disk
from provisioner.usb.gates import Request, opening_error, require_all, require_same
from provisioner.usb.machine import Machine


def open_checked(machine: Machine, disk: Disk, meant: Chosen, request: Request) -> Device:
    """Gates, consented unmounting, opening, and the gates that only the descriptor knows."""
    require_all(disk, request, machine.kernel())
    if request.unmount and disk.uses:
        machine.unmount(disk)
    device = machine.open(meant, request)
    try:
        identity = device.identity()
        now = machine.disk_of_number(identity.number)
        require_same(meant, identity, now, writing=not request.reading)
        if now is not None:
            require_all(now, request, machine.kernel())
    except BaseException as err:
        device.close()
        if isinstance(err, OSError):  # it went while it was asked
            raise opening_error(err, meant) from err
        raise
    return device


def still_there(machine: Machine, meant: Chosen) -> bool:
    """Whether sysfs still has this very disk."""
    now = machine.disk_of_number(meant.number)
    return now is not None and now.diskseq == meant.diskseq and now.serial == meant.serial
