"""The beginning and the end of a stick: zeros, the marker, and whether they stay (facts iso-usb
§8.3, gate 10)."""

from __future__ import annotations

from provisioner.media.show import size_text
from provisioner.usb.device import Device, write_out
from provisioner.usb.devices import Disk, name_of
from provisioner.usb.gates import GateError
from provisioner.usb.probe import Probed
from provisioner.usb.spans import MIB, SECTOR

WIPED = MIB
"""At both ends, so that no old table is found."""


def wipe(device: Device, disk: Disk, marker: bytes) -> bool:
    """Zeros over both ends, and the marker first of all; whether the end kept them. GateError
    where the beginning did not."""
    end = min(WIPED, disk.size)
    last = max(end, disk.size - WIPED)
    write_out(device, 0, marker)
    device.flush()
    write_out(device, SECTOR, bytes(end - SECTOR))
    write_out(device, last, bytes(disk.size - last))
    device.flush()
    device.forget()
    head = device.read(0, end)
    if head == bytes(end):
        raise GateError(
            f"{name_of(disk)} has less than it says: what is written to its end stands at its "
            "beginning",
            rule="usb.fake",
            hint="give it back; what is written past its real end is lost",
        )
    if head != marker.ljust(end, b"\0"):
        raise GateError(
            f"{name_of(disk)} accepts writes and forgets them: its first bytes did not stay",
            rule="usb.forgets",
            hint="its flash has locked itself; take another stick",
        )
    return not device.read(last, disk.size - last).strip(b"\0")


def mark(device: Device, marker: bytes) -> bool | None:
    """Puts the marker into the first sector. False where it was accepted and is not there, None
    where it was not accepted."""
    try:
        write_out(device, 0, marker)
        device.flush()
        device.forget()
        return device.read(0, SECTOR) == marker
    except OSError:
        return None


def fake(disk: Disk, probed: Probed) -> GateError:
    """What a probe found."""
    return GateError(
        f"{name_of(disk)} {probed.capacity.value}: it says it has {size_text(disk.size)}, and at "
        f"most {size_text(probed.most)} are real",
        rule="usb.fake",
        hint="give it back; what is written past its real end is lost",
    )
