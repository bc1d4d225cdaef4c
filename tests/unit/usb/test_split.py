"""Split WIMs under the eyes of wimlib-imagex."""

from __future__ import annotations

import random
import subprocess
from itertools import pairwise
from pathlib import Path, PurePosixPath

import pytest

from provisioner.errors import MediaError
from provisioner.image.content import resolve
from provisioner.media.window import opened
from provisioner.tree import File, Slice
from provisioner.usb.split import part_name, split
from tests.unit.media.discs import run

SMALL = 1 << 20


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree with files of one chunk and of many, empty ones, and equal ones."""
    chance = random.Random(1)
    tree = tmp_path_factory.mktemp("source") / "tree"
    for number in range(60):
        path = tree / f"folder {number % 3}" / f"file {number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(chance.choice([0, 10, 40_000, 200_000])))
    (tree / "text").write_bytes(b"compresses well " * 60_000)
    (tree / "again").write_bytes(b"compresses well " * 60_000)
    return tree


def wim(tree: Path, path: Path, *options: str) -> Path:
    run(["wimlib-imagex", "capture", tree, path, "First", "--no-acls", *options])
    (tree / "only in the second").write_bytes(b"second" * 1000)
    run(["wimlib-imagex", "append", tree, path, "Second", "--no-acls"])
    (tree / "only in the second").unlink()
    run(["wimlib-imagex", "info", path, "2", "--boot"])
    return path


def slices(path: Path, *cuts: int) -> tuple[Slice, ...]:
    """The file in pieces, as a disc may have it."""
    places = [0, *cuts, path.stat().st_size]
    return tuple(Slice(image=path, offset=a, length=b - a) for a, b in pairwise(places))


def written(path: Path, folder: Path, *, limit: int = SMALL, cuts: tuple[int, ...] = ()) -> Path:
    """Splits, writes the parts, and returns the first."""
    folder.mkdir()
    with opened(path) as window:
        parts = split(window, slices(path, *cuts), name=path.name, limit=limit)
    for number, part in enumerate(parts, start=1):
        target = folder / part_name("install.wim", number)
        target.write_bytes(content(part.file))
        assert target.stat().st_size == part.size <= limit
    return folder / "install.swm"


def content(file: File) -> bytes:
    def reveal(slot: object) -> str:
        raise AssertionError(slot)

    return b"".join(resolve(PurePosixPath("part"), file, reveal).blocks())


@pytest.mark.parametrize("compression", ["none", "XPRESS", "LZX"])
def test_wimlib_verifies_and_applies_the_parts(
    source: Path, tmp_path: Path, compression: str
) -> None:
    original = wim(source, tmp_path / "install.wim", f"--compress={compression}", "--check")
    first = written(original, tmp_path / "parts", cuts=(12_345, 700_001))
    others = sorted(str(p) for p in first.parent.iterdir() if p != first)
    assert len(others) >= 2
    refs = [f"--ref={other}" for other in others]
    run(["wimlib-imagex", "verify", first, *refs])
    for image in ("1", "2"):
        ours, theirs = tmp_path / f"ours{image}", tmp_path / f"theirs{image}"
        run(["wimlib-imagex", "apply", first, image, ours, *refs])
        run(["wimlib-imagex", "apply", original, image, theirs])
        run(["diff", "-r", ours, theirs])
    joined = tmp_path / "joined.wim"
    run(["wimlib-imagex", "join", joined, first, *others])
    run(["wimlib-imagex", "verify", joined])


def test_the_same_as_wimlib_where_it_matters(source: Path, tmp_path: Path) -> None:
    """Flags, part numbers, image count, boot index, the XML: field for field."""
    original = wim(source, tmp_path / "install.wim", "--compress=LZX")
    first = written(original, tmp_path / "ours")
    (tmp_path / "theirs").mkdir()
    run(["wimlib-imagex", "split", original, tmp_path / "theirs/install.swm", "1"])

    def header(path: Path) -> dict[str, str]:
        lines = run(["wimlib-imagex", "info", path, "--header"]).splitlines()
        return {a.strip(): b.strip() for a, _, b in (line.partition("=") for line in lines)}

    ours, theirs = header(first), header(tmp_path / "theirs/install.swm")
    differ = {name for name in theirs if ours[name] != theirs[name]}
    assert differ <= {
        "GUID",
        "Total Parts",
        "Blob Table Size",
        "Blob Table Offset",
        "Blob Table Original_size",
        "XML Data Offset",
    }
    guids = {header(path)["GUID"] for path in first.parent.iterdir()}
    assert len(guids) == 1
    assert int(ours["Total Parts"]) == len(list(first.parent.iterdir()))


def test_twice_the_same(source: Path, tmp_path: Path) -> None:
    original = wim(source, tmp_path / "install.wim")
    one, two = written(original, tmp_path / "one"), written(original, tmp_path / "two")
    run(["diff", "-r", one.parent, two.parent])


def test_what_cannot_be_split_says_why(source: Path, tmp_path: Path) -> None:
    solid = wim(source, tmp_path / "solid.esd", "--solid")
    pipable = wim(source, tmp_path / "pipable.wim", "--pipable")
    part = written(wim(source, tmp_path / "plain.wim"), tmp_path / "parts")
    for path, words in (
        (solid, "solid"),
        (pipable, "pipable"),
        (part, "of a split set already"),
    ):
        with opened(path) as window, pytest.raises(MediaError, match=words):
            split(window, slices(path), name=path.name, limit=SMALL)


def test_a_file_larger_than_a_part(source: Path, tmp_path: Path) -> None:
    original = wim(source, tmp_path / "install.wim", "--compress=none")
    with opened(original) as window, pytest.raises(MediaError, match="960,000 bytes compressed"):
        split(window, slices(original), name="install.wim", limit=900_000)


def test_metadata_larger_than_a_part(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(300):
        (tree / f"a name that makes the metadata long {number}").touch()
    original = wim(tree, tmp_path / "install.wim", "--compress=none")
    with opened(original) as window, pytest.raises(MediaError, match="metadata"):
        split(window, slices(original), name="install.wim", limit=96 << 10)


def test_no_resource_is_lost(source: Path, tmp_path: Path) -> None:
    original = wim(source, tmp_path / "install.wim")
    first = written(original, tmp_path / "parts")
    first.with_name("install2.swm").unlink()
    refs = [f"--ref={path}" for path in first.parent.iterdir() if path != first]
    done = subprocess.run(
        ["wimlib-imagex", "verify", str(first), *refs], capture_output=True, check=False
    )
    assert done.returncode != 0
