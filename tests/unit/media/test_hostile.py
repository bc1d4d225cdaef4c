"""Damaged and malicious images end in facts or in a `MediaError`, soon and in little memory."""

from __future__ import annotations

import random
import struct
import tracemalloc
from pathlib import Path
from time import process_time

import pytest

from provisioner.errors import MediaError
from provisioner.media.boot import noprompt_patch
from provisioner.media.facts import Extent, MediaFacts
from provisioner.media.inspect import inspect, inspect_window
from provisioner.media.walk import MAX_DIRECTORY_BYTES, Node, collect
from provisioner.media.window import Damaged, Window, opened
from tests.unit.media.udf_image import GIB_EXTENT, UdfImage, tag

MUTATIONS = 100
INTERESTING = (0, 1, 0x7F, 0x80, 0xFF)


def survives(path: Path) -> MediaFacts | None:
    """Inspects; anything but facts or a MediaError fails the test."""
    try:
        facts = inspect(path)
    except MediaError as err:
        assert err.message
        return None
    noprompt_patch(facts)
    for extents in facts.files.values():
        assert all(0 <= e.offset <= e.offset + e.length <= path.stat().st_size for e in extents)
    return facts


def live_blocks(data: bytes) -> list[int]:
    """Offsets of sectors that hold metadata: those that are not all the same byte."""
    return [at for at in range(0, len(data), 2048) if len(set(data[at : at + 2048])) > 1]


