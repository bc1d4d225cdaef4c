"""What the verbs of `usb` share that make a stick out of a Windows disc."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.cli.completion import completes, files, profiles
from provisioner.cli.iso_options import place
from provisioner.cli.options import media_option, set_option
from provisioner.errors import ProfileError, ProvisionerError, Severity, UsageError

if TYPE_CHECKING:
    from provisioner.cli.session import Session
    from provisioner.media.facts import MediaFacts
    from provisioner.profile.load import LoadedProfile
    from provisioner.secret import SecretSlot
    from provisioner.usb.compose_plan import Stick, StickPlan
    from provisioner.usb.raw import RawImage
    from provisioner.usb.stream import Stream


def source(parser: argparse.ArgumentParser) -> None:
    """SOURCE."""
    completes(
        parser.add_argument("source", metavar="SOURCE", help="a Windows installation disc"),
        files(".iso"),
    )


def stick_options(parser: argparse.ArgumentParser, *, boots: bool = True) -> None:
    """--profile and how the stick is laid out."""
    profile = parser.add_argument("--profile", help="add the answers of a profile with `metal:`")
    completes(profile, profiles)
    set_option(parser)
    media_option(parser)
    parser.add_argument(
        "--table",
        choices=("gpt", "mbr"),
        default="gpt",
        help="partition table; mbr for firmware that does not start the other. Default: gpt",
    )
    parser.add_argument(
        "--layout",
        choices=("fat32", "ntfs"),
        default="fat32",
        help="file system; ntfs for files that FAT32 cannot hold, started by --uefi-ntfs. "
        "Default: fat32",
    )
    loader = parser.add_argument(
        "--uefi-ntfs",
        metavar="FILE",
        help="your UEFI:NTFS image, which starts a stick with NTFS; none is shipped or fetched",
    )
    completes(loader, files(".img"))
    parser.add_argument(
        "--export-edition",
        metavar="N",
        help="take one edition only, recompressed by wimlib-imagex: for solid images, which cannot "
        "be split",
    )
    parser.add_argument(
        "--part-size",
        metavar="SIZE",
        help="split an install.wim that is larger, as 3800 MiB; default: only above 4 GiB",
    )
    if not boots:
        return
    parser.add_argument(
        "--boot-test",
        action="store_true",
        help="start it under QEMU first, as a USB stick, until its loader speaks",
    )


def planned(
    arguments: argparse.Namespace, session: Session
) -> tuple[StickPlan, Callable[[SecretSlot], str], Callable[[SecretSlot], str]]:
    """The plan of the stick; what fills its secrets; and what masks them, for looking only."""
    from provisioner.media.inspect import inspect
    from provisioner.plan.show import masked
    from provisioner.usb.compose_export import export_edition
    from provisioner.usb.compose_plan import Order, plan_stick
    from provisioner.usb.tables import Table

    uefi_ntfs = _uefi_ntfs(arguments, session)
    facts = inspect(place(session, arguments.source))
    loaded = _profile(arguments, session, facts)
    export = None
    if arguments.export_edition:
        from provisioner.media.editions import resolve_edition

        text = arguments.export_edition
        edition = resolve_edition(facts, int(text) if text.isdecimal() else text)
        folder = session.environment.cache / "editions"
        session.console.say(f"exporting {edition.name} alone, unless it was done before")
        export = export_edition(facts, edition, folder, progress=session.console.progress)
    order = Order(
        table=Table(arguments.table),
        uefi_ntfs=uefi_ntfs,
        export=export,
        part_bytes=_part_bytes(arguments.part_size),
        epoch=session.epoch,
    )
    plan = plan_stick(
        facts,
        order,
        profile=loaded.profile if loaded is not None else None,
        templates=session.templates,
    )
    reveal = session.reveal(loaded.profile.name) if loaded is not None else _no_secret
    return plan, reveal, masked


def _profile(
    arguments: argparse.Namespace, session: Session, facts: MediaFacts
) -> LoadedProfile | None:
    """The profile, its media replaced by the source, checked against it."""
    from provisioner.cli.session import places
    from provisioner.plan.checks import Media, check_media

    if not arguments.profile:
        if arguments.sets or arguments.media:
            raise UsageError("--set and --media belong to a --profile")
        return None
    given = argparse.Namespace(
        profile=arguments.profile,
        sets=arguments.sets,
        media=[f"install={facts.path}", *arguments.media],
        name=None,
    )
    loaded = session.load(given)
    media = Media(install=facts, drivers=None)
    problems = tuple(check_media(loaded.profile, media, places(loaded)))
    if any(problem.severity is Severity.ERROR for problem in problems):
        raise ProfileError(problems)
    return loaded


def _uefi_ntfs(arguments: argparse.Namespace, session: Session) -> Path | None:
    """The loader of a stick with NTFS; it is looked at before minutes are spent on anything."""
    if arguments.layout != "ntfs":
        if arguments.uefi_ntfs:
            raise UsageError("--uefi-ntfs belongs to --layout ntfs", hint="give both, or neither")
        return None
    if not arguments.uefi_ntfs:
        raise UsageError(
            "firmware does not read NTFS, so --layout ntfs needs the loader that does: "
            "--uefi-ntfs FILE",
            hint="it is the file `uefi-ntfs.img` that comes with Rufus' source, of about 1 MiB; "
            "none is shipped or fetched",
        )
    if arguments.part_size:
        raise UsageError("NTFS holds files of any size; --part-size is for FAT32")
    from provisioner.host.ntfs_making import require_ntfs_tools

    require_ntfs_tools()
    return place(session, arguments.uefi_ntfs)


def _part_bytes(text: str | None) -> int | None:
    from provisioner.profile.units import Size
    from provisioner.profile.values import BadValue

    if text is None:
        return None
    try:
        size = Size(text).bytes
    except BadValue as err:
        raise UsageError(f"--part-size {text}: {err.message}", hint=err.hint) from err
    if not 1 << 20 <= size < 1 << 32:
        raise UsageError(f"--part-size {text}: a part has 1 MiB at least, and less than 4 GiB")
    return size


def _no_secret(slot: SecretSlot) -> str:
    raise ProvisionerError(f"a slot for {slot.name} without a profile")


def composed(session: Session, stick: Stick) -> Stream:
    """The bytes of a stick. One with NTFS is made for that, which takes its time, and room in the
    cache folder; all of it before a stick is touched."""
    from provisioner.media.show import size_text
    from provisioner.usb.compose_ntfs import NtfsStick

    if not isinstance(stick, NtfsStick):
        return stick
    folder = session.environment.cache / "ntfs"
    session.console.say(f"making the NTFS volume in {folder}: {size_text(stick.scratch)}")
    return stick.made(folder, progress=session.console.progress)


def tell(session: Session, plan: StickPlan, stick: Stick) -> None:
    """The lines about the stick, as results, and what is worth a warning."""
    from provisioner.media.show import Field, lines, shown, size_text

    console = session.console
    console.problems(plan.problems)
    for note in plan.notes:
        console.warn(shown(note))
    facts = plan.media.facts
    title, size = f"{facts.path.name}: {facts.label}", size_text(facts.fingerprint.size)
    fields = [Field(label=name, texts=(shown(text),)) for name, text in plan.facts(stick)]
    for line in lines(shown(title), size, fields, width=console.width or 1000):
        console.result(line)


def members(plan: StickPlan, stick: Stick, stream: Stream | None = None) -> dict[str, object]:
    """The plan for programs. `used` is exact with the `stream`, and for FAT32 always."""
    loader = plan.loader
    return {
        "source": str(plan.media.facts.path),
        "fingerprint": plan.media.facts.fingerprint.digest,
        "table": plan.form.table.value,
        "label": plan.form.label,
        "layout": "fat32" if loader is None else "ntfs",
        "uefi_ntfs": None
        if loader is None
        else {"file": str(loader.path), "sha256": loader.digest},
        "size": stick.size,
        "used": (stream or stick).used,
        "cluster": stick.cluster,
        "install": plan.media.install,
        "parts": [part.size for part in plan.media.parts],
        "files": [str(path) for path, _ in plan.tree.files()],
        "facts": dict(plan.facts(stick)),
        "notes": list(plan.notes),
    }


def tell_raw(session: Session, image: RawImage) -> None:
    """The lines about an image that is written as it is."""
    from provisioner.media.show import Field, lines, shown, size_text

    fields = [Field(label=name, texts=(shown(text),)) for name, text in _raw_facts(image) if text]
    console, size = session.console, size_text(image.path.stat().st_size)
    for line in lines(shown(image.path.name), size, fields, width=console.width or 1000):
        console.result(line)


def raw_members(image: RawImage) -> dict[str, object]:
    """The same for programs."""
    return {
        "source": str(image.path),
        "layout": "as it is",
        "size": image.size,
        "used": image.used,
        "partitions": list(image.partitions),
        "facts": dict(_raw_facts(image)),
    }


def _raw_facts(image: RawImage) -> Iterator[tuple[str, str]]:
    from provisioner.media.show import size_text
    from provisioner.usb.raw_packed import packing

    packed = packing(image.path)
    unpacked = f", unpacked from {packed}" if packed is not None else ""
    yield "will become", f"as it is{unpacked}: {size_text(image.size)}"
    ranges = len(image.bmap.ranges) if image.bmap is not None else 0
    mapped = f"{size_text(image.used)}, in {ranges:,} ranges" if image.bmap is not None else ""
    yield "block map", mapped
    yield "partitions", ", ".join(image.partitions) or "none; is it meant for a stick?"


def prove(session: Session, stick: Path) -> None:
    """The boot proof of an image or a device, told as it went; FailedError where it fails."""
    from provisioner.host.probe import probe_kvm
    from provisioner.usb.boot_test import boot_test

    session.console.say("starting it under QEMU, read-only")
    proof = boot_test(stick, kvm=probe_kvm(session.environment.cache).kvm)
    session.console.say(proof.describe())
    members = {"entry": proof.entry, "said": proof.said, "seconds": round(proof.seconds, 1)}
    session.console.event("boot-proof", members)


def prove_composed(session: Session, stream: Stream) -> None:
    """The same before anything is written: an image in the cache folder, gone afterwards."""
    from provisioner.host.files import private_folder
    from provisioner.usb.compose_image import write_image

    folder = session.environment.cache / "boot-test"
    private_folder(folder)
    image = folder / f"{os.getpid()}.img"
    try:
        write_image(
            stream,
            image,
            mode=0o600,
            progress=lambda done, total: session.console.progress("boot test", done, total),
        )
        prove(session, image)
    finally:
        image.unlink(missing_ok=True)
