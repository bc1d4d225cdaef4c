"""Reopens a finished disc and compares every name and byte with the tree it was made from.

Reads with `records`, which shares nothing with the writer, so that a mistake of the writer is
not repeated here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from provisioner.errors import FailedError
from provisioner.image.content import Reveal, opened_untouched, resolve
from provisioner.image.names import ascii_names, folders_of
from provisioner.image.records import (
    SECTOR,
    ReadAt,
    Record,
    Volume,
    read_directories,
    read_path_table,
    read_volumes,
)
from provisioner.tree import Tree

IN_MEMORY = 8 * 1024 * 1024
"""Discs up to this size are read at once."""

_SHOWN = 5
"""How many differences a message names."""


def verify_iso(path: Path, tree: Tree, *, reveal: Reveal) -> None:
    """Compares the disc at `path` with `tree`, both views, every name and every byte.

    Raises FailedError that names the first differences. Sources are read again, so a host file
    that changed since the disc was written is a difference too.
    """
    with opened_untouched(path) as (descriptor, status):
        size = status.st_size
        data = os.pread(descriptor, size, 0) if size <= IN_MEMORY else None

        def read(offset: int, length: int) -> bytes:
            if data is not None:
                return data[offset : offset + length]
            return os.pread(descriptor, length, offset)

        try:
            differences = list(_differences(read, size, tree, reveal))
        except OSError as err:
            raise FailedError(f"cannot read {path} again: {err.strerror}") from err
        except FailedError as err:
            raise FailedError(
                f"{path} is not what was written: {err.message}", hint=err.hint
            ) from err
    if differences:
        more = len(differences) - _SHOWN
        shown = "; ".join(differences[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
        raise FailedError(
            f"{path} is not what was written: {shown}",
            hint="try again; if it happens again, the storage or its memory is failing",
        )


def _differences(read: ReadAt, size: int, tree: Tree, reveal: Reveal) -> Iterator[str]:
    volumes = read_volumes(read)
    for volume in volumes:
        if volume.blocks * SECTOR != size:
            yield f"the disc says {volume.blocks * SECTOR} bytes, the file has {size}"
    joliet = [volume for volume in volumes if volume.joliet]
    plain = [volume for volume in volumes if not volume.joliet]
    if len(joliet) != 1 or not plain or len({volume.label for volume in volumes}) != 1:
        yield "it has not one ISO 9660 and one Joliet tree of one label"
        return
    folders = folders_of(tree)
    files = [str(path) for path, _ in tree.files()]
    wide = _entries(read, joliet[0])
    yield from _path_table_differences(read, joliet[0], wide)
    yield from _name_differences("Joliet", wide, folders, files)
    names = ascii_names([*folders, *files])
    for volume in plain:
        narrow = _entries(read, volume)
        yield from _path_table_differences(read, volume, narrow)
        yield from _name_differences(
            "ISO 9660", narrow, [names[path] for path in folders], [names[path] for path in files]
        )
        for name in files:
            ours, theirs = wide.get(name), narrow.get(names[name])
            if ours and theirs and _place(ours) != _place(theirs):
                yield f"{name}: the two views point at different bytes"
    for path, file in tree.files():
        if record := wide.get(str(path)):
            payload = resolve(path, file, reveal)
            if record.length != payload.length:
                yield f"{path}: {record.length} bytes instead of {payload.length}"
                continue
            offset = record.block * SECTOR
            for block in payload.blocks():
                if read(offset, len(block)) != block:
                    yield f"{path}: the bytes differ after {offset - record.block * SECTOR}"
                    break
                offset += len(block)


def _place(record: Record) -> tuple[int, int]:
    """Where a file's bytes are; an empty file has none, wherever its record points."""
    return (record.block, record.length) if record.length else (0, 0)


def _entries(read: ReadAt, volume: Volume) -> dict[str, Record]:
    found: dict[str, Record] = {}
    for listing in read_directories(read, volume):
        for record in listing.records:
            if not record.special:
                if record.path in found:
                    raise FailedError(f"{record.path!r} is there twice")
                found[record.path] = record
    return found


def _path_table_differences(
    read: ReadAt, volume: Volume, entries: Mapping[str, Record]
) -> Iterator[str]:
    folders = {"": volume.root_block}
    folders |= {path: record.block for path, record in entries.items() if record.directory}
    for big in (False, True):
        if read_path_table(read, volume, big=big) != folders:
            yield f"a path table of the {'Joliet' if volume.joliet else 'ISO 9660'} side is wrong"


def _name_differences(
    view: str, found: Mapping[str, Record], folders: Sequence[str], files: Sequence[str]
) -> Iterator[str]:
    expected = dict.fromkeys(folders, True) | dict.fromkeys(files, False)
    for name in sorted(expected.keys() - found.keys()):
        yield f"{name} is missing from the {view} side"
    for name in sorted(found.keys() - expected.keys()):
        yield f"{name!r} is on the {view} side and should not be"
    for name, folder in expected.items():
        if name in found and folder != found[name].directory:
            yield f"{name} is a {'file' if folder else 'folder'} on the {view} side"
