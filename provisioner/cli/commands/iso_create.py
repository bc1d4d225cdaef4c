"""Makes a disc image from a folder, by default in the shape that suits what is in it.

windows: all files in UDF, a README in ISO 9660, as Microsoft's discs; portable: ISO 9660 with
Rock Ridge and Joliet; data: UDF, Rock Ridge and Joliet. SOURCE_DATE_EPOCH dates the disc; without
it the newest file does. The same folder gives the same bytes.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from provisioner.cli.completion import completes, files
from provisioner.cli.iso_options import boots, output, place, progress, refuse_existing

if TYPE_CHECKING:
    from provisioner.cli.session import Session
    from provisioner.disc.create import Created

HELP = "make an image from a folder"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `iso create`."""
    parser.add_argument("folder", metavar="FOLDER", help="what goes onto the disc")
    completes(output(parser), files(".iso"))
    parser.add_argument(
        "--shape",
        choices=("windows", "portable", "data"),
        help="default: windows where Windows Setup is in the folder, data where a file has 4 GiB "
        "or more, portable otherwise",
    )
    parser.add_argument("--label", help="name of the disc; default: that of the folder")
    parser.add_argument(
        "--exclude",
        metavar="PATTERN",
        action="append",
        default=[],
        help="leave out names, or with a slash paths, that match; may be given again",
    )
    parser.add_argument("--no-hidden", action="store_true", help="leave out names with a first dot")
    parser.add_argument("--bios-boot", metavar="PATH", help="boot image for BIOS; default: found")
    parser.add_argument("--uefi-boot", metavar="PATH", help="boot image for UEFI; default: found")
    parser.add_argument("--no-boot", action="store_true", help="make a disc that does not boot")
    parser.add_argument(
        "--no-prompt",
        action="store_true",
        help='boot Windows Setup under UEFI without "Press any key"',
    )
    parser.add_argument(
        "--keep-duplicates", action="store_true", help="store files of equal content each"
    )


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Writes the disc and says what it is."""
    from provisioner.disc.create import Order, create
    from provisioner.errors import UsageError
    from provisioner.image.shapes import Shape

    if arguments.no_boot and (arguments.bios_boot or arguments.uefi_boot or arguments.no_prompt):
        raise UsageError("--no-boot and a way to boot exclude each other")
    destination = place(session, arguments.output)
    refuse_existing(destination, force=arguments.force)
    none = "" if arguments.no_boot else None
    order = Order(
        shape=Shape(arguments.shape) if arguments.shape else None,
        label=arguments.label,
        epoch=session.environment.epoch,
        bios=arguments.bios_boot or none,
        uefi=arguments.uefi_boot or none,
        no_prompt=arguments.no_prompt,
        exclude=arguments.exclude,
        hidden=not arguments.no_hidden,
        deduplicate=not arguments.keep_duplicates,
    )
    created = create(
        place(session, arguments.folder), destination, order, progress=progress(session)
    )
    _tell(session, str(destination), created)
    return 0


def _tell(session: Session, destination: str, created: Created) -> None:
    from provisioner.media.show import plural, shown, size_text

    console = session.console
    for note in created.notes:
        console.warn(shown(note))
    console.say(
        f"{created.label}: {plural(created.written.files, 'file')}, "
        f"{size_text(created.written.size)}, shape {created.shape}; {boots(created.boot)}"
    )
    if created.saved:
        console.say(f"files of equal content are stored once: {size_text(created.saved)} saved")
    console.result(destination)
    console.event(
        "created",
        {
            "file": destination,
            "size": created.written.size,
            "files": created.written.files,
            "shape": created.shape.value,
            "label": created.label,
            "saved": created.saved,
            "boot": [
                {"platform_id": i.platform, "path": i.path, "load_sectors": i.load_sectors}
                for i in created.boot
            ],
            "notes": list(created.notes),
        },
    )
