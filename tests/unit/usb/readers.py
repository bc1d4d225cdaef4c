"""Reads composed sticks with other people's tools: mtools, fsck.fat, sgdisk, sfdisk."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from provisioner.usb.stream import Stream

PARTITION = 1 << 20
EPOCH = 1_700_000_000


def run(*arguments: str | Path) -> str:
    """Standard output of a tool that has to succeed."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "MTOOLS_SKIP_CHECK": "0"}
    done = subprocess.run(
        [str(a) for a in arguments], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, f"{arguments}: {done.stdout}\n{done.stderr}"
    return done.stdout


def written(stream: Stream, path: Path) -> Path:
    """The stream as a sparse file; its promises are looked at on the way."""
    at = used = 0
    with path.open("wb") as target:
        target.truncate(stream.size)
        for offset, data in stream.blocks():
            assert offset >= at and offset % 512 == 0
            assert 0 < len(data) <= 4 << 20 and len(data) % 512 == 0
            target.seek(offset)
            target.write(data)
            at = offset + len(data)
            used += len(data)
    assert at <= stream.size and used == stream.used
    return path


def checked(image: Path, *, gpt: bool = True) -> Path:
    """fsck.fat, sgdisk and sfdisk have nothing to say against it. Returns the volume alone."""
    if gpt:
        told = run("sgdisk", "-v", image)
        assert "No problems found" in told, told
    told = run("sfdisk", "--verify", image)
    assert "No errors detected." in told, told
    size = int(run("sfdisk", "-l", "-o", "Sectors", image).splitlines()[-1]) * 512
    volume = image.with_suffix(".fat")
    with image.open("rb") as source, volume.open("wb") as target:
        target.truncate(size)
        for start, end in _data(source.fileno(), PARTITION, PARTITION + size):
            source.seek(start)
            target.seek(start - PARTITION)
            target.write(source.read(end - start))
    told = run("fsck.fat", "-n", "-v", volume)
    assert "32 bit entries" in told and "differ" not in told, told
    return volume


def _data(descriptor: int, at: int, end: int) -> Iterator[tuple[int, int]]:
    """What of a sparse file is there."""
    while at < end:
        try:
            start = os.lseek(descriptor, at, os.SEEK_DATA)
        except OSError:
            return
        at = os.lseek(descriptor, start, os.SEEK_HOLE)
        if start < end:
            yield start, min(at, end)


def extracted(volume: Path, folder: Path) -> dict[str, bytes | None]:
    """Every path as mtools sees it, folders as None."""
    folder.mkdir()
    run("mcopy", "-s", "-n", "-Q", "-m", "-i", volume, "::/", folder)
    found: dict[str, bytes | None] = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        found[name] = None if path.is_dir() else path.read_bytes()
    return found


def with_folders(files: Mapping[str, bytes | None]) -> dict[str, bytes | None]:
    """The same with the folders that are only implied."""
    found = dict(files)
    for path in files:
        for parent in list(Path(path).parents)[:-1]:
            found[str(parent)] = None
    return found
