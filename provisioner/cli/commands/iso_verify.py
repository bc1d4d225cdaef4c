"""Checks a disc image, or proves that a copy of it is the same to the byte.

Alone: its structure, and the checksum that it may carry. With another image or a drive: every byte
over exactly the image's length. With a manifest or a list of SHA-256 sums: that.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.cli.completion import completes, files
from provisioner.cli.iso_options import image, place, refuse_existing

if TYPE_CHECKING:
    from provisioner.cli.session import Session
    from provisioner.disc.manifest import Manifest
    from provisioner.disc.view import View

HELP = "check an image, or compare it with a copy or a manifest"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `iso verify`."""
    image(parser)
    other = parser.add_argument(
        "other",
        metavar="OTHER",
        nargs="?",
        help="a copy, a drive, a manifest, or a file as sha256sum writes it",
    )
    completes(other, files(".iso", ".json"))
    parser.add_argument(
        "--manifest", metavar="FILE", help="write a manifest: every file, its place and SHA-256"
    )
    parser.add_argument("--force", action="store_true", help="replace a manifest that is there")


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Prints what was found; 3 when something is wrong."""
    from provisioner.disc.manifest import read_manifest
    from provisioner.errors import UsageError

    path = place(session, arguments.image)
    if arguments.other is None:
        return _alone(arguments, session, path)
    if arguments.manifest:
        raise UsageError("--manifest makes one, and OTHER compares with one: do one at a time")
    other = place(session, arguments.other)
    manifest = read_manifest(other, path.name) if other.is_file() else None
    if manifest is not None:
        return _against(session, path, manifest)
    return _same(session, path, other)


def _alone(arguments: argparse.Namespace, session: Session, path: Path) -> int:
    from provisioner.disc.structure import examine
    from provisioner.disc.view import opened_view
    from provisioner.errors import Severity
    from provisioner.media.show import shown

    console = session.console
    target = place(session, arguments.manifest) if arguments.manifest else None
    if target is not None:
        refuse_existing(target, force=arguments.force)
    wrong = False
    with opened_view(path) as view:
        for found in examine(view):
            error = found.severity is Severity.ERROR
            wrong = wrong or error
            console.result(f"{'✘' if error else '-'} {shown(found.message)}", wrap=True)
            console.event(
                "finding",
                {
                    "rule": found.rule,
                    "severity": found.severity.value,
                    "message": found.message,
                },
            )
        if not wrong:
            boots = f"{len(view.boot)} boot entr{'y' if len(view.boot) == 1 else 'ies'}"
            console.result(f"✔ structure: {', '.join(view.sides)}, {boots}", wrap=True)
        carried = _embedded(session, view)
        if target is not None:
            _write_manifest(session, view, target)
    failed = wrong or carried is False
    console.event("verified", {"sound": not failed, "embedded": carried})
    return 3 if failed else 0


def _embedded(session: Session, view: View) -> bool | None:
    from provisioner.disc.embedded import check_embedded, read_embedded

    console = session.console
    embedded = read_embedded(view.window)
    if embedded is None:
        told = "- it carries no checksum of its own; --manifest makes a record"
        console.result(told, wrap=True)
        return None
    name = view.window.path.name
    same = check_embedded(view.window, embedded, lambda d, t: console.progress(name, d, t))
    console.result(
        f"{'✔' if same else '✘'} the checksum in the image "
        f"{'is right' if same else 'is another'} (MD5 of {embedded.covered} bytes)",
        wrap=True,
    )
    return same


def _write_manifest(session: Session, view: View, target: Path) -> None:
    from provisioner.disc.manifest import make_manifest, manifest_text
    from provisioner.image.output import refuse_source, replacing
    from provisioner.media.show import plural

    console = session.console
    refuse_source(target, view.window.path)
    name = view.window.path.name
    manifest = make_manifest(view, lambda done, total: console.progress(name, done, total))
    data = manifest_text(manifest).encode("ascii")
    with replacing(target, needed=len(data), mode=0o644) as out:
        out.write(data)
    console.result(f"{manifest.sha256}  {name}")
    console.say(f"manifest of {plural(len(manifest.files), 'file')}: {target}")
    console.event("manifest", {"file": str(target), "sha256": manifest.sha256})


def _against(session: Session, path: Path, manifest: Manifest) -> int:
    from provisioner.disc.verify import against_manifest
    from provisioner.media.show import shown

    console = session.console
    found = against_manifest(
        path, manifest, lambda done, total: console.progress(path.name, done, total)
    )
    for each in found:
        told = f"✘ {shown(each.place)}, at byte {each.offset}: {shown(each.reason)}"
        console.result(told, wrap=True)
        console.event(
            "mismatch", {"offset": each.offset, "place": each.place, "reason": each.reason}
        )
    if not found:
        console.result(f"✔ {shown(path.name)} is the image of SHA-256 {manifest.sha256}")
    console.event("verified", {"sound": not found, "sha256": manifest.sha256})
    return 3 if found else 0


def _same(session: Session, path: Path, other: Path) -> int:
    from provisioner.disc.verify import same_bytes
    from provisioner.media.show import shown

    console = session.console
    found, more = same_bytes(
        path, other, lambda done, total: console.progress("comparing", done, total)
    )
    if found is not None:
        console.result(
            f"✘ {shown(found.reason)} from byte {found.offset} (block {found.offset // 2048}) on, "
            f"in {shown(found.place)}",
            wrap=True,
        )
        console.event(
            "mismatch", {"offset": found.offset, "place": found.place, "reason": found.reason}
        )
    else:
        told = f"✔ {shown(other.name)} has every byte of {shown(path.name)}"
        console.result(told, wrap=True)
        if more:
            console.say(f"{shown(other.name)} has {more} bytes behind the image's end")
    console.event("verified", {"sound": found is None, "more": more})
    return 3 if found else 0
