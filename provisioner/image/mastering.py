"""Gives everything on a disc its block, and renders all of it that is not the content of files.

Pure arithmetic over a tree: same tree, same form, same bytes. Order on the disc: descriptors, UDF
metadata, path tables and directories, boot catalog, boot images, the other files, padding, and
for UDF a second anchor in the last block.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from provisioner.frozen import frozen
from provisioner.image import boot_catalog, iso_records, udf_records
from provisioner.image.boot_catalog import BootImage
from provisioner.image.content import Payload, Reveal, resolve
from provisioner.image.iso_records import BLOCK
from provisioner.image.iso_side import Extra, IsoSide
from provisioner.image.outline import outline
from provisioner.image.shapes import Names, Shape
from provisioner.image.udf_side import Extents, UdfSide
from provisioner.tree import Bytes, Content, File, Tree

PADDING = 150
"""Empty blocks before the end, as mkisofs -pad: drives read ahead over the end of what was written
track-at-once, and the UDF partition ends well behind its last file (pycdlib#173)."""

ALIGNED = 64 * 1024
"""Files of at least so many bytes begin at whole pages of 4096 bytes, so that file systems with
reflinks can share their blocks instead of copying them."""

README = (
    b"This disc has a UDF file system with all of its files, and this one file in ISO 9660.\r\n"
    b"To read it, use an operating system that knows UDF.\r\n"
)
_README_KEY = "README"
_MAIN, _RESERVE, _INTEGRITY, _ANCHOR = 32, 48, 64, 256


@frozen
class Form:
    """How a disc is written. `label`: up to 32 characters. `recorded`: seconds since 1970, of
    the volume and of everything without a time of its own."""

    shape: Shape
    label: str
    recorded: int
    boot: tuple[BootImage, ...] = ()
    system_area: bytes = b""


@frozen
class Stored:
    """Content on the disc: its first block and what it is made of."""

    block: int
    payload: Payload


@dataclass(slots=True, kw_only=True)
class Layout:
    """Where everything goes. `pieces` are (byte offset, bytes); `stored` is in disc order."""

    blocks: int
    pieces: list[tuple[int, bytes]] = field(default_factory=list)
    stored: list[Stored] = field(default_factory=list)
    boot_blocks: list[int] = field(default_factory=list)

    @property
    def size(self) -> int:
        """The image's length in bytes."""
        return self.blocks * BLOCK


def lay_out(tree: Tree, form: Form, names: Names, reveal: Reveal) -> Layout:
    """The layout of a tree that `shape_problems` found nothing wrong with."""
    work = _Work(tree, form, names, reveal)
    work.allocate()
    work.render()
    return work.layout


class _Work:
    def __init__(self, tree: Tree, form: Form, names: Names, reveal: Reveal) -> None:
        self.form = form
        self.names = names
        self.reveal = reveal
        self.root = outline(tree)
        self.folders = list(self.root.walk())
        self.layout = Layout(blocks=0)
        self.next = 0
        self.places: dict[object, int] = {}
        self.payloads: dict[object, Payload] = {}
        self.udf: UdfSide | None = None
        self.sides: list[IsoSide] = []
        self.catalog = 0

    def allocate(self) -> None:
        """Decides every block."""
        shape = self.form.shape
        self._collect_payloads()
        boots = bool(self.form.boot)
        if shape.udf:
            self.next = _ANCHOR + 1
            self.udf = UdfSide(
                self.folders,
                self.names.udf,
                partition=self.next,
                label=self.form.label,
                recorded=self.form.recorded,
            )
            self.udf.allocate(self._take)
        else:
            self.next = 16 + 1 + boots + 1 + 1
        if shape.iso:
            self.sides = [
                self._side(self.names.iso, joliet=False),
                self._side(self.names.joliet, joliet=True),
            ]
        else:
            readme = Extra(identifier=b"README.TXT;1", key=_README_KEY)
            self.sides = [self._side({}, joliet=False, extra=readme)]
        for side in self.sides:
            side.allocate(self._take)
        if boots:
            self.catalog = self._take(1)
            for image in self.form.boot:
                self.layout.boot_blocks.append(self._store(self._boot_key(image)))
        if not shape.iso:
            self._store(_README_KEY)
        for key in self.payloads:
            self._store(key)
        self.next += PADDING
        self.layout.blocks = self.next + bool(shape.udf)

    def render(self) -> None:
        """Renders every descriptor, directory and table."""
        pieces = self.layout.pieces
        if self.form.system_area:
            pieces.append((0, self.form.system_area))
        primary, *others = (
            side.descriptor(self.form.label, self.layout.blocks) for side in self.sides
        )
        sequence = [primary]
        if self.form.boot:
            sequence.append(boot_catalog.boot_record(self.catalog))  # in block 17
        sequence += others
        sequence.append(iso_records.terminator())
        if self.udf is not None:
            sequence.append(udf_records.recognition_sequence())
        pieces.append((16 * BLOCK, b"".join(sequence)))
        for side in self.sides:
            pieces.extend(side.pieces(self.places))
        if self.udf is not None:
            last = self.layout.blocks - 1
            pieces.append((_ANCHOR * BLOCK, udf_records.anchor(_ANCHOR, _MAIN, _RESERVE)))
            pieces.extend(
                self.udf.pieces(
                    self._extents, last=last, sequences=(_MAIN, _RESERVE), integrity=_INTEGRITY
                )
            )
        if self.form.boot:
            self._render_boot()

    def _side(
        self, names: Mapping[str, str], *, joliet: bool, extra: Extra | None = None
    ) -> IsoSide:
        return IsoSide(
            self.folders,
            names,
            joliet=joliet,
            lengths={key: payload.length for key, payload in self.payloads.items()},
            recorded=self.form.recorded,
            extra=extra,
        )

    def _take(self, blocks: int) -> int:
        start = self.next
        self.next += blocks
        return start

    def _collect_payloads(self) -> None:
        if not self.form.shape.iso:
            self._add_payload(_README_KEY, "README.TXT", File(content=(Bytes(data=README),)))
        for image in self.form.boot:
            if image.hidden is not None:
                self._add_payload(image.hidden.content, "the boot image", image.hidden)
        for folder in self.folders:
            for leaf in folder.leaves:
                if isinstance(leaf.entry, File):
                    self._add_payload(leaf.entry.content, leaf.path, leaf.entry)

    def _add_payload(self, key: object, path: str, file: File) -> None:
        if key not in self.payloads:  # the same content, stored once
            self.payloads[key] = resolve(PurePosixPath(path), file, self.reveal)

    def _boot_key(self, image: BootImage) -> object:
        if image.hidden is not None:
            return image.hidden.content
        leaf = next(
            leaf for folder in self.folders for leaf in folder.leaves if leaf.path == image.path
        )
        assert isinstance(leaf.entry, File)
        return leaf.entry.content

    def _store(self, key: object) -> int:
        """The block of some content, placed now unless it was before; 0 where it is empty."""
        if key in self.places:
            return self.places[key]
        payload = self.payloads[key]
        if not payload.length:
            self.places[key] = 0
            return 0
        if payload.length >= ALIGNED:
            self.next += self.next % 2
        block = self.places[key] = self._take(-(-payload.length // BLOCK))
        self.layout.stored.append(Stored(block=block, payload=payload))
        return block

    def _extents(self, content: tuple[Content, ...]) -> Extents:
        length = self.payloads[content].length
        return [(self.places[content], length)] if length else []

    def _render_boot(self) -> None:
        pairs = list(zip(self.form.boot, self.layout.boot_blocks, strict=True))
        self.layout.pieces.append((self.catalog * BLOCK, boot_catalog.catalog(pairs)))
