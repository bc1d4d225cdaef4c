"""Shows what a stick made of a Windows disc will hold. Nothing is written, no secret is shown.

--boot-test also starts it under QEMU, from an emulated USB stick, until its loader speaks.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from provisioner.cli.usb_making import (
    composed,
    members,
    planned,
    prove_composed,
    source,
    stick_options,
    tell,
)

if TYPE_CHECKING:
    from provisioner.cli.session import Session

HELP = "show what a stick will hold"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `usb plan`."""
    source(parser)
    stick_options(parser)


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Prints the plan."""
    plan, reveal, masked = planned(arguments, session)
    stick = plan.stick(reveal=masked)
    tell(session, plan, stick)
    for path, _ in plan.answers.tree.files() if plan.answers is not None else ():
        session.console.result(f"  + {path}")
    session.console.event("stick", members(plan, stick))
    if arguments.boot_test:
        prove_composed(session, composed(session, plan.stick(reveal=reveal)))
    return 0
