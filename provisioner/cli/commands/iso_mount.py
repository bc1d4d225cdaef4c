"""Shows the files of a disc image in a folder, read-only, until `iso unmount`.

By the kernel where you are root and it knows the file system, by FUSE otherwise. Without DIR the
kernel does it through udisks, without root, in a folder that udisks chooses. To put an image into a
machine's drive instead, see `drive attach`.
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
    parser.add_argument(
        "folder", metavar="DIR", nargs="?", help="an empty folder; without it udisks chooses one"
    )
    parser.add_argument(
        "--how", choices=("auto", "kernel", "udisks", "fuse"), default="auto", help="default: auto"
    )
    parser.add_argument(
        "--foreground", action="store_true", help="by FUSE, and wait until it is unmounted"
    )


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Mounts."""
    from provisioner.disc.mount import How, mount_image, mount_without_folder, serve_image
    from provisioner.errors import UsageError

    path, how = place(session, arguments.image), How(arguments.how)
    if how is How.UDISKS and arguments.folder is not None:
        raise UsageError("udisks chooses the folder itself", hint="leave DIR out")
    if arguments.folder is None:
        if arguments.foreground or how not in {How.AUTO, How.UDISKS}:
            raise UsageError("in which folder?", hint="name an empty one after the image")
        folder, how = mount_without_folder(path), How.UDISKS
    else:
        folder = place(session, arguments.folder)
        if arguments.foreground:
            serve_image(path, folder)
            return 0
        how = mount_image(path, folder, how)
    session.console.say(f"{path.name} is in {folder} (by {how}); `iso unmount` takes it out")
    session.console.result(str(folder))
    session.console.event("mounted", {"image": str(path), "folder": str(folder), "how": how.value})
    return 0
