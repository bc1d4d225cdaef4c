"""The undo capsule: what was on a stick where the first steps of a write change it.

It is whole on the host's disk before the first byte is written, and it is marked as expired, on
the disk as well, before a byte is written that it does not hold. So wherever the power fails, a
valid capsule gives the stick back as it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from provisioner.errors import FailedError, HostError
from provisioner.host.disk import BLOCK
from provisioner.host.files import appearing, os_error, private_folder, write_file
from provisioner.usb.device import Device, write_out
from provisioner.usb.devices import Disk
from provisioner.usb.gates import GateError
from provisioner.usb.spans import MIB, SECTOR, Span, clipped, covers

HEAD = 32 * MIB
TAIL = 2 * MIB
PARTITION_HEAD = 64 * 1024
"""What is kept of the beginning of every partition: its file system's own head."""

_MARK = b"PROVISIONER: THIS STICK IS NOT FINISHED\n"
_TAIL = b"\nNOT FINISHED\n\0\0"
"""Where a boot sector has its signature, so that a sector that was torn while it was written over
the marker has none, and is known by this end."""


@dataclass(slots=True)
class Capsule:
    """One stick's capsule in a folder of its own. `name` identifies it on the stick too."""

    folder: Path
    name: str
    proof: str
    size: int
    spans: tuple[Span, ...]
    digest: str
    expired: bool = False

    def holds(self, offset: int, length: int) -> bool:
        """Whether a write there can be undone."""
        return not self.expired and covers(self.spans, offset, length)

    def expire(self) -> None:
        """The point of no return. Returns when that is on the host's disk."""
        if not self.expired:
            self.note(expired=True)
            self.expired = True

    def put_back(self, device: Device) -> None:
        """Writes everything back, the first sector last, and reads it again. OSError where the
        stick does not take it, FailedError where it does not keep it."""
        first = b""
        with (self.folder / "blocks").open("rb") as file:
            for offset, length in self.spans:
                for at in range(offset, offset + length, BLOCK):
                    data = file.read(min(BLOCK, offset + length - at))
                    if at == 0:
                        first, data, at = data[:SECTOR], data[SECTOR:], SECTOR
                    write_out(device, at, data)
        device.flush()
        if first:
            write_out(device, 0, first)
            device.flush()
        device.forget()
        digest = hashlib.sha256()
        for offset, length in self.spans:
            for at in range(offset, offset + length, BLOCK):
                digest.update(device.read(at, min(BLOCK, offset + length - at)))
        if digest.hexdigest() != self.digest:
            raise FailedError(
                "the stick did not keep what was put back",
                hint=f"the old contents are still in {self.folder}; try another port, then "
                "`provisioner usb restore --undo` again",
            )
        device.reread_table()

    def remove(self) -> None:
        """Forgets it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def marker(self, word: str = "") -> bytes:
        """The first sector of a stick that is being written: no partition table, and words."""
        text = _MARK + f"{self.name}\n{word}".encode()
        return text.ljust(SECTOR - len(_TAIL), b"\0") + _TAIL

    def matches(self, sector: bytes) -> bool:
        """Whether a stick's first sector is as the write that made this capsule left it: the
        marker, or, torn by a power failure, its beginning before what was there.

        What was there, whole, does not match: nothing has changed then, or somebody has used the
        stick since, and what the capsule holds is of the past."""
        with (self.folder / "blocks").open("rb") as file:
            old = file.read(SECTOR)  # the first span begins at 0
        marker = self.marker()
        torn = (marker[:cut] + old[cut:] for cut in range(1, SECTOR + 1))
        return sector != old and sector in torn

    def note(self, *, expired: bool) -> None:
        """Writes down what the blocks are, and whether they still give the stick back."""
        members = {
            "name": self.name,
            "proof": self.proof,
            "size": self.size,
            "spans": self.spans,
            "digest": self.digest,
            "expired": expired,
        }
        write_file(self.folder / "capsule.json", json.dumps(members).encode())


def unfinished(sector: bytes) -> bool:
    """Whether a stick's first sector says that a write of it did not come to its end."""
    return sector.startswith(_MARK) or sector[-len(_TAIL) :] == _TAIL


def wanted_spans(disk: Disk, more: tuple[Span, ...], *, head: int, tail: int) -> tuple[Span, ...]:
    """What a capsule of this disk has to hold: head, tail, heads of partitions, and `more`."""
    heads = tuple((part.offset, PARTITION_HEAD) for part in disk.partitions)
    return clipped(((0, head), (disk.size - tail, tail), *heads, *more), disk.size)


