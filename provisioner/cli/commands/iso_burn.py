"""Burns a disc image, disc at once, and reads it back after the disc was ejected and taken in.

By xorriso. `stdio:FILE` in place of a drive is its pseudo drive.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from provisioner.cli.iso_options import image, place

if TYPE_CHECKING:
    from provisioner.cli.session import Session

HELP = "burn an image onto a disc"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `iso burn`."""
    image(parser)
    parser.add_argument("drive", metavar="DEVICE", help="an optical drive, as /dev/sr0")
    parser.add_argument("--speed", type=int, metavar="N", help="as 4 for 4x; default: the fastest")
    parser.add_argument("--simulate", action="store_true", help="do all but write, laser off")
    parser.add_argument("--blank", action="store_true", help="erase a rewritable disc first")
    parser.add_argument("--no-verify", action="store_true", help="do not read the disc back")


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Burns."""
    from provisioner.disc.burn import burn_image
    from provisioner.host.burner import PSEUDO, BurnOptions
    from provisioner.media.show import shown, size_text

    console = session.console
    drive = arguments.drive
    if drive.startswith(PSEUDO):
        drive = PSEUDO + str(place(session, drive.removeprefix(PSEUDO)))
    else:
        drive = str(place(session, drive))
    options = BurnOptions(speed=arguments.speed, simulate=arguments.simulate, blank=arguments.blank)
    burnt = burn_image(
        place(session, arguments.image),
        drive,
        options,
        verify=not arguments.no_verify,
        progress=console.progress,
    )
    done = "simulated" if arguments.simulate else "burnt"
    proof = "; every byte was read back" if burnt.verified else ""
    console.result(f"{size_text(burnt.size)} {done} on {shown(burnt.medium.profile)}{proof}")
    console.event(
        "burnt",
        {
            "drive": drive,
            "size": burnt.size,
            "medium": burnt.medium.profile,
            "simulated": arguments.simulate,
            "verified": burnt.verified,
        },
    )
    return 0
