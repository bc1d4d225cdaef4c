"""Makes, reads, compares and writes disc images, whatever system they are for.

Windows discs keep their files in UDF; all verbs read that, and never show the README instead.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from provisioner.cli.options import verbs_of

if TYPE_CHECKING:
    from provisioner.cli.session import Session

VERBS = (
    "create",
    "ls",
    "cat",
    "extract",
    "diff",
    "verify",
    "remaster",
    "mount",
    "unmount",
    "rip",
    "burn",
)


def configure(parser: argparse.ArgumentParser) -> None:
    """One parser for each verb, in a module of its own."""
    verbs_of(parser, "iso", VERBS)


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Runs the verb."""
    return int(arguments.run_verb(arguments, session) or 0)