@pytest.mark.parametrize("name", ["windows_iso", "answer_iso", "install_wim", "pure_udf"])
def test_mutations(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Flipped bytes, wild numbers, swapped sectors and cuts, from a fixed seed."""
    original = request.getfixturevalue(name).read_bytes()
    blocks = live_blocks(original)
    chance = random.Random(f"media {name}")
    path = tmp_path / "mutated"
    outcomes = {True: 0, False: 0}
    tracemalloc.start()
    slowest = 0.0
    for number in range(MUTATIONS):
        data = bytearray(original)
        for _ in range(chance.choice((1, 1, 2, 8))):
            at = chance.choice(blocks) + int(chance.triangular(0, 2047, 0))
            at = min(at, len(data) - 9)
            match chance.randrange(4):
                case 0:
                    data[at] ^= 1 << chance.randrange(8)
                case 1:
                    data[at] = chance.choice(INTERESTING)
                case 2:
                    data[at : at + 4] = struct.pack("<I", chance.choice((0, 1, 2**31, 2**32 - 1)))
                case _:
                    other = chance.choice(blocks)
                    place = at - at % 2048
                    data[place : place + 2048] = original[other : other + 2048].ljust(2048, b"\0")
        if number % 10 == 0:
            del data[chance.randrange(len(data)) :]
        path.write_bytes(data)
        before = process_time()
        outcomes[survives(path) is not None] += 1
        slowest = max(slowest, process_time() - before)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert min(outcomes.values()), outcomes  # neither blind nor brittle
    assert slowest < 2
    assert peak < 64 << 20


@pytest.fixture(scope="session")
def pure_udf(images: Path) -> Path:
    image = UdfImage(extent=2048, gap=1)
    files = {f"file{n}": (image.file(b"x" * 3000 * n), False) for n in range(1, 90, 11)}
    sub = image.directory(files)
    image.write(images / "pure.udf", image.directory({"sub": (sub, True), **files}))
    return images / "pure.udf"


@pytest.mark.parametrize("name", ["windows_iso", "pure_udf"])
def test_mutations_behind_good_checksums(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """UDF descriptors are changed and given the right CRC again, so that the parsers see them."""
    original = request.getfixturevalue(name).read_bytes()
    descriptors = [at for at in live_blocks(original) if original[at + 2 : at + 4] == b"\2\0"]
    assert len(descriptors) > 15
    chance = random.Random(f"tags {name}")
    path = tmp_path / "mutated"
    for _ in range(MUTATIONS):
        data = bytearray(original)
        at = chance.choice(descriptors)
        identifier, length, location = struct.unpack_from("<H8xHI", data, at)
        body = bytearray(data[at + 16 : at + 16 + length])
        for _ in range(chance.choice((1, 2, 4))):
            place = chance.randrange(max(len(body) - 4, 1))
            value = chance.choice((0, 1, 3, 7, 255, 256, 2**16 - 1, 2**30, 2**31, 2**32 - 1))
            body[place : place + 4] = struct.pack("<I", value)
        changed = tag(identifier, location, bytes(body[:length]))
        data[at : at + len(changed)] = changed
        path.write_bytes(data)
        before = process_time()
        survives(path)
        assert process_time() - before < 2


def test_every_short_cut(windows_iso: Path, tmp_path: Path) -> None:
    """Cuts at each sector border of the metadata, and in the middle."""
    data = windows_iso.read_bytes()
    path = tmp_path / "cut.iso"
    for length in [*range(0, 100 * 2048, 5000), *range(255 * 2048, 300 * 2048, 3000)]:
        path.write_bytes(data[:length])
        with pytest.raises(MediaError):
            inspect(path)


def test_a_directory_inside_itself(tmp_path: Path) -> None:
    image = UdfImage()
    inner = image.take(1)
    image.directory({"again": (inner, True)}, number=inner)
    image.write(tmp_path / "loop.udf", image.directory({"inner": (inner, True)}))
    with pytest.raises(MediaError, match="entered twice"):
        inspect(tmp_path / "loop.udf")


def test_an_iso9660_directory_inside_itself(tmp_path: Path, answer_iso: Path) -> None:
    """Each record of a sub-directory, on both sides, is pointed at its root."""
    data = bytearray(answer_iso.read_bytes())
    for descriptor in (16, 17):
        root = data[descriptor * 2048 + 156 : descriptor * 2048 + 190]
        at = int.from_bytes(root[2:6], "little") * 2048
        while data[at]:
            if data[at + 25] & 2 and data[at + 32] > 1:
                data[at + 2 : at + 18] = root[2:18]
            at += data[at]
    path = tmp_path / "loop.iso"
    path.write_bytes(data)
    with pytest.raises(MediaError, match="entered twice"):
        inspect(path)


def test_indirect_entries_in_a_circle(tmp_path: Path) -> None:
    image = UdfImage()
    number = image.take(1)
    icb = struct.pack("<IHHHBBIHH", 0, 4096, 0, 1, 0, 3, 0, 0, 0)
    image.put(number, tag(248, number, icb + struct.pack("<IIH6x", 2048, number, 0)))
    image.write(tmp_path / "loop.udf", image.directory({"file": (number, False)}))
    with pytest.raises(MediaError, match="indirect entries never end"):
        inspect(tmp_path / "loop.udf")


def test_allocation_descriptors_in_a_circle(tmp_path: Path) -> None:
    image = UdfImage()
    entry, more = image.take(1), image.take(1)
    again = struct.pack("<II", 3 << 30 | 2048, more)
    image.put(more, tag(258, more, struct.pack("<II", 0, 8)) + again)
    image.entry(entry, 5, 1 << 40, 0, again)
    image.write(tmp_path / "loop.udf", image.directory({"file": (entry, False)}))
    with pytest.raises(MediaError, match="run in a circle"):
        inspect(tmp_path / "loop.udf")


@pytest.mark.parametrize(
    ("descriptors", "size", "message"),
    [
        (struct.pack("<II", 2048, 2**32 - 1), 2048, "outside partition"),
        (struct.pack("<II", 0x3FFFFFFF, 0), 2**63, "outside partition"),
        (struct.pack("<II", 2048, 0), 2**63, "have no place"),
        (struct.pack("<II", 2048, 0) * 2, 4096, "same blocks twice"),
    ],
)
def test_absurd_extents(tmp_path: Path, descriptors: bytes, size: int, message: str) -> None:
    image = UdfImage()
    entry = image.take(1)
    image.entry(entry, 5, size, 0, descriptors)
    image.write(tmp_path / "bad.udf", image.directory({"file": (entry, False)}))
    with pytest.raises(MediaError, match=message):
        inspect(tmp_path / "bad.udf")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (168, 2**32 - 1),  # length of the extended attributes
        (168, 5000),
        (172, 2**31),  # length of the allocation descriptors
        (172, 2048),
    ],
)
def test_file_entries_longer_than_their_block(tmp_path: Path, place: int, value: int) -> None:
    image = UdfImage()
    number = image.file(b"content")
    at = (image.start + number) * image.block
    body = bytearray(image.parts[at][16:])
    body[place - 16 : place - 12] = struct.pack("<I", value)
    image.parts[at] = tag(261, number, bytes(body))
    image.write(tmp_path / "bad.udf", image.directory({"file": (number, False)}))
    with pytest.raises(MediaError, match=r"the file entry at byte \d+ is damaged"):
        inspect(tmp_path / "bad.udf")


@pytest.mark.parametrize(("place", "value"), [(19, b"\xff"), (36, b"\xff\xff"), (36, b"\x40\0")])
def test_names_longer_than_their_directory(tmp_path: Path, place: int, value: bytes) -> None:
    """The last entry's lengths of name (19) and of implementation use (36) go too far."""
    image = UdfImage()
    one = image.file(b"x")
    good, last = (image.identifier(name, one, 0, 0) for name in ("good", "last"))
    body = bytearray(last[16:])
    body[place - 16 : place - 16 + len(value)] = value
    data = good + tag(257, 0, bytes(body))
    root, content = image.take(1), image.take(1)
    image.put(content, data)
    image.entry(root, 4, len(data), 0, struct.pack("<II", len(data), content))
    image.write(tmp_path / "bad.udf", root)
    with pytest.raises(MediaError, match="directory entry is damaged"):
        inspect(tmp_path / "bad.udf")


def test_a_file_with_a_hole_is_left_out(tmp_path: Path) -> None:
    image = UdfImage()
    entry = image.take(1)
    image.entry(entry, 5, 4096, 0, struct.pack("<II", 2 << 30 | 4096, 0))
    whole = image.file(b"x")
    root = image.directory({"hole": (entry, False), "whole": (whole, False)})
    image.write(tmp_path / "hole.udf", root)
    facts = inspect(tmp_path / "hole.udf")
    assert set(facts.files) == {"whole"}
    assert "holes" in facts.remarks[0]


@pytest.mark.parametrize("name", ["..", ".", "a/b", "nul\0", ""])
def test_names_that_lead_elsewhere_are_left_out(tmp_path: Path, name: str) -> None:
    image = UdfImage()
    one = image.file(b"x")
    root = image.directory({name: (one, False), "good": (one, False)})
    image.write(tmp_path / "names.udf", root)
    facts = inspect(tmp_path / "names.udf")
    assert set(facts.files) == {"good"}
    assert "impossible name" in facts.remarks[0]


class Endless:
    """A file system of our own making: `fan` children in each directory, for ever."""

    name = "endless"
    root = Node(name="", directory=True, extents=(Extent(offset=0, length=1),))

    def __init__(self, fan: int, *, length: int = 1) -> None:
        self.fan, self.length, self.count = fan, length, 0

    def children(self, directory: Node) -> list[Node]:
        nodes = []
        for _ in range(self.fan):
            self.count += 1
            extent = Extent(offset=self.count, length=self.length)
            nodes.append(Node(name="d", directory=True, extents=(extent,)))
        return nodes


@pytest.mark.parametrize("made", [Endless(1), Endless(2), Endless(1, length=MAX_DIRECTORY_BYTES)])
def test_endless_trees_end(made: Endless) -> None:
    window = Window(path=Path("x"), descriptor=-1, size=1 << 40)
    with pytest.raises(Damaged, match="too deep or too big"):
        collect(made, window)


def test_absurd_directories_are_not_read(tmp_path: Path) -> None:
    """A directory of 3 GiB in a sparse image costs neither memory nor time."""
    image = UdfImage()
    entry, place = image.take(1), image.take(3 << 19)
    pieces = [struct.pack("<II", GIB_EXTENT, place + n * (1 << 19)) for n in range(3)]
    image.entry(entry, 4, 3 * GIB_EXTENT, 0, b"".join(pieces))
    image.write(tmp_path / "wide.udf", entry)
    with opened(tmp_path / "wide.udf") as window:
        with pytest.raises(MediaError, match="too big"):
            inspect_window(window)
        assert window.bytes_read < 200_000


def test_files_cannot_multiply_a_chain_of_extents(tmp_path: Path) -> None:
    """A thousand entries that all lead to one chain of thousands of descriptors."""
    image = UdfImage()
    image.form, image.extent, image.gap = "short", 2048, 1
    _, descriptors = image.descriptors(b"", 2048 * 6000)
    chain = descriptors[-8:]
    size = 2048 * (6000 - len(descriptors) // 8 + 1)
    files = {}
    for number in range(1000):
        entry = image.take(1)
        image.entry(entry, 5, size, 0, chain)
        files[f"file{number}"] = (entry, False)
    image.write(tmp_path / "many.udf", image.directory(files))
    with pytest.raises(MediaError, match="more extents than any real disc"):
        inspect(tmp_path / "many.udf")
