"""Writes a tree as a small disc: ISO 9660:1999 (interchange level 4) with Joliet level 3.

The one door to pycdlib. No UDF, no Rock Ridge, no clock, no random numbers, no time zone: the
dates that pycdlib takes from the clock are overwritten in the finished bytes (decision 0002).
"""

from __future__ import annotations

import io
import re
import struct
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, cast

import pycdlib
from pycdlib.pycdlibexception import PyCdlibException

from provisioner.errors import FailedError, Problem, ProfileError
from provisioner.image.content import BLOCK, Payload, PayloadReader, Reveal, resolve
from provisioner.image.names import DISC, ascii_names, find_problems, folders_of
from provisioner.image.output import refuse_source, replacing
from provisioner.image.records import SECTOR, read_directories, read_volumes
from provisioner.tree import HostFile, Slice, Tree

IN_MEMORY = 4 * 1024 * 1024
"""Discs with less content than this are made in memory and written at once."""

_LABEL = re.compile(r"[A-Za-z0-9_-]{1,16}")
_LAST_EPOCH = 5_869_583_999  # 2155-12-31 23:59:59, the last year of a directory record (9.1.5)
_RECORD_DATE = 18
_ROOT_RECORD = 156
_VOLUME_DATES = 813
_SHARED_FIELDS = ((80, 88), (132, 190))  # volume size; path tables and root record (8.4.8, 8.4.14)


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
    folders = folders_of(tree)
    names = ascii_names([*folders, *payloads])
    dates = _file_dates(tree, names, epoch)
    content = sum(_whole_sectors(payload.length) for payload in payloads.values())
    if content < IN_MEMORY:
        image = io.BytesIO()
        _master(image, folders, payloads, names=names, label=label)
        _pin(image, epoch, dates)
        with image.getbuffer() as data, replacing(destination, needed=len(data), mode=mode) as out:
            out.write(data)
    else:
        needed = content + _overhead(len(folders), len(payloads))
        with replacing(destination, needed=needed, mode=mode) as out:
            _master(out, folders, payloads, names=names, label=label)
            _pin(out, epoch, dates)


def _master(
    out: BinaryIO,
    folders: Sequence[str],
    payloads: Mapping[str, Payload],
    *,
    names: Mapping[str, str],
    label: str,
) -> None:
    """Lets pycdlib write the image; `names` are the paths' names on the ISO 9660 side."""
    disc = pycdlib.PyCdlib()
    try:
        disc.new(interchange_level=4, joliet=3, vol_ident=label, app_ident_str="PROVISIONER")
        for path in folders:
            disc.add_directory(f"/{names[path]}", joliet_path=f"/{path}")
        for path, payload in payloads.items():
            source = cast(BinaryIO, PayloadReader(payload))  # pycdlib only seeks and reads
            disc.add_fp(source, payload.length, f"/{names[path]}", joliet_path=f"/{path}")
        disc.write_fp(out, blocksize=BLOCK)
        disc.close()
    except (PyCdlibException, struct.error, IndexError, ValueError) as err:
        # All that pycdlib was seen to raise (libvirt.md §3.2a); its own words stay in the
        # traceback. OSError and ours are not among them and pass.
        raise FailedError(
            "the disc could not be laid out",
            hint="this is a defect of provisioner or pycdlib; `--debug` shows where",
        ) from err


def _pin(out: BinaryIO, epoch: int, files: Mapping[tuple[bool, str], bytes]) -> None:
    """Overwrites every date of a finished image: descriptors, and records of both views.

    Also gives the enhanced descriptor the primary one's sizes and root record, which pycdlib
    1.22 leaves at one sector when the root folder needs more.
    """

    def read(offset: int, length: int) -> bytes:
        out.seek(offset)
        return out.read(length)

    date = _record_date(epoch)
    stamp = time.strftime("%Y%m%d%H%M%S00", time.gmtime(epoch)).encode() + b"\0"
    unset = b"0" * 16 + b"\0"
    primary, *others = read_volumes(read)
    for volume in (primary, *others):
        if volume is not primary and not volume.joliet:
            for start, end in _SHARED_FIELDS:
                shared = read(primary.offset + start, end - start)
                out.seek(volume.offset + start)
                out.write(shared)
        else:
            for listing in read_directories(read, volume):
                data = bytearray(listing.data)
                for record in listing.records:
                    start = record.position + _RECORD_DATE
                    data[start : start + 7] = files.get((volume.joliet, record.path), date)
                out.seek(listing.offset)
                out.write(data)
        out.seek(volume.offset + _ROOT_RECORD + _RECORD_DATE)
        out.write(date)
        out.seek(volume.offset + _VOLUME_DATES)
        out.write(stamp + stamp + unset + unset)  # creation, modification, expiration, effective


def _file_dates(
    tree: Tree, names: Mapping[str, str], epoch: int
) -> Mapping[tuple[bool, str], bytes]:
    """Dates of the files that have their own, by view (is it Joliet?) and path."""
    dates: dict[tuple[bool, str], bytes] = {}
    for path, file in tree.files():
        if file.modified is not None and file.modified < epoch:
            date = _record_date(max(file.modified, 0))
            dates[True, str(path)] = date
            dates[False, names[str(path)]] = date
    return dates


def _record_date(seconds: int) -> bytes:
    """Seven bytes, UTC (ECMA-119 9.1.5). `time.gmtime` of an argument reads no clock."""
    year, month, day, hour, minute, second = time.gmtime(seconds)[:6]
    return bytes((year - 1900, month, day, hour, minute, second, 0))


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


def _whole_sectors(length: int) -> int:
    return -(-length // SECTOR) * SECTOR


def _overhead(folders: int, files: int) -> int:
    """A generous guess at descriptors, path tables and both directory trees, in bytes."""
    return 128 * 1024 + 4 * SECTOR * folders + 512 * files
