"""Shuts a machine down and keeps everything: disk, NVRAM, TPM state, secrets."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from provisioner.cli.options import connect_option, machine_name

if TYPE_CHECKING:
    from provisioner.cli.session import Session


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `down`."""
    machine_name(parser)
    connect_option(parser)
    parser.add_argument("--force", action="store_true", help="pull the plug")
    parser.add_argument(
        "--within", type=float, default=120.0, metavar="SECONDS", help="how long the guest may take"
    )


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Turns it off."""
    from provisioner.run.machine import down, settle
    from provisioner.store.machine import MachineBusy

    world = session.world(arguments.name, arguments.connect)
    try:
        with world.store.lock():
            settle(world)
    except MachineBusy:
        pass  # an `up` waits for it in another terminal; it sees that we turn the machine off
    outcome = down(world, arguments.name, within=arguments.within, force=arguments.force)
    text = "was off already" if outcome == "was off" else "is off; everything is kept"
    session.console.say(f"{arguments.name} {text}")
    session.console.event("down", {"name": arguments.name, "outcome": outcome})
    return 0
