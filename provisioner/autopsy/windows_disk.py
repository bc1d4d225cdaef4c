"""Reads what Windows and its Setup left on a disk, offline: logs, cached answers, image state.

The disk may be in use, half-written, damaged or hostile: what cannot be read becomes a remark.
Where the logs lie: docs/facts/windows-setup.md §9 and §11.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from provisioner.autopsy.case import Document, Kind
from provisioner.autopsy.text import joined_text
from provisioner.errors import HostError, ProvisionerError
from provisioner.host.disk_chain import Layer, disk_chain
from provisioner.host.disk_export import exported
from provisioner.host.excerpt import Bounds
from provisioner.host.guestfish import appliance, has_guestfish
from provisioner.host.ntfs import Volume, ntfs_volume
from provisioner.media.facts import Partition
from provisioner.media.partitions import read_partitions
from provisioner.media.volumes import recognise
from provisioner.media.window import opened

MOST_PARTITIONS = 32
MOST_VOLUMES = 8
MOST_FILES = 64
"""Files of one folder that are read; our own folder has one for each step."""
OF_MANY = Bounds(head=64 << 10, tail=192 << 10, most=64 << 20, seconds=10)
"""What is read of each of them."""
LONGEST = 90.0
"""Seconds for one volume; a healthy one takes one."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._()-]{0,99}")

_LOGS = ("setuperr.log", "setupact.log")
PLACES: tuple[tuple[Kind, str, tuple[str, ...]], ...] = (
    (Kind.SETUP, "Windows/Panther", _LOGS),
    (Kind.SETUP, "Windows/Panther/UnattendGC", _LOGS),
    (Kind.SETUP, "$WINDOWS.~BT/Sources/Panther", _LOGS),
    (Kind.SETUP, "$WINDOWS.~BT/Sources/Rollback", _LOGS),
    (Kind.SETUP, "Windows", _LOGS),
    (Kind.SYSPREP, "Windows/System32/Sysprep/Panther", _LOGS),
    (Kind.STATE, "Windows/Setup/State", ("State.ini",)),
    (Kind.JOIN, "Windows/debug", ("NetSetup.LOG",)),
    (Kind.DRIVERS, "Windows/INF", ("setupapi.dev.log", "setupapi.setup.log")),
    (Kind.ANSWERS, "Windows/Panther/Unattend", ("unattend.xml",)),
    (Kind.ANSWERS, "Windows/Panther", ("unattend.xml", "unattend-original.xml")),
    (Kind.ANSWERS, "Windows/System32/Sysprep", ("unattend.xml",)),
    (Kind.ANSWERS, "", ("unattend.xml", "autounattend.xml")),
    (Kind.STEPS, "ProgramData/provisioner", ()),
    (Kind.STEPS, "ProgramData/provisioner/steps", ()),
)
"""Kind, folder, names; no names means every file."""


@dataclass(slots=True)
class DiskReport:
    """What a disk gave. `layout` has one line for each partition."""

    documents: list[Document] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    layout: list[str] = field(default_factory=list)


def read_disk(path: Path, *, declared: str | None, prefix: str = "") -> DiskReport:
    """Everything worth reading on a disk image, its backing files included.

    `declared` is the format that the domain states, None to look; `prefix` goes before the names of
    the documents. Never raises for what is on the disk.
    """
    report = DiskReport()
    try:
        layers = disk_chain(path, declared)
        report.layout.append(" over ".join(f"{layer.path} ({layer.driver})" for layer in layers))
        try:
            _by_export(layers, prefix, report)
        except HostError:
            if not has_guestfish():
                raise
            _by_guestfish(layers, prefix, report)
    except ProvisionerError as err:
        hint = f" ({err.hint})" if err.hint else ""
        report.remarks.append(f"{path} could not be read: {err.message}{hint}")
    except OSError as err:
        report.remarks.append(f"{path} could not be read: {err.strerror or err}")
    if not report.documents and not report.remarks:
        report.remarks.append(f"no Windows was found on {path.name}")
    return report


def _by_export(layers: tuple[Layer, ...], prefix: str, report: DiskReport) -> None:
    """Through FUSE, in a fraction of a second. HostError where this host cannot."""
    partitions = _partitions(layers, report)
    volumes = [each for each in partitions if each.filesystem == "NTFS"][:MOST_VOLUMES]
    if not volumes:
        _say_no_volume(report)
        return
    ranges = [(volume.offset, volume.length) for volume in volumes]
    with exported(layers, ranges) as images:
        for volume, image in zip(volumes, images, strict=True):
            place = _place(prefix, volume.number)
            report.documents += _documents(ntfs_volume(image), place, report)


