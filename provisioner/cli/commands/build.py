"""Writes the discs `up` would attach: the answer disc and, where it applies, the boot overlay."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.cli.completion import completes, folders
from provisioner.cli.options import profile_options

if TYPE_CHECKING:
    from provisioner.cli.session import Session
    from provisioner.profile.load import LoadedProfile

HELP = "write the answer disc and the boot overlay into a folder"


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
    _overlay(session, loaded, folder)
    answers = folder / f"{name}-answers.iso"
    reveal = session.reveal(name)
    with appearing(answers) as temporary:
        write_iso(disc.tree, temporary, label=disc.label, epoch=session.epoch, reveal=reveal)
        verify_iso(temporary, disc.tree, reveal=reveal)
    session.console.result(str(answers))
    session.console.event("built", {"kind": "answer-disc", "file": str(answers)})
    return 0


def _overlay(session: Session, loaded: LoadedProfile, folder: Path) -> None:
    """Writes the boot overlay where one applies, otherwise says why not."""
    from provisioner.image.overlay import Patch, write_overlay
    from provisioner.media.boot import NoPromptPatch, noprompt_patch

    media = session.media(loaded)
    if loaded.profile.metal is not None:
        session.console.say("no boot overlay: a physical PC starts from the install disc itself")
        return
    patch = noprompt_patch(media.install)
    if loaded.profile.machine.firmware == "bios":
        session.console.say("no boot overlay: a BIOS machine asks for its key all the same")
    elif isinstance(patch, NoPromptPatch):
        overlay = folder / f"{loaded.profile.name}-boot.qcow2"
        write_overlay(media.install.path, overlay, [Patch(offset=patch.offset, data=patch.data)])
        session.console.result(str(overlay))
        session.console.event("built", {"kind": "boot-overlay", "file": str(overlay)})
    else:
        session.console.say(f"no boot overlay: {patch.reason}")
