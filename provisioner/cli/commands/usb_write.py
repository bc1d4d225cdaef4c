"""Writes an image to one or several sticks, and reads every byte back.

Everything on the sticks is erased; so each has to be named by its id, and its serial typed, or
given with --erase. Until the first byte that cannot be undone is written, Ctrl-C gives the stick
back as it was.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.cli.iso_options import place
from provisioner.cli.usb_making import prove, prove_composed, stick_options
from provisioner.cli.usb_options import (
    care,
    chosen_disks,
    confirm,
    machine_here,
    request_of,
    source_option,
    stream_of,
    target_options,
)

if TYPE_CHECKING:
    from provisioner.cli.session import Session
    from provisioner.usb.job import Result
    from provisioner.usb.machine import Machine
    from provisioner.usb.stream import Stream

HELP = "write an image to sticks, and read it back"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `usb write`."""
    source_option(parser)
    stick_options(parser)
    target_options(parser, several=True)
    parser.add_argument("--no-verify", action="store_true", help="do not read the stick back")
    parser.add_argument(
        "--no-probe", action="store_true", help="do not look for a fake capacity first"
    )


def run(arguments: argparse.Namespace, session: Session, machine: Machine | None = None) -> int:
    """Looks at everything, asks, writes, proves."""
    from dataclasses import replace

    from provisioner.usb.gates import require_all
    from provisioner.usb.job import Job

    machine = machine or machine_here()
    console = session.console
    source = place(session, arguments.source)
    disks = chosen_disks(session, machine, arguments.to)
    # What no image could change is refused before an image is unpacked for minutes.
    for disk in disks:
        require_all(disk, request_of(arguments, sources=(source,)), machine.kernel())
    stream = stream_of(session, arguments, source, disks)
    request = request_of(arguments, needed=stream.size, sources=(source,))
    for disk in disks:
        require_all(disk, request, machine.kernel())
    if arguments.boot_test:
        prove_composed(session, stream)
    confirm(session, disks, arguments.erase, "Everything on this stick will be erased")
    terms = replace(care(session), verify=not arguments.no_verify)
    if arguments.no_probe:
        terms = replace(terms, stamps=0)
    job = Job(machine, terms, progress=console.progress)
    results = job.write(stream, disks, request)
    for result in results:
        _tell(session, result, stream)
        if arguments.boot_test and result.failure is None:
            prove(session, Path(result.disk.node))
    failed = [result.failure for result in results if result.failure is not None]
    if len(failed) == len(results) == 1:
        raise failed[0]
    return 4 if failed else 0


def _tell(session: Session, result: Result, stream: Stream) -> None:
    from provisioner.media.show import size_text

    console, disk = session.console, result.disk
    verified = result.verified
    if result.failure is None:
        proof = "; every byte was read back" if verified is not None else "; not read back"
        console.result(f"{disk.stable_id}: {size_text(stream.used)} written{proof}", wrap=True)
    for finding in verified.findings if verified is not None and verified.sound else ():
        console.warn(
            f"{disk.node} was read wrongly once at byte {finding.offset}, and rightly again: its "
            "reader or port is not quite sound"
        )
    console.event(
        "written" if result.failure is None else "failed",
        {
            "id": disk.stable_id,
            "node": disk.node,
            "serial": disk.serial,
            "bytes": stream.used,
            "size": stream.size,
            "verified": None if verified is None else verified.sound,
            "undone": result.undone,
            "message": None if result.failure is None else result.failure.message,
            "hint": None if result.failure is None else result.failure.hint,
            "findings": [
                {
                    "fault": finding.fault.value,
                    "offset": finding.offset,
                    "partition": finding.place.partition,
                    "file": finding.place.file,
                }
                for finding in (verified.findings if verified is not None else ())
            ],
        },
    )
    if result.failure is not None and not console.as_json:
        console.error(result.failure)
