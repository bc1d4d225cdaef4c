"""Lists what is on a disc image, of the side that has most: UDF on Windows discs."""

from __future__ import annotations

import argparse
import stat
from typing import TYPE_CHECKING

from provisioner.cli.iso_options import image, patterns, place

if TYPE_CHECKING:
    from provisioner.cli.session import Session
    from provisioner.disc.view import Item

HELP = "list the files of an image"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `iso ls`."""
    image(parser)
    patterns(parser)
    parser.add_argument(
        "-l", "--long", action="store_true", help="with permissions, size and date (UTC)"
    )


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Prints a path on each line, folders with a slash behind."""
    from provisioner.disc.view import opened_view, selected
    from provisioner.media.show import shown

    console = session.console
    with opened_view(place(session, arguments.image)) as view:
        for remark in view.remarks:
            console.warn(shown(remark))
        rows: list[tuple[str, str, str, str]] = []
        for item in selected(view, arguments.patterns):
            console.event("item", _members(item))
            name = shown(item.path) + ("/" if item.folder else "")
            if item.link is not None:
                name += f" -> {shown(item.link)}"
            rows.append((*_details(item), name))
        if arguments.long:
            console.table(rows)
        else:
            for *_, name in rows:
                console.result(name)
    return 0


def _details(item: Item) -> tuple[str, str, str]:
    kind = stat.S_IFDIR if item.folder else stat.S_IFREG if item.file else stat.S_IFLNK
    mode = stat.filemode(kind | item.mode) if item.mode is not None else "-"
    return mode, f"{item.size}" if item.file else "", _date(item.modified)


def _date(modified: int | None) -> str:
    from datetime import UTC, datetime

    if modified is None:
        return ""
    return datetime.fromtimestamp(modified, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _members(item: Item) -> dict[str, object]:
    return {
        "path": item.path,
        "kind": "folder" if item.folder else "file" if item.file else "link",
        "size": item.size,
        "mode": item.mode,
        "modified": item.modified,
        "link": item.link,
        "extents": [[extent.offset, extent.length] for extent in item.extents],
    }
