"""Tells what a disc, an image of a stick, or a WIM file holds.

Reads in place: no root, no mount, nothing is extracted.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.cli.completion import completes, files
from provisioner.errors import UsageError

if TYPE_CHECKING:
    from provisioner.cli.session import Session
    from provisioner.media.layout import Layout

IN_TERMINAL = "-"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `inspect`."""
    image = parser.add_argument(
        "image", metavar="IMAGE", nargs="?", help="an ISO, a WIM, ESD or SWM file, a disk image"
    )
    completes(image, files(".iso", ".img", ".wim", ".esd", ".swm"))
    drawing = parser.add_argument(
        "--map",
        metavar="FILE.svg",
        nargs="?",
        const=IN_TERMINAL,
        help="also draw which bytes hold what: here, or into an SVG file",
    )
    completes(drawing, files(".svg"))
    parser.add_argument(
        "--sha256", action="store_true", help="also read the whole file and print its SHA-256"
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="also compare WIM files and loaders with the digests they carry; 3 when one differs",
    )


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Prints the facts; 3 when `--verify` finds damage."""
    from provisioner.media import page, show
    from provisioner.media.inspect import inspect_window
    from provisioner.media.layout import read_layout
    from provisioner.media.members import facts_members, layout_members
    from provisioner.media.verify import verify
    from provisioner.media.window import opened

    image, drawing = _files(arguments)
    console = session.console
    path = session.environment.cwd / Path(image).expanduser()
    with opened(path) as window:
        facts = inspect_window(window)
        bytes_read = window.bytes_read
        layout = read_layout(window) if drawing else None
        checks = []
        if arguments.verify:
            checks = list(
                verify(window, facts, lambda name, done, all_: console.progress(name, done, all_))
            )
    digest = None
    if arguments.sha256:
        from provisioner.store.library import sha256

        digest = sha256(path, lambda done, total: console.progress(path.name, done, total))
    width = console.width or 1000
    fields = list(page.fields(facts, sha256=digest))
    if checks:
        marks = {True: "✔", False: "✘", None: "-"}
        texts = tuple(show.shown(f"{marks[c.sound]} {c.path}: {c.text}") for c in checks)
        fields.append(show.Field(label="verified", texts=texts))
    size = show.size_text(facts.fingerprint.size)
    for line in show.lines(page.title(facts), size, fields, width=width):
        console.result(line)
    members = facts_members(facts)
    members |= {"sha256": digest, "bytes_read": bytes_read}
    if arguments.verify:
        members["checks"] = [{"path": c.path, "sound": c.sound, "text": c.text} for c in checks]
    if layout is not None:
        members["map"] = layout_members(layout)
        if drawing == IN_TERMINAL:
            _draw(session, layout, width)
        else:
            target = session.environment.cwd / Path(drawing).expanduser()
            _write(target, path, layout, page.title(facts))
            console.say(f"drawn: {target}")
    console.event("medium", members)
    return 3 if any(check.sound is False for check in checks) else 0


def _files(arguments: argparse.Namespace) -> tuple[str, str]:
    """The image and where the map goes; `--map IMAGE` means a map in the terminal."""
    image, drawing = arguments.image, arguments.map or ""
    if image is None and drawing not in {"", IN_TERMINAL} and not drawing.endswith(".svg"):
        image, drawing = drawing, IN_TERMINAL
    if image is None:
        raise UsageError("no image is given", hint="provisioner inspect Win11.iso")
    if drawing not in {"", IN_TERMINAL} and not drawing.endswith(".svg"):
        raise UsageError(f"the map is an SVG file, and {drawing} does not end in .svg")
    return image, drawing


def _draw(session: Session, layout: Layout, width: int) -> None:
    from provisioner.media import map_text, show

    console = session.console
    console.result("")
    for line in map_text.picture(layout, width=width):
        console.result(line)
    for line in show.lines("", "", map_text.fields(layout), width=width):
        console.result(line)


def _write(target: Path, image: Path, layout: Layout, title: str) -> None:
    from provisioner.image.output import refuse_source, replacing
    from provisioner.media.map_svg import svg

    refuse_source(target, image)
    data = svg(layout, name=image.name, title=title).encode()
    with replacing(target, needed=len(data), mode=0o644) as stream:
        stream.write(data)
