"""Saves a picture of a machine's display as PNG."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.cli.options import connect_option, machine_name, output_file

if TYPE_CHECKING:
    from provisioner.cli.session import Session


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `screenshot`."""
    machine_name(parser)
    output_file(
        parser, meaning="the picture, or - for standard output; default: NAME.png", suffix=".png"
    )
    connect_option(parser)


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Writes the file; with `-o -` only the picture goes to standard output."""
    from provisioner.cli.environment import is_terminal
    from provisioner.errors import UsageError
    from provisioner.guest.screen import png
    from provisioner.image.output import replacing
    from provisioner.store.machine import no_machine

    name, console = arguments.name, session.console
    to_stdout = arguments.output == "-"
    if to_stdout and (is_terminal(sys.stdout) or arguments.json):
        raise UsageError("a picture is nothing for this standard output", hint="use -o FILE.png")
    session.store(name)  # UsageError for what cannot be a machine's name
    world = session.world(name, arguments.connect)
    if world.hypervisor.domain(name) is None:
        raise no_machine(name)
    data = png(world.hypervisor.screenshot(name))
    if to_stdout:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
        return 0
    path = Path(arguments.output or f"{name}.png")
    with replacing(path, needed=len(data)) as file:
        file.write(data)
    console.result(str(path))
    console.event("screenshot", {"name": name, "file": str(path), "bytes": len(data)})
    return 0
