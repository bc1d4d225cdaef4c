"""Reads a disc, sector by sector, into an image, with its SHA-256 and a sector map beside it.

Any drive, block device or image file is a source. A rip that was stopped goes on where it was when
the same command is given again. The map is one of GNU ddrescue's.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from provisioner.cli.completion import completes, files
from provisioner.cli.iso_options import output, place, refuse_existing

if TYPE_CHECKING:
    from provisioner.cli.session import Session
    from provisioner.disc.rip import Ripped

HELP = "make an image from a disc in a drive"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `iso rip`."""
    parser.add_argument("device", metavar="DEVICE", help="a drive, as /dev/sr0, or a file")
    completes(output(parser), files(".iso"))
    parser.add_argument(
        "--retries", type=_count, default=5, metavar="N", help="tries for a bad sector; default: 5"
    )
    parser.add_argument(
        "--passes", type=int, choices=(1, 2), default=1, help="2 reads everything twice"
    )
    parser.add_argument(
        "--speed", type=_count, metavar="N", help="reading speed of an optical drive, as 4 for 4x"
    )
    parser.add_argument(
        "--until",
        choices=("auto", "capacity", "filesystem"),
        default="auto",
        help="where the image ends; default: where the medium does, on sticks where the disc's "
        "file system does",
    )
    parser.add_argument(
        "--accept-bad", action="store_true", help="write zeros where a sector cannot be read"
    )


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Rips and says how it went."""
    from provisioner.disc.capacity import Until
    from provisioner.disc.rip import Options, map_name, partial_name, rip
    from provisioner.host.optical import select_speed

    device, destination = place(session, arguments.device), place(session, arguments.output)
    refuse_existing(destination, force=arguments.force)
    if arguments.speed is not None:
        select_speed(device, arguments.speed)
    if partial_name(destination).exists() and map_name(destination).exists():
        session.console.say(f"going on with {partial_name(destination).name}")
    done = rip(
        device,
        destination,
        Options(
            retries=arguments.retries,
            passes=arguments.passes,
            until=Until(arguments.until),
            accept_bad=arguments.accept_bad,
        ),
        progress=session.console.progress,
    )
    _tell(session, str(destination), done)
    return 0


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 to 1000")
    return int(text)


def _tell(session: Session, destination: str, done: Ripped) -> None:
    from provisioner.media.show import plural, shown, size_text

    console = session.console
    for first, count, what in done.bad:
        last = first + count - 1
        sectors = f"sectors {first} to {last} are" if count > 1 else f"sector {first} is"
        console.warn(f"{sectors} zeros, in {shown(what)}")
    if done.run_out:
        console.say(f"left out: {plural(done.run_out, 'sector')} of run-out behind the end")
    if done.repaired:
        console.warn(f"read differently at first: {plural(done.repaired, 'sector')}")
    if done.filesystem > done.size:
        console.warn(
            f"the disc says it has {done.filesystem} bytes, and the drive gives only {done.size}"
        )
    resumed = f", {size_text(done.resumed)} of it earlier" if done.resumed else ""
    console.say(f"{size_text(done.size)} read{resumed}")
    console.result(f"{done.sha256}  {destination}")
    console.event(
        "ripped",
        {
            "file": destination,
            "size": done.size,
            "sha256": done.sha256,
            "capacity": done.capacity,
            "filesystem": done.filesystem,
            "bad": [list(each) for each in done.bad],
            "run_out": done.run_out,
            "repaired": done.repaired,
            "resumed": done.resumed,
        },
    )
