"""Remembers discs by their digest, so that a profile can ask for one by what is on it.

The files stay where they are.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provisioner.cli.completion import completes, files, library_media
from provisioner.cli.options import common_options

if TYPE_CHECKING:
    from provisioner.cli.session import Session
    from provisioner.store.library import Entry, Library, Progress


def configure(parser: argparse.ArgumentParser) -> None:
    """The verbs of `library`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = actions.add_parser("add", help="remember discs; reads each once, for its SHA-256")
    paths = add.add_argument("files", metavar="FILE", nargs="+", help="an ISO or WIM file")
    completes(paths, files(".iso", ".wim", ".esd", ".img"))
    shown = actions.add_parser("list", help="list the discs, and whether they are still there")
    remove = actions.add_parser("remove", help="forget a disc; its file stays")
    forgotten = remove.add_argument("id", metavar="ID", help="its id, path or file name")
    verify = actions.add_parser("verify", help="read discs again and compare their SHA-256")
    read = verify.add_argument(
        "id", metavar="ID", nargs="?", help="its id, path or file name; else all"
    )
    for identity in (forgotten, read):
        completes(identity, library_media)
    for action in (add, shown, remove, verify):
        common_options(action, inner=True)


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Runs one verb; 3 when `verify` finds a disc changed or missing."""
    library = open_library(session)
    match arguments.action:
        case "add":
            return _add(session, library, arguments.files)
        case "list":
            return _list(session, library)
        case "remove":
            entry = library.remove(arguments.id)
            session.console.say(f"forgotten: {entry.path}; the file stays")
            session.console.event("removed", _members(entry))
            return 0
        case _:
            return _verify(session, library, arguments.id)


def open_library(session: Session) -> Library:
    """The library of this user."""
    from provisioner.store.library import Library, folder_of

    return Library(folder_of(session.environment.state))


def _add(session: Session, library: Library, names: list[str]) -> int:
    console = session.console
    rows: list[tuple[str, ...]] = []
    for name in names:
        path = (session.environment.cwd / Path(name).expanduser()).resolve()
        entry = library.add(
            path,
            now=time.time(),
            progress=_progress(session, path),
        )
        rows.append((entry.id, entry.what, str(path)))
        console.event("added", _members(entry))
    console.table(_escaped(rows))
    return 0


def _list(session: Session, library: Library) -> int:
    from provisioner.store.library import Standing

    console = session.console
    rows: list[tuple[str, ...]] = []
    for entry in library.entries():
        standing, path = library.standing(entry)
        state = {
            Standing.OK: "",
            Standing.TOUCHED: "its time changed: `library verify` tells whether its bytes did",
            Standing.MOVED: f"moved to {path}",
            Standing.CHANGED: "changed: add it again",
            Standing.MISSING: "missing",
        }[standing]
        rows.append((entry.id, entry.what, entry.path, state))
        moved = str(path) if path and standing is Standing.MOVED else None
        console.event("medium", _members(entry) | {"standing": standing.value, "moved_to": moved})
    if not rows:
        console.say("the library is empty; add discs with `provisioner library add FILE...`")
    console.table(_escaped(rows))
    return 0


def _verify(session: Session, library: Library, identity: str | None) -> int:
    from provisioner.store.library import Standing

    console = session.console
    entries = [library.entry(identity)] if identity else list(library.entries())
    failed = False
    rows: list[tuple[str, ...]] = []
    for entry in entries:
        standing, path = library.verify(entry, _progress(session, Path(entry.path)))
        good = standing in {Standing.OK, Standing.MOVED}
        failed = failed or not good
        text = {
            Standing.OK: "every byte is the same",
            Standing.MOVED: f"every byte is the same; it is now {path}",
            Standing.CHANGED: "changed: it is not the disc that was added",
            Standing.MISSING: "missing",
        }.get(standing, standing.value)
        rows.append(("✔" if good else "✘", entry.id, entry.path, text))
        console.event("verified", _members(entry) | {"standing": standing.value})
    console.table(_escaped(rows))
    return 3 if failed else 0


def _progress(session: Session, path: Path) -> Progress:
    return lambda done, total: session.console.progress(path.name, done, total)


def _escaped(rows: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    from provisioner.media.show import shown

    return [tuple(shown(cell) for cell in row) for row in rows]


def _members(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "sha256": entry.sha256,
        "path": entry.path,
        "size": entry.size,
        "what": entry.what,
        "product": entry.product,
        "version": list(entry.version),
        "languages": list(entry.languages),
        "added": entry.added,
    }
