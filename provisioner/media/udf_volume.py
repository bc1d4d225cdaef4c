"""Finds a UDF volume: recognition sequence, anchor, volume descriptors, partition.

ECMA-167 3rd edition (clause numbers below) as narrowed by OSTA UDF 1.02 to 2.60. What is
inside the partition is read by `udf`.
"""

from __future__ import annotations

import binascii
import struct

from provisioner.frozen import frozen
from provisioner.media.window import Damaged, Unsupported, Window

VDS_BLOCKS = 256
"""Most blocks of a volume descriptor sequence that are looked at; real ones have 16."""

_PRIMARY, _ANCHOR, _POINTER, _PARTITION, _LOGICAL, _TERMINATOR = 1, 2, 3, 5, 6, 8


@frozen
class Partition:
    """A run of blocks of the image; addresses in the file system count from its start."""

    start: int
    blocks: int


@frozen
class UdfVolume:
    """An opened volume. `revision` is binary coded decimal, 0x0102 for UDF 1.02.

    `raw` holds the volume descriptors as read, for the fingerprint; `file_set` is (partition
    reference, block) of the file set descriptor, which names the root; `declared` the end of the
    last partition in bytes. Nothing of the partition itself has been read yet.
    """

    label: str
    revision: int
    block: int
    partitions: tuple[Partition, ...]
    file_set: tuple[int, int]
    declared: int
    raw: bytes

    @property
    def name(self) -> str:
        """`UDF 1.02`: the revision's two parts are hexadecimal digits (UDF 2.60, 2.1.5.3)."""
        return f"UDF {self.revision >> 8:x}.{self.revision & 0xFF:02x}"

    def position(self, reference: int, number: int, length: int = 0) -> int:
        """Byte offset in the image of a block of a partition; `length` bytes must lie inside."""
        if not 0 <= reference < len(self.partitions):
            raise Damaged(
                f"{self.name}: a file refers to partition {reference}, which is not there"
            )
        partition = self.partitions[reference]
        if not 0 <= number < max(partition.blocks, 1) or (
            number * self.block + length > partition.blocks * self.block
        ):
            raise Damaged(f"{self.name}: block {number} lies outside partition {reference}")
        return (partition.start + number) * self.block


def recognised(window: Window) -> bool:
    """Whether a volume recognition sequence names UDF (2/8.3: NSR02, NSR03, from byte 32768)."""
    for number in range(16, 16 + 64):
        identifier = window.read_up_to(number * 2048 + 1, 5)
        if identifier in {b"NSR02", b"NSR03"}:
            return True
        if identifier not in {b"CD001", b"BEA01", b"BOOT2", b"CDW02", b"TEA01"}:
            return False
    return False


