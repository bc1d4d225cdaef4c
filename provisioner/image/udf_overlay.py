"""A changed UDF disc as patches over its untouched image: new metadata behind the image's end.

The files of the base stay where they are; new ones, every directory and every file entry lie
behind it, and the volume descriptors say so. Only for discs whose files are in UDF alone.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from provisioner.errors import MediaError
from provisioner.frozen import frozen
from provisioner.image.content import Payload, Reveal, resolve
from provisioner.image.iso_records import BLOCK, both
from provisioner.image.mastering import PADDING, Form
from provisioner.image.outline import outline
from provisioner.image.overlay import Patch
from provisioner.image.shapes import name_views
from provisioner.image.udf_records import REVISION, anchor
from provisioner.image.udf_side import Extents, UdfSide
from provisioner.media.facts import BootEntry
from provisioner.media.iso9660 import read_descriptors
from provisioner.media.udf_volume import read_volume, tagged
from provisioner.media.window import Window
from provisioner.tree import Content, File, Slice, Tree

MOST_NEW = 256 * 1024 * 1024
"""Bytes of new files an overlay takes: they pass through memory."""
_ANCHOR, _SEQUENCE = 256, 6
_LOGICAL = 6
"""Tag of a logical volume descriptor (3/7.2.1)."""


@frozen
class Overlay:
    """The patches, and the length in bytes of the disc they make."""

    patches: tuple[Patch, ...]
    size: int
    new_bytes: int


def overlay_disc(
    window: Window, entries: Sequence[BootEntry], tree: Tree, form: Form, reveal: Reveal
) -> Overlay:
    """What has to change so that the image open in `window` holds `tree`.

    `entries` are its boot entries, in the order of `form.boot`. Raises MediaError where the image
    has another structure than these patches need; a full new image does not mind.
    """
    return _Work(window, tree, form, reveal).overlay(entries)


class _Work:
    def __init__(self, window: Window, tree: Tree, form: Form, reveal: Reveal) -> None:
        self.window = window
        self.tree = tree
        self.form = form
        self.reveal = reveal
        self.next = -(-window.size // BLOCK)
        volume = read_volume(window)
        if (
            volume.block != BLOCK
            or volume.revision != REVISION
            or len(volume.partitions) != 1
            or window.size % 512
        ):
            raise self._unfit(f"it is {volume.name}, with blocks of {volume.block} bytes")
        self.partition = volume.partitions[0].start
        data = tagged(window, _ANCHOR * BLOCK, number=_ANCHOR, identifiers={2})
        lengths_and_places = struct.unpack("<IIII", data[16:32])
        if min(lengths_and_places[::2]) < _SEQUENCE * BLOCK:
            raise self._unfit("its volume descriptor sequences are too short")
        self.sequences = (lengths_and_places[1], lengths_and_places[3])
        self.integrity = self._integrity_place()
        self.places: dict[tuple[Content, ...], Extents] = {}

    def overlay(self, entries: Sequence[BootEntry]) -> Overlay:
        folders = list(outline(self.tree).walk())
        side = UdfSide(
            folders,
            name_views(self.tree, self.form.shape).udf,
            partition=self.partition,
            label=self.form.label,
            recorded=self.form.recorded,
        )
        side.allocate(self._take)
        new = self._place()
        self._take(PADDING)
        last = self._take(1)
        pieces = [
            *side.pieces(
                lambda content: self.places[content],
                last=last,
                sequences=self.sequences,
                integrity=self.integrity,
            ),
            (_ANCHOR * BLOCK, anchor(_ANCHOR, *self.sequences)),
            *((block * BLOCK, b"".join(payload.blocks())) for block, payload in new),
            *self._descriptors(last + 1),
            *self._boot(entries),
        ]
        return Overlay(
            patches=tuple(_joined(sorted(pieces))),
            size=(last + 1) * BLOCK,
            new_bytes=sum(payload.length for _, payload in new),
        )

    def _integrity_place(self) -> int:
        """Where the logical volume descriptor has its integrity sequence (3/10.6.12)."""
        for number in range(self.sequences[0], self.sequences[0] + 16):
            data = self.window.read_up_to(number * BLOCK, 440)
            if int.from_bytes(data[:2], "little") == _LOGICAL:
                length, block = struct.unpack_from("<II", data, 432)
                if length >= 2 * BLOCK and block + 2 <= self.partition:
                    return int(block)
        raise self._unfit("its integrity sequence is too short, or inside the partition")

    def _take(self, blocks: int) -> int:
        start = self.next
        self.next += blocks
        return start

    def _place(self) -> list[tuple[int, Payload]]:
        """Gives every content its extents; those that are not in the base, by new blocks."""
        new: list[tuple[int, Payload]] = []
        total = 0
        for path, file in self.tree.files():
            if file.content in self.places:
                continue
            extents = self._in_place(file.content)
            if extents is None:
                payload = resolve(path, file, self.reveal)
                total += payload.length
                if total > MOST_NEW:
                    raise self._unfit(f"more than {MOST_NEW >> 20} MiB would be new")
                block = self._take(-(-payload.length // BLOCK))
                extents = [(block, payload.length)] if payload.length else []
                new.append((block, payload))
            self.places[file.content] = extents
        return new

    def _in_place(self, content: tuple[Content, ...]) -> Extents | None:
        """The extents of content that lies in the base in whole blocks of its partition."""
        extents: list[tuple[int, int]] = []
        for number, part in enumerate(content, 1):
            if not isinstance(part, Slice) or part.image != self.window.path:
                return None
            if part.offset % BLOCK or part.offset // BLOCK < self.partition:
                return None
            if part.length % BLOCK and number < len(content):
                return None
            extents.append((part.offset // BLOCK, part.length))
        return extents

    def _descriptors(self, blocks: int) -> list[tuple[int, bytes]]:
        """Size and label in the ISO 9660 descriptors, where there are any."""
        pieces = []
        for number, data in enumerate(read_descriptors(self.window), 16):
            if data[0] == 1:
                label = self.form.label.encode("ascii").ljust(32)
                pieces.append((number * BLOCK + 40, label))
                pieces.append((number * BLOCK + 80, both(blocks)))
        return pieces

    def _boot(self, entries: Sequence[BootEntry]) -> list[tuple[int, bytes]]:
        pieces = []
        for entry, image in zip(entries, self.form.boot, strict=True):
            if image.path is None:
                continue
            file = next(f for path, f in self.tree.files() if str(path) == image.path)
            block = self._block(file)
            if block == entry.lba:
                continue
            if image.table or image.grub2:
                raise self._unfit("its loader carries its own place")
            pieces.append((entry.entry_offset + 8, block.to_bytes(4, "little")))
        return pieces

    def _block(self, file: File) -> int:
        extents = self.places[file.content]
        if len(extents) != 1:
            raise self._unfit("a boot image lies in several pieces, or is empty")
        return extents[0][0]

    def _unfit(self, reason: str) -> MediaError:
        return MediaError(
            f"an overlay over {self.window.path.name} is not possible: {reason}",
            hint="leave out --overlay to write a full image",
        )


def _joined(pieces: Sequence[tuple[int, bytes]]) -> list[Patch]:
    """Neighbours as one patch."""
    runs: list[tuple[int, list[bytes], int]] = []
    for offset, data in pieces:
        if runs and runs[-1][2] == offset:
            start, parts, end = runs[-1]
            parts.append(data)
            runs[-1] = (start, parts, end + len(data))
        else:
            runs.append((offset, [data], offset + len(data)))
    return [Patch(offset=start, data=b"".join(parts)) for start, parts, _ in runs]
