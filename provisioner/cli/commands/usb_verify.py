"""Compares a stick with the image that was written to it, byte by byte; writes nothing."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from provisioner.cli.iso_options import place
from provisioner.cli.usb_making import stick_options
from provisioner.cli.usb_options import (
    chosen_disks,
    machine_here,
    request_of,
    source_option,
    stream_on,
    target_options,
)

if TYPE_CHECKING:
    from provisioner.cli.session import Session
    from provisioner.usb.machine import Machine

HELP = "compare a stick with its image"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `usb verify`."""
    source_option(parser)
    stick_options(parser, boots=False)
    target_options(parser, several=False, writes=False)


def run(arguments: argparse.Namespace, session: Session, machine: Machine | None = None) -> int:
    """Reads both."""
    from provisioner.media.show import size_text
    from provisioner.usb.checks import verify_stick
    from provisioner.usb.devices import name_of
    from provisioner.usb.verify import told

    machine = machine or machine_here()
    [disk] = chosen_disks(session, machine, [arguments.to] if arguments.to else [])
    source = place(session, arguments.source)
    stream = stream_on(session, arguments, source, disk)
    request = request_of(arguments, needed=stream.size, reading=True)
    verified = verify_stick(machine, disk, stream, request, session.console.progress)
    session.console.event(
        "verified",
        {
            "id": disk.stable_id,
            "bytes": verified.size,
            "sound": verified.sound,
            "differing": verified.differing,
            "fault": verified.verdict.value if verified.verdict else None,
        },
    )
    if not verified.sound:
        raise told(verified, name_of(disk))
    for finding in verified.findings:
        session.console.warn(f"byte {finding.offset} was read wrongly once, and rightly again")
    session.console.result(
        f"{disk.stable_id}: all {size_text(verified.size)} are as in {source.name}", wrap=True
    )
    return 0
