"""Ends what `iso mount` began."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from provisioner.cli.iso_options import place

if TYPE_CHECKING:
    from provisioner.cli.session import Session

HELP = "take an image out of a folder"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `iso unmount`."""
    parser.add_argument("folder", metavar="DIR", help="where it is mounted")


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Unmounts."""
    from provisioner.disc.mount import unmount_image

    folder = place(session, arguments.folder)
    unmount_image(folder)
    session.console.say(f"{folder} is a folder again")
    session.console.event("unmounted", {"folder": str(folder)})
    return 0
