"""Shows what a stick made of a disc or an image will hold. No stick is written, no secret is shown.

With --export-edition the edition is exported into the cache, which takes minutes the first time.
With --to it is planned for that very stick, and what would refuse it is told. --boot-test also
starts it under QEMU, from an emulated USB stick, until its loader speaks.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from provisioner.cli.iso_options import place
from provisioner.cli.usb_making import (
    composed,
    members,
    planned,
    prove_composed,
    raw_members,
    stick_options,
    tell,
    tell_raw,
)
from provisioner.cli.usb_options import (
    SMALLEST,
    chosen_disks,
    described,
    is_windows,
    machine_here,
    raw_stream,
    refuse_profile,
    request_of,
    source_option,
    target_options,
)

if TYPE_CHECKING:
    from pathlib import Path

    from provisioner.cli.session import Session
    from provisioner.usb.devices import Disk
    from provisioner.usb.machine import Machine

HELP = "show what a stick will hold"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `usb plan`."""
    source_option(parser)
    stick_options(parser)
    target_options(parser, several=True)


def run(arguments: argparse.Namespace, session: Session, machine: Machine | None = None) -> int:
    """Prints the plan."""
    source = place(session, arguments.source)
    machine = machine or machine_here()
    disks = chosen_disks(session, machine, arguments.to) if arguments.to else ()
    sizes = [disk.size for disk in disks]
    if not is_windows(source):
        refuse_profile(arguments, source)
        image = raw_stream(session, arguments, source, min(sizes, default=None))
        tell_raw(session, image)
        session.console.event("stick", raw_members(image))
        _tell_targets(arguments, session, machine, disks, source, image.size)
        if arguments.boot_test:
            prove_composed(session, image)
        return 0
    plan, reveal, masked = planned(arguments, session)
    capacity = min(sizes, default=None)
    stick = plan.stick(capacity=capacity, reveal=masked)
    tell(session, plan, stick)
    if len(set(sizes)) > 1:
        session.console.say(SMALLEST)
    for path, _ in plan.answers.tree.files() if plan.answers is not None else ():
        session.console.result(f"  + {path}")
    session.console.event("stick", members(plan, stick))
    _tell_targets(arguments, session, machine, disks, source, stick.size)
    if arguments.boot_test:
        prove_composed(session, composed(session, plan.stick(capacity=capacity, reveal=reveal)))
    return 0


def _tell_targets(
    arguments: argparse.Namespace,
    session: Session,
    machine: Machine,
    disks: tuple[Disk, ...],
    source: Path,
    needed: int,
) -> None:
    """Each stick, and what `usb write` would want to hear; GateError where nothing helps."""
    from provisioner.usb.gates import refusals

    request = request_of(arguments, needed=needed, sources=(source,))
    for disk in disks:
        shut = refusals(disk, request, machine.kernel())
        for refusal in shut:
            if not refusal.consent:
                raise refusal.error()
        session.console.result(f"onto {described(disk)}", wrap=True)
        for refusal in shut:
            session.console.warn(f"{refusal.message}; `usb write` wants {refusal.consent}")
        session.console.event(
            "target",
            {
                "id": disk.stable_id,
                "node": disk.node,
                "serial": disk.serial,
                "size": disk.size,
                "wants": [refusal.consent for refusal in shut],
            },
        )
