"""Looks into a ready machine for what its installation has left: answers, autologon, passwords.

Asks libvirt and the guest agent, and changes nothing. Exit code 0 when nothing remains, 6 when
something does, 4 when something could not be looked at.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from provisioner.cli.options import connect_option, machine_name

if TYPE_CHECKING:
    from provisioner.cli.session import Session


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `audit`."""
    machine_name(parser)
    connect_option(parser)


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Prints one line per look."""
    from provisioner.errors import FailedError, GuestError
    from provisioner.run.audit import Standing, audit

    name, console = arguments.name, session.console
    world = session.world(name, arguments.connect)
    signs = {
        Standing.CLEAN: "✔",
        Standing.KEPT: "·",
        Standing.REMAINS: "✘",
        Standing.UNKNOWN: "?",
    }
    checks = audit(world)
    for check in checks:
        console.result(f"{signs[check.standing]} {check.subject}: {check.detail}")
        console.event(
            "audit",
            {"subject": check.subject, "standing": check.standing.value, "detail": check.detail},
        )
    standings = [check.standing for check in checks]
    remains, unknown = standings.count(Standing.REMAINS), standings.count(Standing.UNKNOWN)
    if remains:
        raise GuestError(
            f"{name}: {remains} of {len(checks)} places still hold something",
            hint="delete it in the guest, and give the accounts named in it new passwords",
        )
    if unknown:
        raise FailedError(
            f"{name}: {unknown} of {len(checks)} places could not be looked at",
            hint="the guest agent of a Windows has to answer; each line says what it said",
        )
    console.say(f"nothing of the installation remains in {name}")
    return 0
