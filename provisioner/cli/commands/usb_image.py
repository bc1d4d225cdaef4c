"""Writes the bytes of a stick into an image file, which may be written to any stick later.

The file is sparse, and as small as may be; it appears when it is complete. The same disc, profile
and secrets give the same bytes. With answers it holds passwords, and only you may read it.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from provisioner.cli.completion import completes, files
from provisioner.cli.iso_options import output, place, refuse_existing
from provisioner.cli.usb_making import (
    composed,
    members,
    planned,
    prove,
    source,
    stick_options,
    tell,
)

if TYPE_CHECKING:
    from provisioner.cli.session import Session

HELP = "write the bytes of a stick into an image file"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `usb image`."""
    source(parser)
    completes(output(parser), files(".img"))
    stick_options(parser)


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Writes the image; with --boot-test only one that starts."""
    from provisioner.image.output import refuse_source
    from provisioner.usb.compose_image import write_image

    destination = place(session, arguments.output)
    refuse_existing(destination, force=arguments.force)
    refuse_source(destination, place(session, arguments.source))
    plan, reveal, _ = planned(arguments, session)
    stick = plan.stick(reveal=reveal)
    tell(session, plan, stick)
    stream = composed(session, stick)
    write_image(
        stream,
        destination,
        mode=0o600 if plan.secret else 0o644,
        progress=lambda done, total: session.console.progress(destination.name, done, total),
        proof=lambda path: prove(session, path) if arguments.boot_test else None,
    )
    session.console.result(str(destination))
    session.console.event("image", {"file": str(destination), **members(plan, stick, stream)})
    return 0
