"""Finds out why an installation failed or stands still: one page with everything in it.

Reads only. The machine may be running, off, or somebody else's; with --disk an image is enough.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.cli.completion import completes, files, folders
from provisioner.cli.options import connect_option, machine_name

if TYPE_CHECKING:
    from provisioner.autopsy.case import Case
    from provisioner.cli.session import Session


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `autopsy`."""
    machine_name(parser, optional=True)
    disk = parser.add_argument(
        "--disk", metavar="IMAGE", help="examine a disk image instead: qcow2, raw, VHDX, VDI, VMDK"
    )
    completes(disk, files(".qcow2", ".img", ".raw", ".vhdx", ".vhd", ".vdi", ".vmdk"))
    output = parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        help="a new folder for the page and its parts; default: among the failures in the state "
        "folder",
    )
    completes(output, folders)
    connect_option(parser)


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Examines, writes the bundle, tells the verdict."""
    from provisioner.autopsy.bundle import bundle_folder, members, write_bundle
    from provisioner.cli.console import autopsy_rows
    from provisioner.errors import Autopsy, UsageError

    if bool(arguments.name) == bool(arguments.disk):
        raise UsageError(
            "give either the name of a machine or --disk with an image",
            hint="provisioner autopsy dev11; provisioner autopsy --disk dev11.qcow2",
        )
    console = session.console
    case = _case(arguments, session)
    if arguments.output:
        folder = session.environment.cwd / Path(arguments.output).expanduser()
    else:
        folder = bundle_folder(session.environment.state, case.subject, case.at)
    page = write_bundle(case, folder)
    where = f"it stands at {case.stage}" if case.stage else "examined"
    if not case.reason and case.verdict is None:
        where += "; nobody told of a failure, and no signature of one was found"
    console.result(f": {where}", heading=case.subject)
    verdict = case.verdict
    nothing = "no known signature was found" if case.reason else ""
    autopsy = Autopsy(
        cause=verdict.cause if verdict else nothing,
        fix=verdict.fix if verdict else "",
        see=str(page),
    )
    for label, text in autopsy_rows(autopsy):
        console.result(f"  {label:<8} {text}", wrap=True)
    for remark in case.remarks:
        console.say(f"  note: {remark}")
    console.event("autopsy", {**members(case), "folder": str(folder), "page": str(page)})
    return 0


def _case(arguments: argparse.Namespace, session: Session) -> Case:
    from provisioner.autopsy.gather import Machine, examine_disk, examine_machine
    from provisioner.errors import FailedError, MediaError
    from provisioner.host.clock import SystemClock

    at = SystemClock().now()
    if arguments.disk:
        path = session.environment.cwd / Path(arguments.disk).expanduser()
        if not path.exists():
            raise MediaError(f"{path} does not exist", hint="check the path")
        case = examine_disk(path, at=at)
        if not case.documents:  # a page about nothing helps nobody
            raise MediaError(
                f"nothing to examine on {path.name}: {'; '.join(case.remarks)}",
                hint="is it the disk that Windows went on, and may you read it?",
            )
        return case
    world = session.world(arguments.name, arguments.connect)
    state = world.store.load()
    if state is None and world.hypervisor.domain(arguments.name) is None:
        raise FailedError(
            f"there is no machine {arguments.name}",
            hint="`provisioner list` shows them all; a disk image alone: --disk IMAGE",
        )
    return examine_machine(
        Machine(
            name=arguments.name,
            hypervisor=world.hypervisor,
            store=world.store,
            at=at,
            reason=(state.reason or "") if state else "",
        )
    )
