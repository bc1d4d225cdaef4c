"""Composing a stick beside `dd` of the same bytes, and splitting a WIM beside wimlib-imagex.

Every round runs both, so that a busy disk hits both. The stick is a loop device, so it needs root.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from benchmarks.measure import RUNS, Row, Timing, command, seconds, size
from benchmarks.workshop import Workshop

FILES, EACH = 40, 128 << 20
"""As much as a Windows disc holds: more than FAT32 takes in one file, so it is split."""
_WANTED = "at least 0.9 of its rate, a ratio of 1.11; at most 128 MB"


def rows(workshop: Workshop) -> Iterator[Row]:
    """Bytes that nothing compresses, in an install.wim; in the page cache for both."""
    folder = workshop.folder / "stick"
    folder.mkdir()
    wim = _wim(folder)
    disc = _disc(workshop, folder, wim)
    image, made, copy = folder / "stick.img", folder / "made.img", folder / "copy.img"
    workshop.run("usb", "image", str(disc), str(image))
    length = image.stat().st_size
    mine = [sys.executable, "-m", "benchmarks.usb"]
    ours, theirs = _rounds(
        workshop.ours("usb", "image", str(disc), str(made)),
        ["dd", f"if={image}", f"of={copy}", "bs=4M", "oflag=direct", "conv=fsync,sparse"],
        remove=(made, copy),
    )
    yield _row(
        f"{size(length)} into a file",
        "usb image",
        ours,
        "dd bs=4M oflag=direct conv=sparse",
        theirs,
    )
    with copy.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, length)  # so that nobody pays for that
    argv = ["losetup", "--find", "--show", "--direct-io=on", str(copy)]
    device = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    try:
        ours, theirs = _rounds(
            [*mine, "write", str(disc), device],
            ["dd", f"if={image}", f"of={device}", "bs=4M", "oflag=direct", "conv=fsync"],
        )
        yield _row(
            f"{size(length)} onto a loop device", "compose", ours, "dd bs=4M oflag=direct", theirs
        )
    finally:
        subprocess.run(["losetup", "-d", device], check=True)
        copy.unlink()
    parts, others = folder / "ours", folder / "theirs"
    ours, theirs = _rounds(
        [*mine, "split", str(wim), str(parts)],
        ["wimlib-imagex", "split", str(wim), f"{others}/install.swm", "400"],
        folders=(parts, others),
    )
    yield _row(
        f"an install.wim of {size(FILES * EACH)} in parts",
        "split",
        ours,
        "wimlib-imagex split",
        theirs,
    )


def _row(what: str, our_name: str, ours: Timing, their_name: str, theirs: Timing) -> Row:
    return Row(
        what=what,
        ours=f"{our_name} {seconds(ours.wall)}, peak {size(ours.peak)}",
        theirs=f"{their_name} {seconds(theirs.wall)}",
        ratio=ours.wall / theirs.wall,
        wanted=_WANTED if "split" not in our_name else "no slower; at most 128 MB",
    )


def _wim(folder: Path) -> Path:
    tree = folder / "tree"
    tree.mkdir()
    for number in range(FILES):
        with (tree / f"file{number}").open("wb") as file:
            for _ in range(EACH >> 20):
                file.write(os.urandom(1 << 20))
    wim = folder / "install.wim"
    argv = ["wimlib-imagex", "capture", str(tree), str(wim), "Windows 11 Pro", "--compress=none"]
    properties = ["EDITIONID=Professional", "INSTALLATIONTYPE=Client", "ARCH=9"]
    options = [f"--image-property=WINDOWS/{text}" for text in properties]
    subprocess.run([*argv, *options], check=True, capture_output=True)
    shutil.rmtree(tree)
    return wim


def _disc(workshop: Workshop, folder: Path, wim: Path) -> Path:
    disc = folder / "install.iso"
    replaced = ("--replace", f"{wim}=sources/install.wim")
    workshop.run("iso", "remaster", str(workshop.standin), str(disc), *replaced)
    return disc


def _rounds(
    ours: Sequence[str],
    theirs: Sequence[str],
    *,
    remove: Sequence[Path] = (),
    folders: Sequence[Path] = (),
) -> tuple[Timing, Timing]:
    def clean() -> None:
        for file in remove:
            file.unlink(missing_ok=True)
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        os.sync()

    timings: tuple[list[Timing], list[Timing]] = ([], [])
    for _ in range(RUNS):
        for argv, found in zip((ours, theirs), timings, strict=True):
            found.append(command(argv, runs=1, before=clean))
    first, second = (
        Timing(
            wall=statistics.median(one.wall for one in found),
            cpu=statistics.median(one.cpu for one in found),
            peak=max(one.peak for one in found),
        )
        for found in timings
    )
    return first, second


def _no_secret(slot: object) -> str:
    raise ValueError(slot)


def write(disc: Path, device: Path) -> None:
    """Composes, hashes and writes as `usb write` does: first MiB last, fsync before and after."""
    from provisioner.host.disk import open_disk
    from provisioner.media.inspect import inspect
    from provisioner.usb.compose import Form, StickStream
    from provisioner.usb.compose_source import windows_media
    from provisioner.usb.devices_sysfs import System
    from provisioner.usb.write import Target, write_stream

    [disk] = [
        disk
        for disk in System(allowed_loops={device.name: "BENCH"}).disks()
        if disk.name == device.name
    ]
    tree = windows_media(inspect(disc)).tree
    stream = StickStream(tree, Form(), capacity=disk.size, reveal=_no_secret)
    target = Target(disk=disk, device=open_disk(device, write=True))
    write_stream(stream, [target], lambda *_: None)
    target.device.close()
    assert target.failure is None, target.failure


def parts(wim: Path, folder: Path) -> None:
    """Splits into files."""
    from provisioner.image.content import resolve
    from provisioner.image.transfer import write_payload
    from provisioner.media.window import opened
    from provisioner.tree import Slice
    from provisioner.usb.split import part_name, split

    whole = Slice(image=wim, offset=0, length=wim.stat().st_size)
    with opened(wim) as window:
        made = split(window, (whole,), name=wim.name, limit=400 << 20)
    for number, part in enumerate(made, start=1):
        name = part_name("install.wim", number)
        payload = resolve(PurePosixPath(name), part.file, _no_secret)
        with (folder / name).open("wb") as out:
            write_payload(payload, out.fileno(), 0, moved=lambda count: None)


if __name__ == "__main__":
    {"write": write, "split": parts}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
