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


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Prints the value on standard output and nothing else."""
    value = session.generated_secret(arguments.name, arguments.user)
    session.console.result(value.reveal())
    session.console.event("secret", {"user": arguments.user, "value": value.reveal()})
    return 0
