"""What the verbs of `iso` share: places of files, and how far they are."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.cli.completion import completes, files
from provisioner.errors import RefusedError

if TYPE_CHECKING:
    from provisioner.cli.session import Session
    from provisioner.image.boot_catalog import BootImage


def output(parser: argparse.ArgumentParser) -> argparse.Action:
    """OUT and --force."""
    parser.add_argument("--force", action="store_true", help="replace a file that is there already")
    return parser.add_argument("output", metavar="OUT", help="the file to write")


def place(session: Session, name: str) -> Path:
    """A path of the command line."""
    return session.environment.cwd / Path(name).expanduser()


def refuse_existing(destination: Path, *, force: bool) -> None:
    """RefusedError where a file would be replaced that nobody said may be."""
    if destination.is_dir():
        raise RefusedError(f"{destination} is a folder", hint="name the file to write")
    if destination.exists() and not destination.is_file():
        raise RefusedError(f"{destination} is not a file", hint="`iso burn` writes to drives")
    if destination.exists() and not force:
        raise RefusedError(
            f"{destination} is there already", hint="name another file, or replace it with --force"
        )


def progress(session: Session) -> Callable[[str, int, int], None]:
    """Shows how far something is, by its label."""
    return session.console.progress


def boots(images: Sequence[BootImage]) -> str:
    """What a disc boots, in words."""
    from provisioner.image.boot_catalog import UEFI

    ways = [
        f"{'UEFI' if each.platform == UEFI else 'BIOS'} by {each.path or 'a hidden image'}"
        for each in images
    ]
    return f"boots {' and '.join(ways) or 'nothing'}"


def image(parser: argparse.ArgumentParser) -> None:
    """IMAGE."""
    completes(
        parser.add_argument("image", metavar="IMAGE", help="a disc image, or a drive with a disc"),
        files(".iso"),
    )


def patterns(parser: argparse.ArgumentParser) -> None:
    """PATTERN..."""
    parser.add_argument(
        "patterns",
        metavar="PATTERN",
        nargs="*",
        help="paths, as sources/*.wim or **/*.inf; with a folder comes what is in it",
    )
