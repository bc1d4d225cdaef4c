"""What the verbs of `usb` share: naming sticks, showing them, and having them confirmed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provisioner.cli.completion import completes, files
from provisioner.cli.environment import is_terminal
from provisioner.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from provisioner.cli.session import Session
    from provisioner.usb.devices import Disk
    from provisioner.usb.gates import Request
    from provisioner.usb.job import Care
    from provisioner.usb.machine import Machine
    from provisioner.usb.raw import RawImage
    from provisioner.usb.stream import Stream

SMALLEST = "the partition is as large as the smallest stick allows, on all"
IMAGES = (".iso", ".img", ".raw", ".wic", ".xz", ".gz", ".zst", ".bz2")


def stick_names(prefix: str, **_: Any) -> Iterator[str]:
    """The sticks that are plugged in."""
    from provisioner.usb.devices import Transport
    from provisioner.usb.devices_sysfs import System

    for disk in System().disks():
        if disk.size and (disk.transport in {Transport.USB, Transport.MMC} or disk.removable):
            yield disk.stable_id


def source_option(parser: argparse.ArgumentParser) -> None:
    """SOURCE and its block map."""
    source = parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a Windows installation disc, or an image: raw, or packed as .xz, .gz, .bz2 or .zst",
    )
    completes(source, files(*IMAGES))
    bmap = parser.add_argument(
        "--bmap", metavar="FILE", help="the image's block map; default: the one beside the image"
    )
    completes(bmap, files(".bmap"))
    parser.add_argument("--no-bmap", action="store_true", help="write all blocks, map or not")


def target_options(parser: argparse.ArgumentParser, *, several: bool, writes: bool = True) -> None:
    """--to, and what may be consented to."""
    target = parser.add_argument(
        "--to",
        metavar="ID",
        action="append" if several else "store",
        default=[] if several else None,
        help="the stick, by an id or the serial that `usb list` shows"
        + ("; several are written at once" if several else ""),
    )
    completes(target, stick_names)
    consents(parser, writes=writes)


def consents(parser: argparse.ArgumentParser, *, writes: bool = True) -> None:
    """What opens a gate, each for one."""
    parser.add_argument(
        "--unmount", action="store_true", help="unmount what is mounted from the stick"
    )
    parser.add_argument(
        "--fixed-disk", action="store_true", help="the disk is neither USB nor a card, and meant"
    )
    if writes:
        parser.add_argument(
            "--size", metavar="GB", type=int, help="the size of a disk of more than 256 GB"
        )
        parser.add_argument(
            "--erase",
            metavar="SERIAL",
            action="append",
            default=[],
            help="its serial, in place of typing it when asked",
        )


def machine_here() -> Machine:
    """This host's disks."""
    from provisioner.usb.local import LocalMachine

    return LocalMachine()


def care(session: Session) -> Care:
    """Undo capsules lie in the state folder."""
    from provisioner.usb.job import Care

    return Care(state=session.environment.state)


def request_of(
    arguments: argparse.Namespace,
    *,
    needed: int | None = None,
    sources: Sequence[Path] = (),
    reading: bool = False,
) -> Request:
    """What is asked for, with the consents of the command line."""
    from provisioner.usb.gates import Request

    return Request(
        needed=needed,
        sources=tuple(sources),
        unmount=arguments.unmount,
        fixed=arguments.fixed_disk,
        confirmed_size=getattr(arguments, "size", None),
        reading=reading,
    )


def chosen_disks(session: Session, machine: Machine, names: Sequence[str]) -> tuple[Disk, ...]:
    """The sticks that were named, each once. There is no default, ever."""
    from provisioner.usb.gates import find

    if not names:
        raise UsageError(
            "no stick is named, and none is picked for you",
            hint="`provisioner usb list` shows the sticks; name one with --to ID",
        )
    disks = machine.disks()
    found = [find(disks, name, interactive=_person(session)) for name in names]
    twice = {disk.name for disk in found if found.count(disk) > 1}
    if twice:
        raise UsageError(f"{', '.join(sorted(twice))} is named twice", hint="name each stick once")
    return tuple(found)


def confirm(session: Session, disks: Sequence[Disk], given: Sequence[str], what: str) -> None:
    """Has every serial typed, or compares those given. GateError where one is not right, or
    nobody is there to type."""
    from provisioner.usb.gates import GateError, require_proof

    console = session.console
    for disk in disks:
        console.say(described(disk))
        for part in disk.partitions:
            console.say(f"  {partition_words(part)}")
    if given:
        left = list(given)
        for disk in disks:
            match = disk.proof if disk.proof in left else left[0] if left else ""
            require_proof(disk, match)
            left.remove(match)
        if left:
            raise UsageError(
                f"--erase {left[0]} names no stick of this command",
                hint="give as many --erase as there are --to",
            )
        return
    if not _person(session):
        raise GateError(
            f"nobody is here to confirm that {what}",
            rule="usb.not-confirmed",
            hint="say it in the command: " + " ".join(f"--erase {disk.proof}" for disk in disks),
        )
    for disk in disks:
        console.ask(f"{what}. Type {disk.proof} to go on:")
        require_proof(disk, sys.stdin.readline())


