"""Measures how much a stick really holds, within seconds, and puts everything back.

A few dozen blocks, far apart, are written and read. What was there is kept first, and put back.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from provisioner.cli.completion import completes
from provisioner.cli.usb_options import (
    care,
    chosen_disks,
    confirm,
    consents,
    machine_here,
    request_of,
    stick_names,
)

if TYPE_CHECKING:
    from provisioner.cli.session import Session
    from provisioner.usb.machine import Machine

HELP = "find out whether a stick has the capacity it claims"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `usb probe`."""
    completes(parser.add_argument("stick", metavar="ID", help="the stick"), stick_names)
    consents(parser)


def run(arguments: argparse.Namespace, session: Session, machine: Machine | None = None) -> int:
    """Writes stamps, reads them, puts back."""
    from provisioner.cli.layout import amount
    from provisioner.usb.checks import probe_stick
    from provisioner.usb.gates import require_all
    from provisioner.usb.probe import Capacity
    from provisioner.usb.wipe import fake

    machine = machine or machine_here()
    [disk] = chosen_disks(session, machine, [arguments.stick])
    request = request_of(arguments)
    require_all(disk, request, machine.kernel())
    confirm(
        session, (disk,), arguments.erase, "Blocks of this stick will be overwritten and put back"
    )
    probed = probe_stick(machine, disk, request, care(session))
    session.console.event(
        "probed",
        {
            "id": disk.stable_id,
            "capacity": probed.capacity.value,
            "size": probed.size,
            "at_least": probed.least,
            "at_most": probed.most,
            "stamps": probed.stamps,
            "bad": probed.bad,
        },
    )
    if probed.capacity is not Capacity.HONEST:
        raise fake(disk, probed)
    session.console.result(
        f"{disk.stable_id}: honest as far as {probed.stamps} stamps tell, {amount(disk.size)}",
        wrap=True,
    )
    return 0
