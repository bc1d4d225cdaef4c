"""Shows the sticks that are plugged in: their stable ids, what is on them, and what would refuse
them as a target."""

from __future__ import annotations

import argparse
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from provisioner.cli.usb_options import machine_here, partition_words

if TYPE_CHECKING:
    from provisioner.cli.session import Session
    from provisioner.usb.devices import Disk
    from provisioner.usb.gates import Refusal
    from provisioner.usb.machine import Machine

HELP = "show the sticks that are plugged in"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `usb list`."""
    parser.add_argument(
        "--all", action="store_true", help="fixed disks and those without a medium too"
    )


def run(arguments: argparse.Namespace, session: Session, machine: Machine | None = None) -> int:
    """Prints one block for each."""
    from provisioner.usb.devices import Transport
    from provisioner.usb.gates import Request, refusals

    machine = machine or machine_here()
    kernel = machine.kernel()
    shown = 0
    for disk in machine.disks():
        stick = disk.transport in {Transport.USB, Transport.MMC} or disk.removable
        if not arguments.all and not (stick and disk.size):
            continue
        if disk.transport is Transport.LOOP and not disk.size:
            continue  # a number that nobody uses
        shown += 1
        _show(session, disk, refusals(disk, Request(), kernel))
    if not shown:
        session.console.say("no stick is plugged in; `usb list --all` shows all disks")
    return 0


def _show(session: Session, disk: Disk, refused: tuple[Refusal, ...]) -> None:
    from provisioner.cli.layout import amount

    console = session.console
    size = amount(disk.size) if disk.size else "no medium"
    unfinished, undo = _left(session, disk)
    words = " ".join(word for word in (disk.vendor, disk.model) if word) or "unnamed"
    console.result(f"  {size}", heading=disk.stable_id)
    serial = f"serial {disk.serial}" if disk.serial else "without a serial"
    console.result(f"  {words}, {serial}, {disk.transport.value}, {disk.node}", wrap=True)
    if unfinished:
        words = "a write of it did not come to its end"
        if undo:
            words += f"; `provisioner usb restore {disk.stable_id} --undo` gives back what it held"
        console.result(f"  {words}", wrap=True)
    for part in disk.partitions:
        mounted = [use.where for use in disk.uses if use.where and use.chain[-1] == part.name]
        at = f"  {', '.join(mounted)}" if mounted else ""
        console.result(f"  {partition_words(part)}{at}", wrap=True)
    for refusal in refused:
        console.result(f"  refused: {refusal.message}; {refusal.hint}", wrap=True)
    console.event(
        "disk",
        {
            "id": disk.stable_id,
            "ids": disk.ids,
            "node": disk.node,
            "vendor": disk.vendor,
            "model": disk.model,
            "serial": disk.serial,
            "size": disk.size,
            "sector": disk.sector,
            "transport": disk.transport.value,
            "removable": disk.removable,
            "read_only": disk.read_only,
            "diskseq": disk.diskseq,
            "unfinished": unfinished,
            "undo": undo,
            "partitions": [
                {
                    "name": part.name,
                    "number": part.number,
                    "offset": part.offset,
                    "size": part.size,
                    "filesystem": part.filesystem,
                    "label": part.label,
                }
                for part in disk.partitions
            ],
            "uses": [
                {"kind": use.kind.value, "chain": use.chain, "where": use.where}
                for use in disk.uses
            ],
            "refused": [
                {"rule": one.rule, "message": one.message, "consent": one.consent or None}
                for one in refused
            ],
        },
    )


def _left(session: Session, disk: Disk) -> tuple[bool, bool]:
    """Whether a write was interrupted, as the first sector says where we may read it, and whether
    what it wrote over is kept."""
    from provisioner.usb.capsule import find, unfinished

    with suppress(OSError):
        descriptor = os.open(disk.node, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            sector = os.pread(descriptor, 512, 0)
        finally:
            os.close(descriptor)
        undo = find(sector, disk, session.environment.state) is not None
        return undo or unfinished(sector), undo
    return False, False
