"""Makes an empty data stick again: a partition table and one file system; or undoes a write.

--undo puts back what the stick held, after a write that was interrupted before the point of no
return: a power failure, or a stick that was pulled.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
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
    from provisioner.usb.devices import Disk
    from provisioner.usb.machine import Machine

HELP = "give a stick back as an empty one, or undo a write"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `usb restore`."""
    completes(parser.add_argument("stick", metavar="ID", help="the stick"), stick_names)
    parser.add_argument(
        "--undo", action="store_true", help="put back what an interrupted write kept"
    )
    parser.add_argument("--table", choices=("mbr", "gpt"), default="mbr", help="partition table")
    parser.add_argument(
        "--filesystem",
        choices=("fat32", "exfat"),
        help="default: fat32 up to 32 GiB, exfat above",
    )
    parser.add_argument("--label", metavar="LABEL", help="name of the volume; default: none")
    consents(parser)


def run(arguments: argparse.Namespace, session: Session, machine: Machine | None = None) -> int:
    """Formats, or undoes."""
    from provisioner.usb.gates import require_all

    machine = machine or machine_here()
    [disk] = chosen_disks(session, machine, [arguments.stick])
    require_all(disk, request_of(arguments), machine.kernel())
    if arguments.undo:
        return _undo(session, arguments, machine, disk)
    from provisioner.usb.job import Job
    from provisioner.usb.restore import Filesystem, Table, default_filesystem, empty_stick

    wanted = arguments.filesystem
    filesystem = Filesystem(wanted) if wanted else default_filesystem(disk.size)
    with tempfile.TemporaryDirectory(prefix="provisioner-") as folder:
        stream = empty_stick(
            disk.size,
            Path(folder),
            table=Table(arguments.table),
            filesystem=filesystem,
            label=arguments.label or "",
        )
        confirm(session, (disk,), arguments.erase, "Everything on this stick will be erased")
        job = Job(machine, care(session), progress=session.console.progress)
        [result] = job.write(stream, (disk,), request_of(arguments, needed=stream.size))
    if result.failure is not None:
        raise result.failure
    session.console.result(f"{disk.stable_id}: an empty {filesystem.value} stick", wrap=True)
    session.console.event(
        "restored",
        {"id": disk.stable_id, "table": arguments.table, "filesystem": filesystem.value},
    )
    return 0


def _undo(session: Session, arguments: argparse.Namespace, machine: Machine, disk: Disk) -> int:
    from provisioner.media.show import size_text
    from provisioner.usb.checks import undo_stick

    confirm(session, (disk,), arguments.erase, "What this stick held before will be put back")
    count = undo_stick(machine, disk, request_of(arguments), care(session))
    session.console.result(
        f"{disk.stable_id}: as it was before, {size_text(count)} put back", wrap=True
    )
    session.console.event("undone", {"id": disk.stable_id, "bytes": count})
    return 0
