"""Copies files of a disc image into a folder, with their times and permissions.

What was stopped goes on: files that are there already, whole, are not written again.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from provisioner.cli.iso_options import image, patterns, place

if TYPE_CHECKING:
    from provisioner.cli.session import Session

HELP = "copy files of an image into a folder"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `iso extract`."""
    image(parser)
    patterns(parser)
    parser.add_argument(
        "-o", "--output", metavar="DIR", required=True, help="the folder; made where it is missing"
    )
    parser.add_argument("--force", action="store_true", help="replace other files that are there")
    parser.add_argument(
        "--writable", action="store_true", help="let the owner write, whatever the disc says"
    )


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Extracts."""
    from provisioner.disc.extract import extract
    from provisioner.disc.view import opened_view, selected
    from provisioner.media.show import plural, shown, size_text

    console = session.console
    folder = place(session, arguments.output)
    with opened_view(place(session, arguments.image)) as view:
        done = extract(
            view,
            selected(view, arguments.patterns),
            folder,
            force=arguments.force,
            writable=arguments.writable,
            progress=lambda done, total: console.progress(view.window.path.name, done, total),
        )
        notes = (*view.remarks, *done.notes)
    for note in notes:
        console.warn(shown(note))
    kept = f"; {done.kept} were there already" if done.kept else ""
    console.say(
        f"{plural(done.files, 'file')}, {size_text(done.size)}, from the {view.side} side{kept}"
    )
    console.result(str(folder))
    console.event(
        "extracted",
        {
            "folder": str(folder),
            "files": done.files,
            "size": done.size,
            "kept": done.kept,
            "side": view.side,
            "notes": list(notes),
        },
    )
    return 0
