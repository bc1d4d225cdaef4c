"""Writes the bytes of a file on a disc image to standard output."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from provisioner.cli.iso_options import image, place

if TYPE_CHECKING:
    from provisioner.cli.session import Session

HELP = "write a file of an image to standard output"
_BLOCK = 1024 * 1024


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `iso cat`."""
    image(parser)
    parser.add_argument("paths", metavar="PATH", nargs="+", help="a file on the disc")


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Writes the files, one after the other; checks all names first."""
    from provisioner.cli.environment import is_terminal
    from provisioner.disc.view import opened_view
    from provisioner.errors import RefusedError, UsageError
    from provisioner.media.window import Extents

    if session.console.as_json:
        raise UsageError("iso cat writes the file's own bytes; it has no --json")
    with opened_view(place(session, arguments.image)) as view:
        items = [view.find(path) for path in arguments.paths]
        for item in items:
            if not item.file:
                raise UsageError(f"{item.path} is a {'folder' if item.folder else 'link'}")
        for item in items:
            content = Extents(view.window, item.extents)
            for start in range(0, item.size, _BLOCK):
                data = content.read(start, min(_BLOCK, item.size - start))
                if start == 0 and b"\0" in data and is_terminal(sys.stdout):
                    raise RefusedError(
                        f"{item.path} is binary, and standard output is a terminal",
                        hint="send it into a file: > FILE",
                    )
                sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        view.require_unchanged()
    return 0
