"""Lists the machines of this user, or the profiles one can start from."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provisioner.cli.session import Session


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `list`."""
    parser.add_argument("--profiles", action="store_true", help="list profiles instead")


def run(arguments: argparse.Namespace, session: Session) -> int:
    """One line each; needs no libvirt."""
    from provisioner.errors import FailedError

    console = session.console
    rows: list[tuple[str, ...]] = []
    if arguments.profiles:
        for name in session.resources.profiles():
            path = session.resources.profile(name)
            rows.append((name, str(path)))
            console.event("profile", {"name": name, "path": str(path)})
        console.table(rows)
        return 0
    for store in session.machines.all():
        try:
            state = store.load()
            phase = state.phase.value if state else "interrupted"
        except FailedError:
            state, phase = None, "damaged"
        rows.append((store.name, phase, state.uri if state else ""))
        console.event(
            "machine",
            {"name": store.name, "phase": phase, "uri": state.uri if state else None},
        )
    console.table(rows)
    return 0