def _by_guestfish(layers: tuple[Layer, ...], prefix: str, report: DiskReport) -> None:
    """Through libguestfs, in a minute or so."""
    del report.layout[1:]
    with appliance(layers) as reader:
        found = reader.volumes()
        report.layout += [f"{each.device}: {each.filesystem}" for each in found[:MOST_PARTITIONS]]
        volumes = [each for each in found if each.filesystem == "ntfs"][:MOST_VOLUMES]
        for volume in volumes:
            reader.mount(volume)
            report.documents += _documents(reader, _place(prefix, volume.number), report)
    if not volumes:
        _say_no_volume(report)


def _say_no_volume(report: DiskReport) -> None:
    if not report.remarks:
        report.remarks.append("the disk holds no NTFS volume: Setup has written nothing")


def _place(prefix: str, number: int) -> str:
    return f"{prefix}p{number}" if number else f"{prefix}volume"


def _partitions(layers: tuple[Layer, ...], report: DiskReport) -> list[Partition]:
    """The partitions with their file systems; a disk without a table is one volume."""
    with exported(layers, [None]) as (disk,), opened(disk) as window:
        table = read_partitions(window)
        if table is None:
            found: tuple[Partition, ...] = (
                Partition(
                    number=0, kind="whole disk", name="", offset=0, length=window.size, active=False
                ),
            )
        else:
            found = table.partitions
            report.remarks += table.remarks
        named = []
        for partition in found[:MOST_PARTITIONS]:
            length = min(partition.length, window.size - partition.offset) // 512 * 512
            if length <= 0:
                continue
            volume = recognise(window, partition.offset)
            system = volume.filesystem if volume else ""
            label = f" {volume.label!r}" if volume and volume.label else ""
            report.layout.append(
                f"partition {partition.number}: {partition.kind}, {length >> 20} MiB, "
                f"{system or 'nothing known in it'}{label}"
            )
            if system == "BitLocker":
                report.remarks.append(
                    f"partition {partition.number} is encrypted with BitLocker and cannot be read"
                )
            named.append(replace(partition, length=length, filesystem=system))
        return named


def _documents(volume: Volume, place: str, report: DiskReport) -> Iterator[Document]:
    folders = _Folders(volume)
    deadline = time.monotonic() + LONGEST
    for kind, folder, names in PLACES:
        real = folders.find(folder)
        if real is None:
            continue
        present = folders.names(real)
        wanted = {name.lower() for name in names}
        chosen = [
            name
            for name in present
            if (name.lower() in wanted if wanted else not name.endswith("/"))
        ]
        for name in dict.fromkeys(chosen[:MOST_FILES]):
            path = f"{real}/{name}" if real else name
            if time.monotonic() > deadline:
                report.remarks.append(
                    f"reading took over {LONGEST:.0f} s and was given up at {path}"
                )
                return
            if not _NAME.fullmatch(name):
                report.remarks.append(f"a file in {folder} has a name that is not taken over")
                continue
            try:
                excerpt = volume.read(path, Bounds() if wanted else OF_MANY)
            except ProvisionerError as err:
                if wanted:
                    report.remarks.append(f"{path} could not be read: {err.message}")
                continue
            if b"\0\0\0\0" in excerpt.head[:512] and wanted == set():
                continue  # binary: somebody's download, not a log
            yield Document(
                kind=kind,
                name=f"logs/{place}/{path}",
                origin=f"{path} on {place}",
                text=joined_text(excerpt.head, excerpt.tail, excerpt.size),
                size=excerpt.size,
                cut=not excerpt.whole,
            )
        if len(chosen) > MOST_FILES:
            report.remarks.append(f"{folder} holds {len(chosen)} files; {MOST_FILES} were read")


class _Folders:
    """Finds folders whatever their case; Windows does not tell, and NTFS does."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._names: dict[str, tuple[str, ...]] = {}

    def names(self, folder: str) -> tuple[str, ...]:
        """What a folder, by its exact name, holds."""
        if folder not in self._names:
            self._names[folder] = self._volume.names(folder)
        return self._names[folder]

    def find(self, folder: str) -> str | None:
        """The exact name of a folder; None where it is not there."""
        real = ""
        for part in filter(None, folder.split("/")):
            there = (name.removesuffix("/") for name in self.names(real))
            match = next((name for name in there if name.lower() == part.lower()), None)
            if match is None:
                return None
            real = f"{real}/{match}" if real else match
        return real
