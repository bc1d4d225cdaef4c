"""Compares two disc images, or an image and a folder, file by file and byte by byte."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from provisioner.cli.completion import completes, files
from provisioner.cli.iso_options import place

if TYPE_CHECKING:
    from provisioner.cli.session import Session

HELP = "compare the files of two images, or of an image and a folder"
_MARKS = {"added": "+", "removed": "-", "content": "≠", "kind": "≠", "link": "≠"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `iso diff`."""
    for name in ("first", "second"):
        side = parser.add_argument(name, metavar=name.upper(), help="an image or a folder")
        completes(side, files(".iso"))


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Prints what differs; 3 when something does."""
    from provisioner.disc.compare import Change, differences, opened_side
    from provisioner.media.show import plural, shown

    console = session.console
    count = 0
    with (
        opened_side(place(session, arguments.first)) as first,
        opened_side(place(session, arguments.second)) as second,
    ):
        for found in differences(
            first, second, progress=lambda done, total: console.progress("comparing", done, total)
        ):
            count += 1
            text = f"{_MARKS[found.change]} {shown(found.path)}"
            if found.change is Change.CONTENT:
                text += f"  from byte {found.offset}"
            elif found.change in {Change.KIND, Change.LINK}:
                text += f"  another {found.change}"
            console.result(text)
            console.event(
                "difference",
                {"path": found.path, "change": found.change.value, "offset": found.offset},
            )
    console.say(plural(count, "difference"))
    console.event("compared", {"differences": count})
    return 3 if count else 0
