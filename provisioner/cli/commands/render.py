"""Writes the contents of the answer disc into a folder, secrets masked unless --reveal."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.cli.completion import completes, folders
from provisioner.cli.options import profile_options

if TYPE_CHECKING:
    from provisioner.cli.session import Session


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `render`."""
    profile_options(parser)
    output = parser.add_argument(
        "-o", "--output", metavar="DIR", required=True, help="a new folder"
    )
    completes(output, folders)
    parser.add_argument(
        "--reveal", action="store_true", help="write the secrets too; the files become 0600"
    )


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Writes the folder."""
    from provisioner.image.folder import write_folder
    from provisioner.plan.show import masked

    loaded = session.load(arguments)
    disc = session.answer_disc(loaded)
    destination = session.environment.cwd / Path(arguments.output)
    reveal = session.reveal(loaded.profile.name) if arguments.reveal else masked
    write_folder(disc.tree, destination, reveal=reveal)
    session.console.say(
        f"{sum(1 for _ in disc.tree.files())} files in {destination}"
        + ("" if arguments.reveal else ", secrets masked")
    )
    session.console.event("rendered", {"folder": str(destination), "revealed": arguments.reveal})
    return 0
