"""Shows one machine, or all of them: how far it is, how to reach it, what lies in its drives."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.cli.options import connect_option, machine_name

if TYPE_CHECKING:
    from provisioner.cli.session import Session


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `status`."""
    machine_name(parser, optional=True)
    connect_option(parser)
    parser.add_argument(
        "--screenshot", metavar="FILE", help="also save a picture of its display (PNG)"
    )


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Prints one block per machine."""
    from provisioner.cli.standing import installation_line, status, ways_in
    from provisioner.errors import UsageError
    from provisioner.guest.screen import png
    from provisioner.store.machine import no_machine

    console = session.console
    names = [arguments.name] if arguments.name else session.machine_names()
    if arguments.screenshot and not arguments.name:
        raise UsageError("a screenshot is of one machine", hint="give its name")
    if not names:
        console.say("there is no machine yet; `provisioner up PROFILE` makes one")
    for name in names:
        world = session.world(name, arguments.connect)
        members = status(world)
        if members["phase"] is None and members["state"] is None:
            raise no_machine(name)
        phase = members["phase"] or "unknown"
        console.result(f": {phase}, {members['state']}", heading=name)
        for key in ("profile", "uri", "reason"):
            if members[key]:
                console.result(f"  {key:<8} {members[key]}")
        if members["phase"] == "installing":
            width = console.width
            line = installation_line(world.store, width - 11 if width else None)
            console.result(f"  {'stage':<8} {line or 'nothing is recorded'}")
        for drive in members["drives"]:
            console.result(f"  drive    {drive['target']} {drive['medium'] or 'empty'}")
        for line in ways_in(world):
            console.result(f"  {line}")
        console.event("status", {"name": name, **members})
        if arguments.screenshot:
            picture = world.hypervisor.screenshot(name)
            Path(arguments.screenshot).write_bytes(png(picture))
            console.say(f"picture of the display: {arguments.screenshot}")
    return 0
