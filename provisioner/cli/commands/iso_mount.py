"""Shows the files of a disc image in a folder, read-only, until `iso unmount`.

By the kernel where you are root and it knows the file system, by FUSE otherwise. To put an image
into a machine's drive instead, see `drive attach`.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from provisioner.cli.iso_options import image, place

if TYPE_CHECKING:
    from provisioner.cli.session import Session

HELP = "show the files of an image in a folder"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `iso mount`."""
    image(parser)
    parser.add_argument("folder", metavar="DIR", help="an empty folder")
    parser.add_argument(
        "--how", choices=("auto", "kernel", "fuse"), default="auto", help="default: auto"
    )
    parser.add_argument(
        "--foreground", action="store_true", help="by FUSE, and wait until it is unmounted"
    )


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Mounts."""
    from provisioner.disc.mount import How, mount_image, serve_image

    path, folder = place(session, arguments.image), place(session, arguments.folder)
    if arguments.foreground:
        serve_image(path, folder)
        return 0
    how = mount_image(path, folder, How(arguments.how))
    session.console.say(f"{path.name} is in {folder} (by {how}); `iso unmount` takes it out")
    session.console.result(str(folder))
    session.console.event("mounted", {"image": str(path), "folder": str(folder), "how": how.value})
    return 0
