"""Makes an image that is another one with some files added, replaced or removed.

Label and boot entries stay. With --overlay only the difference is written, as a qcow2 file over
the untouched base: for machines, and only for discs that have their files in UDF, as Windows'.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.cli.completion import completes, files, profiles
from provisioner.cli.iso_options import boots, output, place, refuse_existing
from provisioner.cli.options import set_option
from provisioner.errors import ProvisionerError, UsageError

if TYPE_CHECKING:
    from provisioner.cli.session import Session
    from provisioner.disc.remaster import Changes, Remastered
    from provisioner.disc.view import View
    from provisioner.secret import SecretSlot
    from provisioner.tree import File, Tree

HELP = "make an image from another one, with changes"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `iso remaster`."""
    completes(
        parser.add_argument("base", metavar="BASE", help="the image to start from"), files(".iso")
    )
    completes(output(parser), files(".iso", ".qcow2"))
    for option, text in (
        ("--add", "add a file or a folder of this host; without PATH to the root"),
        ("--replace", "replace a file of the disc"),
    ):
        parser.add_argument(option, action="append", default=[], metavar="FILE[=PATH]", help=text)
    parser.add_argument(
        "--remove", action="append", default=[], metavar="PATTERN", help="leave out what matches"
    )
    parser.add_argument(
        "--drivers",
        action="append",
        default=[],
        metavar="DIR",
        help="add a folder of drivers where Windows Setup looks for them",
    )
    profile = parser.add_argument("--profile", help="add the answer files of a profile")
    completes(profile, profiles)
    set_option(parser)
    parser.add_argument(
        "--media",
        action="append",
        default=[],
        metavar="drivers=FILE",
        help="the driver disc of the profile",
    )
    parser.add_argument(
        "--edition", metavar="NAME", help="keep one edition of Windows only; needs wimlib-imagex"
    )
    parser.add_argument(
        "--no-prompt", action="store_true", help='boot Windows Setup without "Press any key"'
    )
    parser.add_argument("--label", help="another label")
    parser.add_argument(
        "--overlay", action="store_true", help="write a qcow2 file over the base, not an image"
    )


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Writes the image or the overlay and says what is different."""
    from provisioner.disc.remaster import plan_remaster
    from provisioner.disc.view import opened_view

    base, destination = place(session, arguments.base), place(session, arguments.output)
    if arguments.overlay and arguments.edition:
        raise UsageError("one edition is a new install image: leave out --overlay")
    if not arguments.sets == arguments.media == [] and not arguments.profile:
        raise UsageError("--set and --media belong to a --profile")
    refuse_existing(destination, force=arguments.force)
    _refuse_base(base, destination)
    with opened_view(base) as view, ExitStack() as stack:
        answers, reveal = _answers(arguments, session, base)
        content = _edition(arguments, session, view, destination, stack)
        remastered = plan_remaster(view, _changes(arguments, session, answers, content))
        mode = 0o600 if arguments.profile else 0o644
        if arguments.overlay:
            size = _overlay(view, remastered, destination, reveal, mode)
            notes: tuple[str, ...] = ()
        else:
            size, notes = _image(session, remastered, destination, reveal, mode)
    _tell(session, destination, remastered, size, notes)
    return 0


def _changes(
    arguments: argparse.Namespace, session: Session, answers: Tree, content: dict[str, File]
) -> Changes:
    from provisioner.disc.remaster import Changes

    return Changes(
        add=[_pair(session, text) for text in arguments.add],
        replace=[_pair(session, text) for text in arguments.replace],
        remove=arguments.remove,
        drivers=[place(session, folder) for folder in arguments.drivers],
        answers=answers,
        content=content,
        no_prompt=arguments.no_prompt,
        label=arguments.label,
        epoch=session.environment.epoch,
    )


def _pair(session: Session, text: str) -> tuple[Path, str]:
    """FILE or FILE=PATH; a file whose own name has the sign is taken as it is."""
    whole = place(session, text)
    source, separator, target = text.rpartition("=")
    if not separator or whole.exists():
        return whole, ""
    return place(session, source), target


def _answers(
    arguments: argparse.Namespace, session: Session, base: Path
) -> tuple[Tree, Callable[[SecretSlot], str]]:
    from provisioner.tree import Tree

    if not arguments.profile:
        return Tree(), _no_secret
    given = argparse.Namespace(
        profile=arguments.profile,
        sets=arguments.sets,
        media=[f"install={base}", *arguments.media],
        name=None,
    )
    loaded = session.load(given)
    return session.answer_disc(loaded).tree, session.reveal(loaded.profile.name)


def _no_secret(slot: SecretSlot) -> str:
    raise ProvisionerError(f"a slot for {slot.name} without a profile")


def _edition(
    arguments: argparse.Namespace,
    session: Session,
    view: View,
    destination: Path,
    stack: ExitStack,
) -> dict[str, File]:
    if not arguments.edition:
        return {}
    from provisioner.disc.editions import only_edition
    from provisioner.media.editions import resolve_edition
    from provisioner.media.inspect import inspect_window

    facts = inspect_window(view.window)
    wanted = int(arguments.edition) if arguments.edition.isdecimal() else arguments.edition
    edition = resolve_edition(facts, wanted)
    session.console.say(f"exporting {edition.name} alone")
    return stack.enter_context(
        only_edition(view, edition, destination, progress=session.console.progress)
    )


def _refuse_base(base: Path, destination: Path) -> None:
    from provisioner.image.output import refuse_source

    refuse_source(destination, base)


def _overlay(
    view: View,
    remastered: Remastered,
    destination: Path,
    reveal: Callable[[SecretSlot], str],
    mode: int,
) -> int:
    from provisioner.disc.remaster import write_overlay_remaster

    write_overlay_remaster(view, remastered, destination, reveal=reveal, mode=mode)
    return destination.stat().st_blocks * 512


def _image(
    session: Session,
    remastered: Remastered,
    destination: Path,
    reveal: Callable[[SecretSlot], str],
    mode: int,
) -> tuple[int, tuple[str, ...]]:
    from provisioner.disc.remaster import write_remaster

    written = write_remaster(
        remastered,
        destination,
        reveal=reveal,
        mode=mode,
        progress=lambda done, total: session.console.progress(destination.name, done, total),
    )
    return written.size, written.remarks


def _tell(
    session: Session,
    destination: Path,
    remastered: Remastered,
    size: int,
    notes: tuple[str, ...],
) -> None:
    from provisioner.media.show import shown, size_text

    console = session.console
    for note in (*remastered.notes, *notes):
        console.warn(shown(note))
    changed = [("+", remastered.added), ("≠", remastered.replaced), ("-", remastered.removed)]
    for mark, paths in changed:
        for path in paths[:20]:
            console.say(f"  {mark} {shown(path)}")
        if len(paths) > 20:
            console.say(f"  {mark} and {len(paths) - 20} more")
    form = remastered.form
    console.say(f"{form.label}: {size_text(size)} on disk; {shown(boots(form.boot))}")
    console.result(str(destination))
    console.event(
        "remastered",
        {
            "file": str(destination),
            "size": size,
            "label": form.label,
            "boot": [
                {"platform_id": i.platform, "path": i.path, "load_sectors": i.load_sectors}
                for i in form.boot
            ],
            "added": list(remastered.added),
            "replaced": list(remastered.replaced),
            "removed": list(remastered.removed),
            "notes": [*remastered.notes, *notes],
        },
    )
