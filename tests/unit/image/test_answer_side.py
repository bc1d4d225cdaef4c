"""The layout of answer discs beside pycdlib's, which writes the same tree: only dates differ."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from pathlib import Path

import pycdlib
import pytest

from provisioner.image.iso import write_iso
from provisioner.image.names import ascii_names, folders_of
from provisioner.image.records import read_directories, read_volumes
from provisioner.tree import Bytes, Entry, File, Tree

NAMES = ("Autounattend.xml", "a b.txt", "Ünterlagen.txt", "no-dot", "x" * 57 + ".ps1", ".hidden")
FOLDERS = ("", "provision/", "provision/steps/", "$OEM$/$$/Setup/", "é/", "A-much-longer-name/b/c/")


def trees() -> Iterator[Tree]:
    """Trees whose root fits one sector: pycdlib's `..` below a larger one is wrong."""
    yield Tree([])
    for seed in range(12):
        dice = random.Random(seed)
        entries: dict[str, Entry] = {}
        for number in range(dice.choice((1, 5, 120))):
            folder = dice.choice(FOLDERS if number < 12 else FOLDERS[1:])
            length = dice.choice((0, 1, 2047, 2048, 2049, 30_000))
            data = dice.randbytes(length)
            entries[f"{folder}{number}{dice.choice(NAMES)}"] = File(content=(Bytes(data=data),))
        yield Tree(entries.items())


def by_pycdlib(tree: Tree) -> bytes:
    disc = pycdlib.PyCdlib()
    disc.new(interchange_level=4, joliet=3, vol_ident="PROVISION", app_ident_str="PROVISIONER")
    files = {str(path): file for path, file in tree.files()}
    names = ascii_names([*folders_of(tree), *files])
    for path in folders_of(tree):
        disc.add_directory(f"/{names[path]}", joliet_path=f"/{path}")
    for path, file in files.items():
        [content] = file.content
        assert isinstance(content, Bytes)
        disc.add_fp(
            io.BytesIO(content.data), len(content.data), f"/{names[path]}", joliet_path=f"/{path}"
        )
    image = io.BytesIO()
    disc.write_fp(image)
    disc.close()
    return image.getvalue()


def undated(image: bytes) -> bytes:
    """The image with every date cleared: pycdlib takes its own from the clock."""
    data = bytearray(image)

    def read(offset: int, length: int) -> bytes:
        return image[offset : offset + length]

    for volume in read_volumes(read):
        data[volume.offset + 813 : volume.offset + 881] = bytes(68)
        data[volume.offset + 156 + 18 : volume.offset + 156 + 25] = bytes(7)
        for listing in read_directories(read, volume):
            for record in listing.records:
                date = listing.offset + record.position + 18
                data[date : date + 7] = bytes(7)
    return bytes(data)


@pytest.mark.parametrize("tree", [*trees()], ids=lambda tree: f"{len(list(tree.files()))} files")
def test_every_byte_but_the_dates_is_where_pycdlib_puts_it(tmp_path: Path, tree: Tree) -> None:
    disc = tmp_path / "ours.iso"
    write_iso(tree, disc, label="PROVISION", epoch=0, reveal=lambda slot: "")
    assert undated(disc.read_bytes()) == undated(by_pycdlib(tree))
