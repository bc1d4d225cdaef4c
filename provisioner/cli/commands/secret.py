"""Prints one generated password of a machine: for a person at a terminal, or a program."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from provisioner.cli.completion import completes, users_of_machine
from provisioner.cli.options import machine_name

if TYPE_CHECKING:
    from provisioner.cli.session import Session


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `secret`."""
    machine_name(parser)
    user = parser.add_argument(
        "user", metavar="USER", help="a user of the machine, or Administrator"
    )
    completes(user, users_of_machine)
    parser.add_argument(
        "--previous",
        action="store_true",
        help="the one before it was rotated, which the answer disc had",
    )


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Prints the value on standard output and nothing else."""
    from provisioner.errors import FailedError

    name, user = arguments.name, arguments.user
    kept = session.generated_secret(name, user)
    value = kept.previous if arguments.previous else kept.value
    if value is None:
        raise FailedError(f"the password of {user} was not rotated", hint="leave --previous out")
    if kept.pending:
        session.console.warn(
            f"{name} was just being given this password; `provisioner up` finishes that. If it "
            f"does not open {user}, the one before does: provisioner secret {name} {user} "
            "--previous"
        )
    session.console.result(value.reveal())
    session.console.event("secret", {"user": user, "value": value.reveal()})
    return 0