def find(sector: bytes, disk: Disk, state: Path) -> Capsule | None:
    """The capsule that gives back what a stick with this first sector held, if an interrupted
    write left one. Sticks may share a serial; the marker on the stick says which is its own."""
    for found in _of(disk, state):
        if not found.expired and found.matches(sector):
            return found
    return None


def _of(disk: Disk, state: Path) -> Iterator[Capsule]:
    for folder in sorted((state / "usb").glob(f"{_safe(disk)}-*")):
        found = load(folder)
        if found is not None and (found.proof, found.size) == (disk.proof, disk.size):
            yield found


def save(device: Device, disk: Disk, state: Path, spans: tuple[Span, ...]) -> Capsule:
    """Makes a capsule below the state folder, or takes the one that an interrupted write of this
    stick left, as long as it holds what is needed. GateError where it cannot be kept: then nothing
    may be written."""
    old = None
    with suppress(OSError):  # told below, where all of it is read
        old = find(device.read(0, SECTOR), disk, state)
    if old is not None and all(covers(old.spans, *span) for span in spans):
        return old
    for useless in _of(disk, state):
        if useless.expired:  # left by a write that was killed; it holds what somebody's stick held
            useless.remove()
    name = secrets.token_hex(8)
    folder = state / "usb" / f"{_safe(disk)}-{name}"
    try:
        private_folder(folder.parent)
        private_folder(folder)
        digest = hashlib.sha256()
        with (
            appearing(folder / "blocks") as temporary,
            temporary.open("wb", buffering=0) as file,
            ThreadPoolExecutor(1) as keeper,
        ):
            written = keeper.submit(lambda: None)
            for data in _pieces(device, spans):
                written.result()  # while the next piece is read, so that two are in memory at most
                written = keeper.submit(_keep, file, digest, data)
            written.result()
        capsule = Capsule(
            folder=folder,
            name=name,
            proof=disk.proof,
            size=disk.size,
            spans=spans,
            digest=digest.hexdigest(),
        )
        capsule.note(expired=False)
    except BaseException as err:
        shutil.rmtree(folder, ignore_errors=True)
        match err:
            case GateError():
                raise
            case OSError():
                raise _refused(os_error(err, "write it").message, _ROOM) from err
            case HostError() | FailedError():
                raise _refused(err.message, _ROOM) from err
        raise
    return capsule


def _keep(file: FileIO, digest: hashlib._Hash, data: bytes) -> None:
    digest.update(data)
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
    if len(data) == BLOCK:
        os.fdatasync(file.fileno())  # by now, beside the reading, and not all at the end


def _safe(disk: Disk) -> str:
    return re.sub(r"[^A-Za-z0-9._]", "_", disk.proof).strip(".") or "stick"


def _pieces(device: Device, spans: tuple[Span, ...]) -> Iterator[bytes]:
    """What the capsule is to hold. GateError where the stick does not give it."""
    for offset, length in spans:
        for at in range(offset, offset + length, BLOCK):
            count = min(BLOCK, offset + length - at)
            try:
                data = device.read(at, count)
            except OSError as err:
                data, reason = b"", err.strerror or str(err)
            else:
                reason = "it ends before"
            if len(data) != count:
                raise _refused(f"the stick cannot be read at byte {at}: {reason}", _SOUND)
            yield data


def load(folder: Path) -> Capsule | None:
    """The capsule of a folder; None where there is none, or not all of it."""
    try:
        members = json.loads((folder / "capsule.json").read_bytes())
        capsule = Capsule(
            folder=folder,
            name=str(members["name"]),
            proof=str(members["proof"]),
            size=int(members["size"]),
            spans=tuple((int(offset), int(length)) for offset, length in members["spans"]),
            digest=str(members["digest"]),
            expired=bool(members["expired"]),
        )
        digest = hashlib.sha256()
        with (folder / "blocks").open("rb") as file:
            while data := file.read(BLOCK):
                digest.update(data)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return capsule if digest.hexdigest() == capsule.digest else None


_ROOM = "it needs some 40 MB below the state folder"
_SOUND = "plug it in again, at another port; a stick that cannot be read should not be trusted"


def _refused(reason: str, hint: str) -> GateError:
    return GateError(
        f"the undo capsule cannot be kept, so nothing is written: {reason}",
        rule="usb.capsule",
        hint=hint,
    )
