"""Gives everything on a disc its block, and renders all of it that is not the content of files.

Pure arithmetic over a tree: same tree, same form, same bytes. Order on the disc: descriptors, UDF
metadata, path tables and directories, boot catalog, boot images, the other files, padding, and
for UDF a second anchor in the last block.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from provisioner.image import boot_catalog, iso_records, udf_records
from provisioner.image.boot_catalog import BootImage
from provisioner.image.content import Payload, Reveal, resolve
from provisioner.image.iso_records import BLOCK
from provisioner.image.iso_side import Extra, IsoSide
from provisioner.image.outline import Folder, Leaf, outline
from provisioner.image.shapes import Names, Shape
from provisioner.tree import Bytes, File, Tree

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How a disc is written. `label`: up to 32 characters. `recorded`: seconds since 1970, of
    the volume and of everything without a time of its own."""

    shape: Shape
    label: str
    recorded: int
    boot: tuple[BootImage, ...] = ()
    system_area: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
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
    places: dict[str, int] = field(default_factory=dict)
    """First block of each path's content; empty files have none."""

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
        self.udf_blocks: dict[str, int] = {}
        self.udf_data: dict[str, int] = {}
        self.partition = _ANCHOR + 1
        self.sides: list[IsoSide] = []
        self.catalog = 0

    def allocate(self) -> None:
        """Decides every block."""
        shape = self.form.shape
        self._collect_payloads()
        boots = bool(self.form.boot)
        if shape.udf:
            self.next = self.partition + 2
            self._allocate_udf()
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
        if self.form.shape.udf:
            sequence.append(udf_records.recognition_sequence())
        pieces.append((16 * BLOCK, b"".join(sequence)))
        for side in self.sides:
            pieces.extend(side.pieces(self.places))
        if self.form.shape.udf:
            pieces.extend(self._udf_pieces())
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

    def _date(self, modified: int | None) -> int:
        return self.form.recorded if modified is None else modified

    def _udf_names(self, folder: Folder) -> list[str]:
        return [self.names.udf[entry.path] for entry in self._udf_entries(folder)]

    def _udf_entries(self, folder: Folder) -> list[Folder | Leaf]:
        return [*folder.folders, *self._udf_leaves(folder)]

    def _udf_leaves(self, folder: Folder) -> list[Leaf]:
        return [leaf for leaf in folder.leaves if isinstance(leaf.entry, File)]

    def _allocate_udf(self) -> None:
        for folder in self.folders:
            self.udf_blocks[folder.path] = self._take(1)
            length = udf_records.identifiers_length(self._udf_names(folder))
            self.udf_data[folder.path] = self._take(-(-length // BLOCK))
        for folder in self.folders:
            for leaf in self._udf_leaves(folder):
                self.udf_blocks[leaf.path] = self._take(1)

    def _udf_unique(self, path: str) -> int:
        """0 for the root; others are above 15 (UDF 3.2.1.1)."""
        return self.udf_blocks[path] if path else 0

    def _udf_pieces(self) -> Iterator[tuple[int, bytes]]:
        form, start = self.form, self.partition
        leaves = [leaf for folder in self.folders for leaf in self._udf_leaves(folder)]
        root = self.udf_blocks[""] - start
        metadata = [
            (
                start,
                udf_records.file_set(
                    label=form.label, recorded=form.recorded, location=0, root=root
                ),
            ),
            (start + 1, udf_records.terminator(1)),
            *self._udf_folders(),
            *((self.udf_blocks[leaf.path], self._udf_file(leaf)) for leaf in leaves),
        ]
        digest = hashlib.sha256(f"{form.label}\0{form.recorded}\0".encode())
        for block, data in metadata:
            digest.update(block.to_bytes(8, "big") + data)
        last = self.layout.blocks - 1
        volume = udf_records.Volume(
            label=form.label,
            identifier=digest.hexdigest()[:16],
            recorded=form.recorded,
            partition_start=start,
            partition_blocks=last - start,
            integrity=_INTEGRITY,
            files=len(leaves),
            directories=len(self.folders),
            next_unique=self.next,
        )
        everything = [
            (_MAIN, udf_records.volume_sequence(volume, _MAIN)),
            (_RESERVE, udf_records.volume_sequence(volume, _RESERVE)),
            (_INTEGRITY, udf_records.integrity(volume, _INTEGRITY)),
            *((at, udf_records.anchor(at, _MAIN, _RESERVE)) for at in (_ANCHOR, last)),
            *metadata,
        ]
        for block, data in everything:
            yield block * BLOCK, data

    def _udf_folders(self) -> Iterator[tuple[int, bytes]]:
        start = self.partition
        for folder in self.folders:
            block, data = self.udf_blocks[folder.path], self.udf_data[folder.path]
            parent = folder.parent.path if folder.parent else ""
            rows = [
                (
                    self.names.udf[entry.path],
                    self.udf_blocks[entry.path] - start,
                    self._udf_unique(entry.path),
                    isinstance(entry, Folder),
                )
                for entry in self._udf_entries(folder)
            ]
            content = udf_records.file_identifiers(
                rows,
                parent=(self.udf_blocks[parent] - start, self._udf_unique(parent)),
                start=data - start,
            )
            entry = udf_records.Entry(
                kind=udf_records.DIRECTORY,
                extents=[(data - start, len(content))],
                links=1 + len(folder.folders),
                unique=self._udf_unique(folder.path),
                modified=self._date(folder.modified),
                mode=folder.mode,
            )
            yield block, udf_records.file_entry(entry, block - start)
            yield data, content

    def _udf_file(self, leaf: Leaf) -> bytes:
        assert isinstance(leaf.entry, File)
        block = self.udf_blocks[leaf.path]
        length = self.payloads[leaf.entry.content].length
        place = self.places[leaf.entry.content]
        entry = udf_records.Entry(
            kind=udf_records.BYTES,
            extents=[(place - self.partition, length)] if length else [],
            links=1,
            unique=block,
            modified=self._date(leaf.entry.modified),
            mode=leaf.entry.mode,
        )
        return udf_records.file_entry(entry, block - self.partition)

    def _render_boot(self) -> None:
        pairs = list(zip(self.form.boot, self.layout.boot_blocks, strict=True))
        self.layout.pieces.append((self.catalog * BLOCK, boot_catalog.catalog(pairs)))
