"""A finished disc against its tree: one changed byte anywhere that matters is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.errors import FailedError
from provisioner.image.iso import write_iso
from provisioner.image.records import read_directories, read_volumes
from provisioner.image.verify import verify_iso
from provisioner.tree import Bytes, Directory, File, HostFile, Tree


def file(data: bytes) -> File:
    return File(content=(Bytes(data=data),))


TREE = Tree(
    [
        ("Autounattend.xml", file(b"<unattend/>" * 500)),
        ("scripts/first.ps1", file(b"exit 0")),
        ("empty", file(b"")),
        ("folder", Directory()),
    ]
)


@pytest.fixture
def disc(tmp_path: Path) -> Path:
    path = tmp_path / "answer.iso"
    write_iso(TREE, path, label="PROVISION", epoch=0, reveal=str)
    return path


def test_what_was_written_passes(disc: Path) -> None:
    verify_iso(disc, TREE, reveal=str)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ([("empty", file(b"x"))], "empty: 0 bytes instead of 1"),
        ([("scripts/first.ps1", file(b"exit 1"))], "scripts/first.ps1: the bytes differ"),
        ([("scripts/second.ps1", file(b""))], "scripts/second.ps1 is missing from the Joliet side"),
        ([("folder", file(b""))], "folder is a folder on the Joliet side"),
        ([("empty", Directory())], "empty is a file on the Joliet side"),
    ],
)
def test_another_tree_is_told_apart(
    disc: Path, other: list[tuple[str, File | Directory]], message: str
) -> None:
    changed = Tree([*((p, e) for p, e in TREE.items() if str(p) != other[0][0]), *other])
    with pytest.raises(FailedError, match=message):
        verify_iso(disc, changed, reveal=str)


def test_what_should_not_be_there_is_named(disc: Path) -> None:
    fewer = Tree([(p, e) for p, e in TREE.items() if str(p) != "empty"])
    with pytest.raises(FailedError, match="'empty' is on the Joliet side and should not be"):
        verify_iso(disc, fewer, reveal=str)


def test_every_changed_byte_of_content_names_and_places_is_found(disc: Path) -> None:
    data = disc.read_bytes()

    def read(offset: int, length: int) -> bytes:
        return data[offset : offset + length]

    places: list[int] = []
    for volume in read_volumes(read):
        places += [volume.offset + field for field in (0, 2, 40, 80, 128, 132, 140, 151, 158, 173)]
        places += [volume.little_path_table * 2048 + 8 + 2, volume.big_path_table * 2048 + 5]
        for listing in read_directories(read, volume):
            for record in listing.records:
                start = listing.offset + record.position
                if not record.special:
                    fields = (1, 2, 9, 10, 17, 25, 26, 27, 32, 33, 34)
                    places += [start + field for field in fields]
                if not record.directory:
                    first = record.block * 2048
                    places += range(first, first + record.length, 911)
    assert len(places) > 200
    for place in places:
        damaged = bytearray(data)
        damaged[place] ^= 2
        disc.write_bytes(damaged)
        with pytest.raises(FailedError, match="answer\\.iso is not what was written"):
            verify_iso(disc, TREE, reveal=str)


@pytest.mark.parametrize("length", [0, 100, 2048 * 17, 2048 * 29, -2048, -1])
def test_a_truncated_disc_is_found(disc: Path, length: int) -> None:
    disc.write_bytes(disc.read_bytes()[:length])
    with pytest.raises(FailedError, match="answer\\.iso is not what was written"):
        verify_iso(disc, TREE, reveal=str)


def test_many_differences_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "x.iso"
    write_iso(Tree(), path, label="X", epoch=0, reveal=str)
    with pytest.raises(FailedError, match="and 25 more"):
        verify_iso(path, Tree([(f"f{i}", file(b"")) for i in range(10)]), reveal=str)


def test_a_source_that_changed_since_is_a_difference(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"12345")
    tree = Tree([("a", File(content=(HostFile(path=source, size=5),)))])
    write_iso(tree, tmp_path / "x.iso", label="X", epoch=0, reveal=str)
    source.write_bytes(b"12340")
    with pytest.raises(FailedError, match="a: the bytes differ after 0"):
        verify_iso(tmp_path / "x.iso", tree, reveal=str)


def test_a_missing_disc_is_told(tmp_path: Path) -> None:
    with pytest.raises(FailedError, match="cannot read"):
        verify_iso(tmp_path / "none.iso", TREE, reveal=str)
