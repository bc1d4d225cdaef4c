"""Shows how a machine installs itself, from its start on and as it goes on.

Works in any number of terminals beside `up`, and without one: where no `up` is alive any more, it
records what happens itself. Ctrl-C ends the watching, never the installation.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from provisioner.cli.options import connect_option, machine_name

if TYPE_CHECKING:
    from provisioner.cli.session import Session


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `watch`."""
    machine_name(parser)
    connect_option(parser)
    parser.add_argument(
        "--read-only",
        action="store_true",
        help="only show what is recorded, also where nobody records any more",
    )


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Follows the timeline to its end."""
    from provisioner.host.clock import SystemClock
    from provisioner.run.onlooker import Onlooker, require_known
    from provisioner.store.machine import Phase

    store = session.store(arguments.name)
    require_known(store)
    onlooker = Onlooker(
        store=store,
        console=session.console,
        clock=SystemClock(),
        open_world=lambda: session.world(arguments.name, arguments.connect),
        record=not arguments.read_only,
    )
    phase = onlooker.watch()
    session.console.event("watch", {"name": store.name, "phase": phase.value if phase else None})
    if phase is None:
        session.console.say(f"{store.name} is gone: it was undone or deleted")
    elif phase is Phase.BUILDING:
        session.console.say(f"{store.name} was interrupted before it was started")
    elif phase is not Phase.INSTALLING:
        session.console.say(f"{store.name}: {phase.value}")
    return 6 if phase is Phase.FAILED else 0
