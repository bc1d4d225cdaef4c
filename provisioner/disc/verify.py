"""`iso verify`: whether an image is sound, and whether it is the same as another, to the byte."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from provisioner.disc.compare import first_difference
from provisioner.disc.manifest import Manifest, file_digest, image_digest
from provisioner.disc.view import Item
from provisioner.errors import MediaError
from provisioner.frozen import frozen
from provisioner.media.facts import Extent
from provisioner.media.layout import read_layout
from provisioner.media.window import Damaged, Window, opened

_BLOCK = 1024 * 1024

Progress = Callable[[int, int], None]


@frozen
class Mismatch:
    """Where two images part. `place` is the file, or the structure, that the byte belongs to."""

    offset: int
    place: str
    reason: str


def same_bytes(
    image: Path, other: Path, progress: Progress = lambda done, total: None
) -> tuple[Mismatch | None, int]:
    """Compares the whole image with the beginning of another image or drive.

    The first mismatch, if any, and how many bytes the other has behind the image's length (a drive
    often has, a copy should not). MediaError where reading fails.
    """
    with opened(image) as first, opened(other) as second:
        if os.path.samestat(first.path.stat(), second.path.stat()):
            raise MediaError(f"{image} and {other} are the same file", hint="name the copy")
        offset = _compare(first, second, progress)
        if offset is None:
            return None, second.size - first.size
        place = place_of(first, offset)
        short = offset >= second.size
        reason = f"{other.name} ends here" if short else "the bytes differ"
        return Mismatch(offset=offset, place=place, reason=reason), 0


def _compare(first: Window, second: Window, progress: Progress) -> int | None:
    """The first byte that differs. The two are read at the same time."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        for start in range(0, first.size, _BLOCK):
            length = min(_BLOCK, first.size - start)
            pending = pool.submit(second.read_up_to, start, length)
            ours = first.read(start, length)
            found = first_difference(ours, pending.result())
            if found is not None:
                return start + found
            progress(start + length, first.size)
    return None


def against_manifest(
    image: Path, manifest: Manifest, progress: Progress = lambda done, total: None
) -> list[Mismatch]:
    """Compares an image or drive with a manifest: of the whole first, then of each file."""
    with opened(image) as window:
        size = window.size if manifest.size is None else manifest.size
        if size > window.size:
            return [Mismatch(offset=window.size, place="the end", reason=_too_short(window, size))]
        done = 0

        def moved(count: int) -> None:
            nonlocal done
            done += count
            progress(done, size)

        if image_digest(window, size, moved) == manifest.sha256:
            return []
        found = []
        for file in manifest.files:
            extents = tuple(Extent(offset=o, length=length) for o, length in file.extents)
            item = Item(path=file.path, extents=extents)
            start = extents[0].offset if extents else 0
            try:
                same = item.size == file.size and file_digest(window, item) == file.sha256
            except Damaged:
                same = False
            if not same:
                reason = "its SHA-256 differs"
                found.append(Mismatch(offset=start, place=file.path, reason=reason))
        return found or [
            Mismatch(
                offset=0,
                place="descriptors, directories or padding" if manifest.files else "the image",
                reason="the SHA-256 of the image differs",
            )
        ]


def place_of(window: Window, offset: int) -> str:
    """What the byte at `offset` of an image belongs to, in words."""
    try:
        regions = read_layout(window).regions
    except MediaError:
        return "an image that is no disc"
    region = next(region for region in regions if region.offset <= offset < region.end)
    return region.name if region.name != "nothing" else "unused space"


def _too_short(window: Window, size: int) -> str:
    return f"it has {window.size} bytes instead of {size}"