def read_volume(window: Window) -> UdfVolume:
    """The UDF volume of an image; `Damaged` says what is broken or not supported.

    Anchors are tried at blocks 256, N-256 and N (3/8.4.2.1) for blocks of 2048, 512 and 4096
    bytes; of the two descriptor sequences the reserve is used when the main one is damaged.
    """
    problem = Damaged(
        "the UDF anchor is missing: neither the start nor the end of the image has it"
    )
    for block in (2048, 512, 4096):
        last = window.size // block - 1
        for number in dict.fromkeys((256, last - 256, last)):
            try:
                anchor = tagged(window, number * block, number=number, identifiers={_ANCHOR})
            except Damaged:
                continue
            for length, start in struct.iter_unpack("<II", anchor[16:32]):  # main, reserve
                try:
                    return _volume(window, block, start, length // block)
                except Damaged as err:
                    problem = err
    raise problem


def tagged(
    window: Window, offset: int, *, number: int, identifiers: set[int], length: int = 2048
) -> bytes:
    """A descriptor in up to `length` bytes, its tag, checksum, location and CRC checked (3/7.2)."""
    data = window.read_up_to(offset, length) if offset >= 0 else b""
    if len(data) < 512:
        raise Damaged(f"{window.path.name} ends inside a UDF descriptor at byte {offset}")
    check_tag(data, offset)
    identifier, location = int.from_bytes(data[:2], "little"), int.from_bytes(data[12:16], "little")
    if identifier not in identifiers or location != number:
        raise Damaged(f"another UDF descriptor than expected at byte {offset} (tag {identifier})")
    return data


def check_tag(data: bytes, offset: int) -> None:
    """`Damaged` unless the tag at the start of `data` fits itself and what follows."""
    if len(data) < 16 or (sum(data[:4]) + sum(data[5:16])) & 0xFF != data[4]:
        raise Damaged(f"no valid UDF descriptor at byte {offset}")
    crc, length = struct.unpack_from("<HH", data, 8)
    if length > len(data) - 16 or binascii.crc_hqx(data[16 : 16 + length], 0) != crc:
        raise Damaged(f"the UDF descriptor at byte {offset} fails its CRC")


def cs0(data: bytes) -> str:
    """OSTA CS0 (UDF 2.1.1): a compression id, then 8 or 16 bits for each character."""
    if not data:
        return ""
    if data[0] in {8, 254}:
        return data[1:].decode("latin-1")
    if data[0] in {16, 255}:
        return data[1:].decode("utf-16-be", "replace")
    raise Damaged(f"a UDF name uses the unknown compression id {data[0]}")


def _dstring(data: bytes) -> str:
    return cs0(data[: min(data[-1], len(data) - 1)]).rstrip(" \0")


def _volume(window: Window, block: int, start: int, blocks: int) -> UdfVolume:
    """Reads one volume descriptor sequence; the highest sequence number wins (3/8.4.3)."""
    newest: dict[tuple[int, int], bytes] = {}
    raw = b""
    visited: set[int] = set()
    number, end = start, start + min(blocks, VDS_BLOCKS)
    while number < end and len(visited) < VDS_BLOCKS:
        if number in visited:
            raise Damaged("the UDF volume descriptors point at themselves")
        visited.add(number)
        data = window.read_up_to(number * block, 2048)
        identifier = int.from_bytes(data[:2], "little")
        if len(data) < 512 or identifier in {0, _TERMINATOR}:
            break
        data = tagged(window, number * block, number=number, identifiers=set(range(1, 10)))
        raw += data[:512]
        if identifier == _POINTER:
            length, number = struct.unpack_from("<II", data, 20)
            end = number + min(length // block, VDS_BLOCKS)
            continue
        which = int.from_bytes(data[22:24], "little") if identifier == _PARTITION else 0
        key = (identifier, which)
        if key not in newest or data[16:20][::-1] >= newest[key][16:20][::-1]:
            newest[key] = data
        number += 1
    logical = newest.get((_LOGICAL, 0))
    if logical is None:
        raise Damaged("the UDF volume descriptors name no logical volume")
    label = _dstring(logical[84:212])
    if not label and (primary := newest.get((_PRIMARY, 0))):
        label = _dstring(primary[24:56])
    return _logical_volume(window, block, logical, label, newest, raw)


def _logical_volume(
    window: Window,
    block: int,
    logical: bytes,
    label: str,
    newest: dict[tuple[int, int], bytes],
    raw: bytes,
) -> UdfVolume:
    (size,) = struct.unpack_from("<I", logical, 212)
    (revision,) = struct.unpack_from("<H", logical, 240)
    if size != block:
        raise Damaged(f"the UDF volume has blocks of {size} bytes but its anchor says {block}")
    if not logical[217:].startswith(b"*OSTA UDF Compliant"):
        raise Unsupported("its volume follows ECMA-167 but not OSTA UDF")
    partitions = tuple(_partition(newest, number) for number in _partition_numbers(logical))
    _, number, reference = struct.unpack_from("<IIH", logical, 248)
    return UdfVolume(
        label=label,
        revision=revision,
        block=block,
        partitions=partitions,
        file_set=(reference, number),
        declared=max((p.start + p.blocks) * block for p in partitions),
        raw=raw,
    )


def _partition_numbers(logical: bytes) -> list[int]:
    """Partition numbers by reference (3/10.6.13); only type 1 maps, which read-only media use."""
    length, count = struct.unpack_from("<II", logical, 264)
    table = logical[440 : 440 + length]
    numbers: list[int] = []
    at = 0
    for _ in range(min(count, 8)):
        kind = table[at : at + 2]
        if kind == b"\x01\x06" and at + 6 <= len(table):
            numbers.append(int.from_bytes(table[at + 4 : at + 6], "little"))
        elif len(kind) == 2 and kind[0] == 2 and kind[1] == 64:
            name = table[at + 5 : at + 28].rstrip(b"\0").decode("ascii", "replace")
            raise Unsupported(
                f"its UDF volume has a {name.removeprefix('*UDF ')}, as rewritable and some"
                " write-once discs do"
            )
        else:
            raise Damaged("the UDF partition maps are damaged")
        at += kind[1]
    if not numbers:
        raise Damaged("the UDF volume has no partition")
    return numbers


def _partition(newest: dict[tuple[int, int], bytes], number: int) -> Partition:
    data = newest.get((_PARTITION, number))
    if data is None:
        raise Damaged(f"the UDF volume descriptors lack partition {number}")
    start, blocks = struct.unpack_from("<II", data, 188)
    return Partition(start=start, blocks=blocks)
