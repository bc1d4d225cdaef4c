"""A raw image of a stick or disk: its partitions, and the files of its FAT volume.

Other file systems are recognised by name and label only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from provisioner.frozen import frozen
from provisioner.media.facts import Extent, Partition
from provisioner.media.fat import is_fat, read_fat
from provisioner.media.partitions import read_partitions
from provisioner.media.volumes import recognise
from provisioner.media.walk import Listing, collect
from provisioner.media.window import Damaged, Window

_HEAD = 34 * 512
_MAX_VOLUMES = 16
_INSTALL = tuple(f"sources/install.{suffix}" for suffix in ("wim", "esd", "swm"))


@frozen
class DiskImage:
    """What is on a raw image. `files` and `label` are those of the volume that Setup would use.

    `scheme` is None for a volume without a partition table. `raw` identifies the image.
    """

    scheme: str | None
    partitions: tuple[Partition, ...]
    filesystems: tuple[str, ...]
    label: str
    files: Mapping[str, tuple[Extent, ...]]
    evidence: tuple[str, ...]
    remarks: tuple[str, ...]
    raw: bytes


def read_disk_image(window: Window) -> DiskImage | None:
    """The image's partitions and files; None where there is neither table nor volume.

    Damage inside a volume is a remark: the table is worth knowing all the same.
    """
    start = window.read_up_to(0, 512)
    remarks: list[str] = []
    table = None if is_fat(start) else read_partitions(window)
    if table is None:
        whole = recognise(window, 0)
        if whole is None:
            return None
        scheme = None
        partitions: tuple[Partition, ...] = (
            Partition(
                number=0,
                kind="no partition table",
                name="",
                offset=0,
                length=window.size,
                active=False,
                filesystem=whole.filesystem,
                label=whole.label,
            ),
        )
        evidence = f"it is a {whole.filesystem} volume without a partition table"
    else:
        scheme = table.scheme
        remarks += table.remarks
        partitions = tuple(_recognised(window, partition) for partition in table.partitions)
        count = len(partitions)
        evidence = f"it has {_article(scheme)} with {count} partition{'s' if count != 1 else ''}"
    for partition in partitions:
        if partition.offset + partition.length > window.size:
            missing = partition.offset + partition.length - window.size
            remarks.append(
                f"partition {partition.number} goes on {missing:,} bytes past the end of the image:"
                " it is truncated"
            )
    chosen, listing = _richest(window, partitions, remarks)
    label = chosen.label if chosen else next((p.label for p in partitions if p.label), "")
    if listing:
        remarks += listing.remarks
    return DiskImage(
        scheme=scheme,
        partitions=partitions,
        filesystems=tuple(dict.fromkeys(p.filesystem for p in partitions if p.filesystem)),
        label=label,
        files=listing.files if listing else {},
        evidence=(evidence,),
        remarks=tuple(remarks),
        raw=window.read_up_to(0, _HEAD)
        + b"".join(window.read_up_to(p.offset, 512) for p in partitions[:_MAX_VOLUMES]),
    )


def _article(scheme: str) -> str:
    return "an MBR" if scheme == "MBR" else f"a {scheme}"


def _recognised(window: Window, partition: Partition) -> Partition:
    found = recognise(window, partition.offset)
    if found is None:
        return partition
    return replace(partition, filesystem=found.filesystem, label=found.label)


def _richest(
    window: Window, partitions: tuple[Partition, ...], remarks: list[str]
) -> tuple[Partition | None, Listing | None]:
    """The FAT volume with Windows on it, else the one with most files."""
    found: list[tuple[Partition, Listing]] = []
    for partition in [p for p in partitions if p.filesystem.startswith("FAT")][:_MAX_VOLUMES]:
        try:
            listing = collect(read_fat(window, partition.offset), window)
        except Damaged as err:
            remarks.append(f"the {partition.filesystem} volume is damaged: {err.message}")
            continue
        found.append((partition, listing))

    def worth(item: tuple[Partition, Listing]) -> tuple[bool, int]:
        names = {path.casefold() for path in item[1].files}
        return any(name in names for name in _INSTALL), len(names)

    return max(found, key=worth) if found else (None, None)
