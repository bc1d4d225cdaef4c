"""Writes a tree as a small disc: ISO 9660:1999 (interchange level 4) with Joliet level 3.

No UDF, no Rock Ridge, no clock, no random numbers, no time zone (decision 0002).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from provisioner.errors import Problem, ProfileError
from provisioner.image.answer_side import AnswerSide
from provisioner.image.content import Payload, Reveal, resolve
from provisioner.image.iso_records import terminator, volume_descriptor
from provisioner.image.names import DISC, ascii_names, find_problems, folders_of
from provisioner.image.output import refuse_source, replacing
from provisioner.image.records import SECTOR
from provisioner.tree import HostFile, Slice, Tree

_LABEL = re.compile(r"[A-Za-z0-9_-]{1,16}")
_LAST_EPOCH = 5_869_583_999  # 2155-12-31 23:59:59, the last year of a directory record (9.1.5)
_STRUCTURE_VERSION = 881  # 8.4.31
_FIRST_FREE = 21
"""Behind four descriptors and the block for a version descriptor that pycdlib and genisoimage
leave there."""


def write_iso(
    tree: Tree, destination: Path, *, label: str, epoch: int, reveal: Reveal, mode: int = 0o600
) -> None:
    """Writes `tree` to `destination`, which appears whole or not at all.

    `label`: 1 to 16 letters, digits, `_` or `-` (Joliet's volume identifier holds 16).
    `epoch`: seconds since 1970; all dates are this one, or a file's own when that is earlier.
    Same tree, same revealed secrets, same label and epoch: same bytes.
    Raises ProfileError with every name or size a disc cannot hold, RefusedError where a source
    lies at `destination`, HostError where the folder is unusable or full, and FailedError where
    reading a source or writing fails.
    """
    problems = [*_argument_problems(label, epoch), *find_problems(tree, DISC)]
    if problems:
        raise ProfileError(problems)
    for _, file in tree.files():
        for part in file.content:
            if isinstance(part, HostFile | Slice):
                refuse_source(destination, part.path if isinstance(part, HostFile) else part.image)
    payloads = {str(path): resolve(path, file, reveal) for path, file in tree.files()}
    head, order, blocks = _lay_out(tree, payloads, label=label, epoch=epoch)
    size = blocks * SECTOR
    # What a machine is made from is made again where a power cut took it (decision 0002).
    with replacing(destination, needed=size, mode=mode, lasting=False) as out:
        out.write(head)
        for path in order:
            for block in payloads[path].blocks():
                out.write(block)
            out.write(bytes(-payloads[path].length % SECTOR))


def _lay_out(
    tree: Tree, payloads: Mapping[str, Payload], *, label: str, epoch: int
) -> tuple[bytes, Sequence[str], int]:
    """All that stands before the content, the files in the order of theirs, and the disc's blocks.

    Each file has a place of its own, also where two hold the same; an empty one has none.
    """
    folders = folders_of(tree)
    names = ascii_names([*folders, *payloads])
    sides = (
        AnswerSide(folders, payloads, lambda path: _last(names[path]).encode("ascii")),
        AnswerSide(folders, payloads, lambda path: _last(path).encode("utf-16-be")),
    )
    block = _FIRST_FREE
    for side in sides:
        block = side.place_tables(block)
    for side in sides:
        block = side.place_folders(block)
    content = block
    places: dict[str, tuple[int, int]] = {}
    order = [path for path in sides[0].files if payloads[path].length]
    for path in order:
        places[path] = block, payloads[path].length
        block += -(-payloads[path].length // SECTOR)
    places |= {path: (0, 0) for path in payloads if path not in places}
    dates = _file_dates(tree, epoch)
    primary, joliet = (
        volume_descriptor(
            label=label,
            blocks=block,
            root=side.root(epoch),
            path_table=side.tables(),
            recorded=epoch,
            joliet=side is sides[1],
        )
        for side in sides
    )
    head = bytearray(content * SECTOR)
    for number, data in (
        (16, primary + _enhanced(primary) + joliet + terminator()),
        *(piece for side in sides for piece in side.pieces(places, date=epoch, dates=dates)),
    ):
        head[number * SECTOR : number * SECTOR + len(data)] = data
    return bytes(head), order, block


def _enhanced(primary: bytes) -> bytes:
    """The enhanced descriptor of interchange level 4: the same under another type and version
    (ECMA-119 8.5.1, 8.5.3, 8.5.31), so that readers who prefer it find the same root."""
    data = bytearray(primary)
    data[0] = data[6] = data[_STRUCTURE_VERSION] = 2
    return bytes(data)


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _file_dates(tree: Tree, epoch: int) -> Mapping[str, int]:
    """The files that have a date of their own, in seconds since 1970."""
    return {
        str(path): max(file.modified, 0)
        for path, file in tree.files()
        if file.modified is not None and file.modified < epoch
    }


def _argument_problems(label: str, epoch: int) -> list[Problem]:
    problems = []
    if not _LABEL.fullmatch(label):
        problems.append(
            Problem(
                message=f"{label!r} cannot be the label of a disc",
                rule="disc.label",
                hint="use 1 to 16 letters, digits, _ or -",
            )
        )
    if not 0 <= epoch <= _LAST_EPOCH:
        problems.append(
            Problem(
                message=f"{epoch} is not a date a disc can hold (1970 to 2155)",
                rule="disc.epoch",
                hint="SOURCE_DATE_EPOCH counts seconds since 1970",
            )
        )
    return problems
