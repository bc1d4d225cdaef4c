"""Removes a machine after naming what goes: domain, disks, NVRAM, TPM state, discs, secrets."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from provisioner.cli.options import connect_option, machine_name

if TYPE_CHECKING:
    from provisioner.cli.session import Session


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `delete`."""
    machine_name(parser)
    connect_option(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Names everything, asks, removes."""
    from provisioner.autopsy.bundle import bundles
    from provisioner.cli.environment import is_terminal
    from provisioner.errors import RefusedError
    from provisioner.run.machine import belongings, delete
    from provisioner.store.machine import no_machine

    name = arguments.name
    world = session.world(name, arguments.connect)
    console = session.console
    with world.store.lock():
        goes = belongings(world, name)
        if not goes:
            record = world.hypervisor.domain(name)
            if record is None:
                raise no_machine(name)
        for line in goes:
            console.say(f"  {line}")
        kept = bundles(session.environment.state, name)
        if goes and kept:
            folder = kept[0].parent
            console.say(f"  kept: {len(kept)} autops{'ies' if len(kept) > 1 else 'y'} in {folder}")
        if goes and not arguments.yes:
            if not is_terminal(sys.stdin):
                raise RefusedError(
                    "nothing was removed: there is no terminal to ask at",
                    hint=f"`provisioner delete {name} --yes` does not ask",
                )
            sys.stderr.write(f"All of this will be removed. Type {name} to go on: ")
            sys.stderr.flush()
            if sys.stdin.readline().strip() != name:
                raise RefusedError("nothing was removed")
        delete(world, name)
        session.forget(world)
    console.say(f"{name} is removed")
    console.event(
        "deleted", {"name": name, "removed": list(goes), "kept": [str(path) for path in kept]}
    )
    return 0
