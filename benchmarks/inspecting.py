"""`inspect` of a disc of 6 GB beside `7z l`, and beside taking install.wim out to ask wimlib."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Row, command, seconds, size
from benchmarks.workshop import Workshop

WANTED = "at most 0.3 s over interpreter start, and 4 MB read"


def rows(workshop: Workshop) -> Iterator[Row]:
    """Whole processes; the disc is sparse, as big and as full of files as Microsoft's."""
    from tests.unit.media.big_disc import make_big_disc
    from tests.unit.media.certificates import WINDOWS_2011, make_loader

    folder = workshop.folder / "inspecting"
    folder.mkdir()
    try:
        loader = make_loader(folder / "certificates", WINDOWS_2011)
        disc = make_big_disc(folder, loader=loader, in_boot_wim=15_000)
        yield from _rows(workshop, folder, disc)
    finally:
        shutil.rmtree(folder)


def _rows(workshop: Workshop, folder: Path, disc: Path) -> Iterator[Row]:
    nothing = command([sys.executable, "-c", "pass"])
    ours = command(workshop.ours("inspect", str(disc)), environment=workshop.environment)
    listing = command(["7z", "l", str(disc)])
    done = subprocess.run(
        workshop.ours("inspect", "--json", str(disc)),
        capture_output=True,
        text=True,
        check=True,
    )
    read = json.loads(done.stdout)["bytes_read"]
    yield Row(
        what=f"inspect of {disc.stat().st_size / 1e9:.1f} GB",
        ours=f"{seconds(ours.wall)} ({seconds(ours.wall - nothing.wall)} over interpreter start),"
        f" {size(read)} read",
        theirs=f"7z l, which lists names only, {seconds(listing.wall)}",
        ratio=ours.wall / listing.wall,
        wanted=WANTED,
    )
    target = folder / "out"
    wim = target / "sources/install.wim"
    script = f"7z x -o{target} {disc} sources/install.wim && wimlib-imagex info {wim}"
    extracting = command(
        ["sh", "-c", script],
        runs=1,
        before=lambda: shutil.rmtree(target, ignore_errors=True),
    )
    yield Row(
        what="editions of that disc",
        ours=f"inspect {seconds(ours.wall)}",
        theirs=f"7z x install.wim, then wimlib-imagex info {seconds(extracting.wall)}",
        ratio=ours.wall / extracting.wall,
    )
