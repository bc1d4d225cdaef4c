"""`usb verify`, `usb probe` and `usb restore --undo`: what is done to a stick but writing it."""

from __future__ import annotations

import os
from collections.abc import Callable

from provisioner.errors import FailedError, InterruptedByUser
from provisioner.usb import capsule as capsules
from provisioner.usb import probe as probes
from provisioner.usb.devices import Disk, chosen, name_of
from provisioner.usb.gates import GateError, Request
from provisioner.usb.job import Care
from provisioner.usb.machine import Machine
from provisioner.usb.opened import open_checked, still_there
from provisioner.usb.probe import Probed
from provisioner.usb.spans import SECTOR
from provisioner.usb.stream import Stream
from provisioner.usb.verify import Verified, digests_of, verify
from provisioner.usb.wipe import mark
from provisioner.usb.write import Target, device_error

Progress = Callable[[str, int, int], None]


def verify_stick(
    machine: Machine, disk: Disk, stream: Stream, request: Request, progress: Progress
) -> Verified:
    """Compares a stick with an image, reading both; nothing is written. GateError where the stick
    may not be opened, or changed hands."""
    device = open_checked(machine, disk, chosen(disk), request)
    try:
        return verify(device, digests_of(stream), stream, progress)
    finally:
        device.close()


def probe_stick(machine: Machine, disk: Disk, request: Request, care: Care) -> Probed:
    """Measures the real capacity and puts everything back. FailedError where the stick fails at
    it; then, and on Ctrl-C, its old contents can still be had from the capsule."""
    meant = chosen(disk)
    device = open_checked(machine, disk, meant, request)
    target = Target(disk=disk, device=device, present=lambda: still_there(machine, meant))
    try:
        spans = capsules.wanted_spans(
            disk, ((0, 512), *probes.spans(disk.size, care.stamps)), head=0, tail=0
        )
        capsule = capsules.save(device, disk, care.state, spans)
        try:
            mark(device, capsule.marker())  # should the power fail, the capsule is still needed
            probed = probes.probe(device, disk.size, os.urandom(16), care.stamps)
        finally:
            capsule.put_back(device)
            capsule.remove()
    except OSError as err:
        raise device_error(err, target, None, None) from err
    except KeyboardInterrupt as err:
        raise InterruptedByUser(f"cancelled: {name_of(disk)} is as it was before") from err
    finally:
        device.close()
    return probed


def undo_stick(machine: Machine, disk: Disk, request: Request, care: Care) -> int:
    """Puts back what an interrupted write kept; the bytes that were. GateError where nothing was
    kept, or the point of no return was passed."""
    device = open_checked(machine, disk, chosen(disk), request)
    try:
        capsule = capsules.find(device.read(0, SECTOR), disk, care.state)
        if capsule is None:
            raise GateError(
                f"there is nothing to put back on {name_of(disk)}",
                rule="usb.no-capsule",
                hint="an undo is kept only until the first byte that it does not hold is written; "
                "without --undo the stick becomes an empty one",
            )
        capsule.put_back(device)
        capsule.remove()
        return sum(length for _, length in capsule.spans)
    except OSError as err:
        raise FailedError(
            f"{name_of(disk)} does not take what it held: {err.strerror}",
            hint="the undo is still kept; try another port",
        ) from err
    finally:
        device.close()
