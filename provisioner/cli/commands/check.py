"""Finds mistakes before anything boots: in the profile, and between it and the discs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from provisioner.cli.options import connect_option, profile_options

if TYPE_CHECKING:
    from provisioner.cli.session import Session

HELP = "find mistakes in a profile before anything boots"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `check`."""
    profile_options(parser)
    connect_option(parser)
    parser.add_argument(
        "--host", action="store_true", help="also ask libvirt what this host can do"
    )


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Prints every finding; 2 when one is an error, 3 when only the host lacks something."""
    from provisioner.cli.console import count_line
    from provisioner.cli.session import places
    from provisioner.errors import ProfileError, exit_code_of
    from provisioner.plan.checks import check_hardware, check_host, check_media

    try:
        loaded = session.load(arguments)
    except ProfileError as err:
        session.console.problems(err.problems)
        session.console.say(f"{count_line(err.problems)}; nothing was written.")
        return 2
    problems = [*loaded.problems, *check_hardware(loaded.profile, None, places(loaded))]
    if loaded.profile.media.install is not None:
        media = session.media(loaded)
        problems += check_media(loaded.profile, media, places(loaded))
    else:
        session.console.say("no install disc given; only the profile was checked")
    if arguments.host:
        hypervisor = session.hypervisor(
            loaded.profile.name, arguments.connect or loaded.profile.machine.connect
        )
        problems += check_host(loaded.profile, hypervisor.facts(), places(loaded))
    session.console.problems(problems)
    session.console.say(f"{count_line(problems)}; nothing was written.")
    return exit_code_of(problems)