def described(disk: Disk) -> str:
    """`SanDisk Ultra, serial 4C530001, 57.3 GiB, /dev/sdc`."""
    from provisioner.cli.layout import amount

    return f"{disk.title}, {amount(disk.size)}, {disk.node}"


def partition_words(part: Any) -> str:
    """`sdc1  57.3 GiB  FAT  HOLIDAY`."""
    from provisioner.cli.layout import amount

    label = f"“{part.label}”" if part.label else ""
    words = (part.name, amount(part.size), part.filesystem or "unknown contents", label)
    return "  ".join(word for word in words if word)


def raw_stream(
    session: Session, arguments: argparse.Namespace, source: Path, limit: int | None
) -> RawImage:
    """An image as it is, looked at from end to end where that is needed to know it."""
    from provisioner.usb.raw import open_raw
    from provisioner.usb.raw_bmap import beside, read_map
    from provisioner.usb.raw_packed import packing

    if arguments.bmap and arguments.no_bmap:
        raise UsageError("--bmap and --no-bmap exclude each other", hint="leave one out")
    path = session.environment.cwd / arguments.bmap if arguments.bmap else beside(source)
    bmap = read_map(path) if path is not None and not arguments.no_bmap else None
    if bmap is not None and path is not None:
        session.console.say(f"using the block map {path.name}")
    image = open_raw(source, bmap, limit=limit, progress=session.console.progress)
    if image.disc:
        packed = packing(source) is not None
        session.console.warn(
            f"{source.name} is a disc without a partition table: as it is, a PC starts it from no "
            "stick" + ("; a Windows disc has to be unpacked first" if packed else "")
        )
    return image


def stream_of(
    session: Session, arguments: argparse.Namespace, source: Path, disks: Sequence[Disk]
) -> Stream:
    """What is to stand on these sticks. A Windows disc is composed anew, for the smallest of them
    (`provisioner.usb.resized` does the rest), any other image is taken as it is."""
    sizes = [disk.size for disk in disks]
    if not is_windows(source):
        refuse_profile(arguments, source)
        return raw_stream(session, arguments, source, min(sizes))
    from provisioner.cli.usb_making import composed, planned, tell

    plan, reveal, _ = planned(arguments, session)
    stick = plan.stick(capacity=min(sizes), reveal=reveal)
    tell(session, plan, stick)
    if max(sizes) > min(sizes):
        session.console.say(SMALLEST)
    return composed(session, stick)


def refuse_profile(arguments: argparse.Namespace, source: Path) -> None:
    """UsageError where what is for Windows discs was asked for another image."""
    if arguments.profile:
        raise UsageError(
            f"{source.name} is no Windows disc, and only those take the answers of a profile"
        )
    if arguments.layout != "fat32" or arguments.export_edition or arguments.part_size:
        raise UsageError(
            f"{source.name} is no Windows disc: it is written as it is",
            hint="leave out --layout, --export-edition and --part-size",
        )


def stream_on(session: Session, arguments: argparse.Namespace, source: Path, disk: Disk) -> Stream:
    """What stands on a stick that was written before. Sticks that were written together have the
    partition of the smallest of them."""
    from provisioner.usb.resized import resized, size_in_use

    if not is_windows(source):
        return stream_of(session, arguments, source, [disk])
    try:
        composed = stream_of(session, arguments, source, [replace(disk, size=size_in_use(disk))])
    except RefusedError:  # a smaller partition than that can be: nobody's who wrote this image
        return stream_of(session, arguments, source, [disk])
    return resized(composed, disk.size)


def is_windows(source: Path) -> bool:
    """Whether an image is a Windows install disc, which as it is boots from no stick."""
    from provisioner.errors import ProvisionerError
    from provisioner.media.facts import MediaKind
    from provisioner.media.inspect import inspect
    from provisioner.usb.raw_packed import packing

    if packing(source) is not None:
        return False
    try:
        facts = inspect(source)
    except ProvisionerError:
        return False  # nothing that we know; bytes are bytes
    return facts.kind is MediaKind.WINDOWS_SETUP and bool(facts.boot)


def _person(session: Session) -> bool:
    return is_terminal(sys.stdin) and is_terminal(sys.stderr) and not session.console.as_json
