"""Install sticks for physical PCs: made from a Windows disc and a profile, or from any image.

What a stick will hold is decided, and refused, before anything is written. Sticks are looked at,
written safely, read back, and given back empty.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from provisioner.cli.options import verbs_of

if TYPE_CHECKING:
    from provisioner.cli.session import Session

VERBS = ("list", "plan", "image", "write", "verify", "probe", "restore")


def configure(parser: argparse.ArgumentParser) -> None:
    """One parser for each verb, in a module of its own."""
    verbs_of(parser, "usb", VERBS)


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Runs the verb."""
    return int(arguments.run_verb(arguments, session) or 0)
