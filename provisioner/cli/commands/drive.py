"""Puts an image into a machine's virtual CD-ROM drive, or takes it out, live."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.cli.completion import completes, drives_of_machine, files
from provisioner.cli.options import common_options, connect_option, machine_name

if TYPE_CHECKING:
    from provisioner.cli.session import Session


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `drive`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    attach = actions.add_parser("attach", help="put an image into a drive")
    machine_name(attach)
    image = attach.add_argument("image", metavar="IMAGE", help="an ISO on this host")
    completes(image, files(".iso", ".img"))
    eject = actions.add_parser("eject", help="empty a drive")
    machine_name(eject)
    for action in (attach, eject):
        target = action.add_argument("--drive", metavar="TARGET", help="which drive, as sdb")
        completes(target, drives_of_machine)
        action.add_argument(
            "--force", action="store_true", help="even while the guest uses the disc"
        )
        common_options(action, inner=True)
        connect_option(action)


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Changes the medium."""
    from provisioner.run.drives import attach, eject

    world = session.world(arguments.name, arguments.connect)
    if arguments.action == "attach":
        image = (session.environment.cwd / Path(arguments.image).expanduser()).resolve()
        session.require_reachable(world, image)
        target = attach(
            world.hypervisor, arguments.name, image, target=arguments.drive, force=arguments.force
        )
        session.console.say(f"{image.name} is in drive {target} of {arguments.name}")
        session.console.event("attached", {"drive": target, "image": str(image)})
    else:
        targets = eject(
            world.hypervisor, arguments.name, target=arguments.drive, force=arguments.force
        )
        text = ", ".join(targets) or "no drive held a disc"
        session.console.say(f"ejected: {text}")
        session.console.event("ejected", {"drives": list(targets)})
    return 0
