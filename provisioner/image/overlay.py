"""Writes a small qcow2 file over an untouched image: a few changed bytes, the rest from the base.

Format: QEMU, docs/interop/qcow2.rst (qcow2.txt before QEMU 10), version 3. No QEMU program is
used. Only the clusters that a patch touches are stored; all tables are sparse.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import BinaryIO

from provisioner.errors import FailedError, HostError, MediaError
from provisioner.frozen import frozen
from provisioner.image.content import opened_untouched
from provisioner.image.output import refuse_source, replacing

CLUSTER = 4096
"""Bytes per cluster. For a DVD of 6 GiB this is the size that makes the smallest file: 44 KiB,
24 KiB of them stored (64 KiB clusters: 384 KiB; 512 bytes: 1.5 MB, facts/libvirt.md §6)."""

_CLUSTER_BITS = 12
_PER_TABLE = CLUSTER // 8  # entries of an L2 table, and of one cluster of the refcount table
_PER_REFCOUNT_BLOCK = CLUSTER // 2  # refcounts of 16 bits
_MAGIC = b"QFI\xfb"
_HEADER = struct.Struct(">4sIQIIQIIQQIIQQQQII")  # bytes 0 to 103
_BACKING_FORMAT = 0xE2792ACA
_COPIED = 1 << 63  # the cluster's refcount is exactly one
_OFFSET_MASK = 0x00FFFFFFFFFFFE00
_LONGEST_NAME = 1023
_LARGEST_L1 = 32 * 1024 * 1024  # QEMU's limit, in bytes


@frozen
class Patch:
    """Bytes that replace those of the base at `offset` (in bytes)."""

    offset: int
    data: bytes = field(repr=False)

    @property
    def end(self) -> int:
        """The offset behind the last byte."""
        return self.offset + len(self.data)


def write_overlay(
    base: Path,
    destination: Path,
    patches: Sequence[Patch],
    *,
    base_format: str = "raw",
    size: int | None = None,
    mode: int = 0o644,
) -> None:
    """Writes a qcow2 image at `destination` that reads as `base` with the patches applied.

    `base` is opened for reading only and named by its absolute path; its size must be a multiple
    of 512 bytes and becomes the virtual size, unless `size` is larger: then zeros follow the base,
    for patches to lie in. `base_format` must be `raw`: the bytes around
    a patch are taken from the file as they lie. Patches must not overlap or leave the base
    (ValueError: the caller made them up). The file is read back before it gets its name.
    Raises MediaError for a base that is no image, RefusedError where `destination` is the base,
    HostError or FailedError where reading or writing fails.
    """
    if base_format != "raw":
        raise ValueError(f"an overlay needs a raw base, not {base_format}")
    base = base.absolute()
    refuse_source(destination, base)
    name = os.fsencode(base)
    if len(name) > _LONGEST_NAME:
        raise HostError(
            f"the path of {base.name} has {len(name)} bytes; qcow2 takes {_LONGEST_NAME}",
            hint="move the file to a shorter path, or make a symbolic link to it",
        )
    with opened_untouched(base) as (descriptor, _):
        length = os.lseek(descriptor, 0, os.SEEK_END)
        if length % 512 or not length:
            raise MediaError(
                f"{base} has {length} bytes, which is not a whole number of 512-byte sectors",
                hint="the file looks truncated: fetch it again",
            )
        size = max(length, size or 0)
        if size % 512:
            raise ValueError(f"{size} is not a whole number of 512-byte sectors")
        clusters = _patched_clusters(descriptor, size, patches)
        with replacing(destination, needed=_most_bytes(size, len(clusters)), mode=mode) as out:
            _write_image(out, name, size, clusters)
            out.flush()
            _require_equal(out.fileno(), descriptor, size, patches, clusters)


def _patched_clusters(base: int, size: int, patches: Sequence[Patch]) -> dict[int, bytearray]:
    """Number of every touched cluster, ascending, and its bytes; zeros beyond the base's end."""
    clusters: dict[int, bytearray] = {}
    last = 0
    for patch in sorted(patches, key=lambda patch: patch.offset):
        if not last <= patch.offset < patch.end <= size:
            raise ValueError(f"a patch of {len(patch.data)} bytes at {patch.offset} does not fit")
        last = patch.end
        for number in range(patch.offset // CLUSTER, (patch.end - 1) // CLUSTER + 1):
            start = number * CLUSTER
            if number not in clusters:
                data = _pread_base(base, min(CLUSTER, size - start), start)
                clusters[number] = bytearray(data.ljust(CLUSTER, b"\0"))
            low, high = max(patch.offset, start), min(patch.end, start + CLUSTER)
            new = patch.data[low - patch.offset : high - patch.offset]
            clusters[number][low - start : high - start] = new
    return clusters


def _write_image(out: BinaryIO, name: bytes, size: int, clusters: Mapping[int, bytearray]) -> None:
    """Lays the file out as header, refcount table, refcount blocks, L1, L2 tables, data."""
    entries = -(-size // (CLUSTER * _PER_TABLE))
    if entries * 8 > _LARGEST_L1:
        raise MediaError(f"the base has {size} bytes, too many for an overlay with 4 KiB clusters")
    l1_clusters = -(-entries * 8 // CLUSTER)
    tables = dict.fromkeys((number // _PER_TABLE for number in clusters), 0)
    rest = 1 + l1_clusters + len(tables) + len(clusters)
    table_clusters, blocks = _refcount_clusters(rest)
    total = rest + table_clusters + blocks

    refcount_table = CLUSTER
    refcount_blocks = refcount_table + table_clusters * CLUSTER
    l1_table = refcount_blocks + blocks * CLUSTER
    l2_tables = l1_table + l1_clusters * CLUSTER
    data = l2_tables + len(tables) * CLUSTER

    extensions = struct.pack(">II8sII", _BACKING_FORMAT, 3, b"raw", 0, 0)
    header = _HEADER.pack(
        _MAGIC,
        3,
        _HEADER.size + len(extensions),
        len(name),
        _CLUSTER_BITS,
        size,
        0,  # no encryption
        entries,
        l1_table,
        refcount_table,
        table_clusters,
        0,  # no snapshots
        0,
        0,  # incompatible, compatible and autoclear features
        0,
        0,
        4,  # refcounts of 1 << 4 bits
        _HEADER.size,
    )
    out.truncate(total * CLUSTER)
    _put(out, 0, header + extensions + name)
    _put(
        out,
        refcount_table,
        struct.pack(f">{blocks}Q", *(refcount_blocks + i * CLUSTER for i in range(blocks))),
    )
    _put(out, refcount_blocks, b"\0\1" * total)
    for index, table in enumerate(tables):
        tables[table] = l2_tables + index * CLUSTER
        _put(out, l1_table + table * 8, _entry(tables[table]))
    for index, (number, content) in enumerate(clusters.items()):
        table, slot = divmod(number, _PER_TABLE)
        _put(out, tables[table] + slot * 8, _entry(data + index * CLUSTER))
        _put(out, data + index * CLUSTER, content)


def _refcount_clusters(rest: int) -> tuple[int, int]:
    """Clusters of the refcount table and of its blocks, which count themselves too."""
    table = blocks = 1
    while True:
        total = rest + table + blocks
        needed_blocks = -(-total // _PER_REFCOUNT_BLOCK)
        needed_table = -(-needed_blocks // _PER_TABLE)
        if needed_blocks <= blocks and needed_table <= table:
            return table, blocks
        table, blocks = max(table, needed_table), max(blocks, needed_blocks)


def _entry(offset: int) -> bytes:
    return (offset | _COPIED).to_bytes(8, "big")


def _put(out: BinaryIO, offset: int, data: bytes | bytearray) -> None:
    out.seek(offset)
    out.write(data)


def _most_bytes(size: int, clusters: int) -> int:
    """At most what the overlay takes on disk, were nothing of it sparse."""
    return CLUSTER * (16 + 2 * clusters + clusters // 1000) + size // (CLUSTER * _PER_TABLE) * 8


def _require_equal(
    overlay: int,
    base: int,
    size: int,
    patches: Sequence[Patch],
    clusters: Mapping[int, bytearray],
) -> None:
    """The patched view has the new bytes, and around them, in the same clusters, the base's."""
    for number in clusters:
        start = number * CLUSTER
        expected = bytearray(_pread_base(base, min(CLUSTER, size - start), start))
        for patch in patches:
            low, high = max(patch.offset, start), min(patch.end, start + len(expected))
            if low < high:
                new = patch.data[low - patch.offset : high - patch.offset]
                expected[low - start : high - start] = new
        if _read_view(overlay, base, start, len(expected)) != expected:
            raise FailedError(
                f"the overlay did not read back as written, at byte {start}",
                hint="try again; if it happens again, the storage is failing",
            )


def _read_header(overlay: int) -> tuple[int, int, int]:
    """Virtual size, offset and number of entries of the L1 table, as the file itself has them."""
    header = _pread(overlay, _HEADER.size, 0)
    fields = _HEADER.unpack(header) if len(header) == _HEADER.size else (b"",) * 18
    magic, version, _, _, bits, size, crypt, entries, l1_table = fields[:9]
    if (magic, version, bits, crypt, fields[13]) != (_MAGIC, 3, _CLUSTER_BITS, 0, 0):
        raise FailedError("the overlay's header did not read back as written")
    return size, l1_table, entries


def _read_view(overlay: int, base: int, offset: int, length: int) -> bytes:
    size, l1_table, entries = _read_header(overlay)
    parts: list[bytes] = []
    end = min(offset + length, size)
    while offset < end:
        number, inside = divmod(offset, CLUSTER)
        take = min(CLUSTER - inside, end - offset)
        first, second = divmod(number, _PER_TABLE)
        table = _table_entry(overlay, l1_table, first) if first < entries else 0
        cluster = _table_entry(overlay, table, second) if table else 0
        parts.append(
            _pread(overlay, take, cluster + inside) if cluster else _pread_base(base, take, offset)
        )
        offset += take
    return b"".join(parts)


def _table_entry(overlay: int, table: int, index: int) -> int:
    return int.from_bytes(_pread(overlay, 8, table + index * 8), "big") & _OFFSET_MASK


def _pread_base(base: int, length: int, offset: int) -> bytes:
    """Bytes of the base; behind its end there are zeros, as QEMU has it."""
    there = max(0, min(length, os.lseek(base, 0, os.SEEK_END) - offset))
    return (_pread(base, there, offset) if there else b"").ljust(length, b"\0")


def _pread(descriptor: int, length: int, offset: int) -> bytes:
    try:
        data = os.pread(descriptor, length, offset)
    except OSError as err:
        raise FailedError(f"cannot read at byte {offset}: {err.strerror}") from err
    if len(data) != length:
        raise FailedError(f"{length} bytes were expected at {offset}, {len(data)} came")
    return data
