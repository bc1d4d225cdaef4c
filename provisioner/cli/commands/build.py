"""Writes the discs `up` would attach: the answer disc and, where it applies, the boot overlay."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.cli.completion import completes, folders
from provisioner.cli.options import profile_options

if TYPE_CHECKING:
    from provisioner.cli.session import Session
    from provisioner.profile.load import LoadedProfile


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `build`."""
    profile_options(parser)
    output = parser.add_argument(
        "-o", "--output", metavar="DIR", required=True, help="folder for the discs"
    )
    completes(output, folders)


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Writes the discs, 0600: the answer disc holds secrets, so it comes last."""
    from provisioner.host.files import appearing
    from provisioner.image.iso import write_iso
    from provisioner.image.verify import verify_iso

    loaded = session.load(arguments)
    disc = session.answer_disc(loaded)
    folder = session.environment.cwd / Path(arguments.output)
    folder.mkdir(parents=True, exist_ok=True)
    name = loaded.profile.name
    answers = folder / f"{name}-answers.iso"
    with ExitStack() as undo:
        overlay = _overlay(session, loaded, folder)
        if overlay is not None:
            undo.callback(overlay.unlink, missing_ok=True)
        reveal = session.reveal(name)
        with appearing(answers) as temporary:
            write_iso(disc.tree, temporary, label=disc.label, epoch=session.epoch, reveal=reveal)
            verify_iso(temporary, disc.tree, reveal=reveal)
        undo.pop_all()
    for kind, file in (("answer-disc", answers), ("boot-overlay", overlay)):
        if file is not None:
            session.console.result(str(file))
            session.console.event("built", {"kind": kind, "file": str(file)})
    return 0


def _overlay(session: Session, loaded: LoadedProfile, folder: Path) -> Path | None:
    """Writes the boot overlay where one applies, otherwise says why not and gives None."""
    from provisioner.image.overlay import Patch, write_overlay
    from provisioner.media.boot import NoPromptPatch, noprompt_patch

    media = session.media(loaded)
    if loaded.profile.metal is not None:
        session.console.say("no boot overlay: a physical PC starts from the install disc itself")
        return None
    patch = noprompt_patch(media.install)
    if loaded.profile.machine.firmware == "bios":
        session.console.say("no boot overlay: a BIOS machine asks for its key all the same")
    elif isinstance(patch, NoPromptPatch):
        overlay = folder / f"{loaded.profile.name}-boot.qcow2"
        write_overlay(media.install.path, overlay, [Patch(offset=patch.offset, data=patch.data)])
        return overlay
    else:
        session.console.say(f"no boot overlay: {patch.reason}")
    return None
