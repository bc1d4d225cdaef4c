"""Makes the machine a profile describes, and waits until it is ready.

Run again, it finds nothing to do, starts the machine when it is off, or says what differs.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from provisioner.cli.options import connect_option, profile_options

if TYPE_CHECKING:
    from provisioner.cli.session import Session


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `up`."""
    profile_options(parser)
    connect_option(parser)
    parser.add_argument(
        "--replace",
        action="store_true",
        help="make an existing machine anew; the old disk is kept until the new one is ready",
    )
    parser.add_argument(
        "--detach",
        action="store_true",
        help="return once the machine installs itself; `up` again waits until it is ready",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="go on in spite of avoidable errors; `check --explain RULE` says which can be forced",
    )
    parser.add_argument(
        "--keep-failed",
        action="store_true",
        help="when the guest fails, keep it as it is instead of undoing everything",
    )


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Brings the machine up and says how to reach it."""
    from provisioner.cli.standing import status, ways_in
    from provisioner.plan import show
    from provisioner.run.machine import Outcome, UpOptions, up

    machine_run = session.machine_run(arguments, connect_ahead=True)
    console = session.console
    preview = machine_run.compile_plan(1, {})
    console.problems(preview.problems)
    for line in show.summary(preview):
        console.say(line)
    world = machine_run.world
    with world.store.lock():
        outcome = up(
            machine_run.compile_plan,
            world,
            UpOptions(
                replace=arguments.replace,
                keep_failed=arguments.keep_failed,
                detach=arguments.detach,
                profile=arguments.profile,
                choose_ports=session.free_ports,
            ),
        )
    name = machine_run.name
    words = {
        Outcome.INSTALLED: f"{name} is ready",
        Outcome.INSTALLING: f"{name} installs itself; `provisioner up` again waits for it",
        Outcome.STARTED: f"{name} was off and is starting",
        Outcome.NOTHING: f"{name} is ready and running; nothing to do",
    }
    console.say(f"✔ {words[outcome]}")
    for line in ways_in(world):
        console.result(line)
    console.event("up", {"name": name, "outcome": outcome.value, **status(world)})
    return 0
