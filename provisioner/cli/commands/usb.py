"""Install sticks for physical PCs: made from a Windows disc and a profile, or from any image.

What a stick will hold is decided, and refused, before anything is written. Sticks are looked at,
written safely, read back, and given back empty.
"""

from __future__ import annotations

import argparse
import importlib
from typing import TYPE_CHECKING

from provisioner.cli.options import common_options

if TYPE_CHECKING:
    from provisioner.cli.session import Session

VERBS = ("list", "plan", "image", "write", "verify", "probe", "restore")


def configure(parser: argparse.ArgumentParser) -> None:
    """One parser for each verb, in a module of its own."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name in VERBS:
        module = importlib.import_module(f"provisioner.cli.commands.usb_{name}")
        verb = verbs.add_parser(name, help=module.HELP, description=module.__doc__)
        module.configure(verb)
        common_options(verb, inner=True)
        verb.set_defaults(run_verb=module.run)


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Runs the verb."""
    return int(arguments.run_verb(arguments, session) or 0)
