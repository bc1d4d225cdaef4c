"""Several sticks with one read of the source: of several sizes, and some of which fail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.tree import Bytes, File, Tree
from provisioner.usb.chunks import Buffers, chunks
from provisioner.usb.compose import Form, StickStream
from provisioner.usb.device import write_out
from provisioner.usb.devices import PartitionInfo
from provisioner.usb.gates import GateError, Request
from provisioner.usb.job import Care, Job, Result
from provisioner.usb.resized import resized, size_in_use
from provisioner.usb.spans import MIB, SECTOR
from provisioner.usb.stream import Stream
from provisioner.usb.tables import Table
from provisioner.usb.verify import digests_of, verify
from tests.fakes.stick import FakeMachine, FakeStick, holds, small_image, stick_disk
from tests.unit.usb.readers import EPOCH, checked, extracted, with_folders, written

FILES: dict[str, bytes | None] = {"SETUP.EXE": b"MZ" * 9000, "sources/a.wim": b"wim!" * 900_000}
SIZES = (48 * MIB, 48 * MIB + 300 * SECTOR, 91 * MIB + 77 * SECTOR)


class Counted(StickStream):
    """Which notes when it is read."""

    passes = 0

    def blocks(self) -> Iterator[tuple[int, bytes | memoryview]]:
        self.passes += 1
        yield from super().blocks()


def composed(size: int, table: Table = Table.GPT) -> Counted:
    tree = Tree(
        (path, File(content=(Bytes(data=data),)))
        for path, data in FILES.items()
        if data is not None
    )
    return Counted(tree, Form(table=table, epoch=EPOCH), capacity=size, reveal=str)


def content(stream: Stream) -> dict[int, bytes]:
    return {chunk.offset: bytes(chunk.data) for chunk in chunks(stream, Buffers(400))}


@pytest.mark.parametrize("table", list(Table))
@pytest.mark.parametrize("size", SIZES[1:])
def test_a_larger_stick_has_the_same_partition(tmp_path: Path, table: Table, size: int) -> None:
    """sgdisk, sfdisk, fsck.fat and mtools find nothing to complain of."""
    larger = resized(composed(SIZES[0], table), size)
    image = written(larger, tmp_path / "stick.img")
    assert image.stat().st_size == size
    volume = checked(image, gpt=table is Table.GPT)
    assert volume.stat().st_size == 46 * MIB
    assert extracted(volume, tmp_path / "out") == with_folders(FILES)


@pytest.mark.parametrize("table", list(Table))
def test_where_it_is_the_same_it_is_the_same_to_the_byte(table: Table) -> None:
    """A few sectors more make no larger partition; so `usb verify` need not know which stick was
    the smallest of those that were written together."""
    few_more = resized(composed(SIZES[0], table), SIZES[1])
    assert content(few_more) == content(composed(SIZES[1], table))
    assert resized(few_more, SIZES[1]) is few_more


def test_the_same_pieces_however_it_is_read() -> None:
    """What is written from one pass for all is read back by digests of the same ranges."""
    larger = resized(composed(SIZES[0]), SIZES[2])
    stick = FakeStick(SIZES[2])
    stick.closed = False
    for offset, data in larger.blocks():
        write_out(stick, offset, data)
    assert verify(stick, digests_of(larger), larger, lambda *_: None).sound


def test_places_on_a_larger_stick() -> None:
    smallest = composed(SIZES[0])
    larger = resized(smallest, SIZES[2])
    tables = smallest.place(0)
    assert larger.place(0) == larger.place(SIZES[2] - SECTOR) == tables
    inside = next(offset for offset, _ in smallest.blocks() if smallest.place(offset).file)
    assert larger.place(inside) == smallest.place(inside)


def write(
    folder: Path, stream: Stream, sticks: list[FakeStick]
) -> tuple[FakeMachine, tuple[Result, ...], list[tuple[str, int, int]]]:
    disks = [
        stick_disk(
            stick.size, name=f"sd{letter}", node=f"/dev/sd{letter}", number=f"8:{number}",
            serial=f"S{number}", diskseq=number, ids=(f"usb-S{number}",), partitions=(),
        )
        for letter, number, stick in zip("cdef", (32, 48, 64, 80), sticks, strict=False)
    ]  # fmt: skip
    machine = FakeMachine(*zip(disks, sticks, strict=True))
    seen: list[tuple[str, int, int]] = []
    job = Job(
        machine,
        Care(state=folder, head=4 * MIB, tail=MIB),
        progress=lambda label, done, total: seen.append((label, done, total)),
    )
    return machine, job.write(stream, disks, Request(needed=stream.size)), seen


def standing(stick: FakeStick, stream: Stream) -> bool:
    return all(stick.peek(offset, len(data)) == data for offset, data in stream.blocks())


@pytest.mark.parametrize("table", list(Table))
def test_three_sizes_and_one_read(tmp_path: Path, table: Table) -> None:
    stream = composed(SIZES[0], table)
    sticks = [FakeStick(size, seed=number) for number, size in enumerate(SIZES)]
    _, results, seen = write(tmp_path, stream, sticks)
    assert [result.failure for result in results] == [None, None, None]
    assert all(result.verified and result.verified.sound for result in results)
    assert stream.passes == 1, "the source was read more than once"
    for stick in sticks:
        assert standing(stick, resized(stream, stick.size))
    for what in ("writing", "verifying"):
        for name in ("sdc", "sdd", "sde"):
            counts = [done for label, done, _ in seen if label == f"{what} {name}"]
            assert counts == sorted(counts)
            assert counts[-1] == stream.used
    # The largest one's own last sector; nothing of the smallest's stands in its middle.
    assert sticks[2].peek(SIZES[2] - SECTOR, 8) == (b"EFI PART" if table is Table.GPT else bytes(8))
    assert sticks[2].peek(SIZES[0] - SECTOR, 8) != b"EFI PART"


def test_a_fault_at_a_larger_sticks_own_end(tmp_path: Path) -> None:
    sticks = [FakeStick(SIZES[0], seed=1), FakeStick(SIZES[2], seed=2)]
    sticks[1].faults.rotten = {SIZES[2] - SECTOR}
    # The wipe would find it, for it looks at the same place; so it begins later.
    rotten, sticks[1].faults.rotten = sticks[1].faults.rotten, set()
    sticks[1].faults.at = 6 * MIB
    sticks[1].faults.event = lambda: setattr(sticks[1].faults, "rotten", rotten)
    _, (first, second), _ = write(tmp_path, composed(SIZES[0]), sticks)
    assert first.failure is None
    assert second.failure is not None
    assert f"byte {SIZES[2] - SECTOR}, no partition (GPT tables)" in second.failure.message


TROUBLE = {
    "a fake": ({"real": 32 * MIB}, "are real; /dev/sdd is as it was before"),
    "keeps nothing": ({"forgets": True}, "did not stay; /dev/sdd is as it was before"),
    "takes nothing": ({"refuses": 5}, "/dev/sdd could not be put back now"),
    "cannot be read": ({"read_errors": {0: -1}}, "/dev/sdd was not changed"),
    "fails later": ({"write_errors": {2 * MIB + 512 * 9: -1}}, "does not take what is written"),
}


@pytest.mark.parametrize("name", TROUBLE)
def test_one_that_fails_does_not_stop_the_others(tmp_path: Path, name: str) -> None:
    """Whenever it fails: while it is tried out, too."""
    faults, says = TROUBLE[name]
    image = small_image()
    sticks = [FakeStick(SIZES[0], seed=number) for number in range(3)]
    before = sticks[1].content()
    for fault, value in faults.items():
        setattr(sticks[1].faults, fault, value)
    _, results, _ = write(tmp_path, image, sticks)
    failed = results[1].failure
    assert failed is not None
    assert says in failed.message
    assert [results[0].failure, results[2].failure] == [None, None]
    assert holds(sticks[0], image)
    assert holds(sticks[2], image)
    if "as it was" in failed.message or "not changed" in failed.message:
        assert sticks[1].content() == before


def test_a_gate_stops_all_before_anything_changed(tmp_path: Path) -> None:
    sticks = [FakeStick(SIZES[0], seed=1), FakeStick(SIZES[0], seed=2)]
    sticks[1].read_only = True
    before = [stick.content() for stick in sticks]
    with pytest.raises(GateError, match="has become write-protected"):
        write(tmp_path, small_image(), sticks)
    assert [stick.content() for stick in sticks] == before
    assert [stick.accepted for stick in sticks] == [0, 0]


def test_the_size_an_image_was_composed_for() -> None:
    disk = stick_disk(91 * MIB + 77 * SECTOR, partitions=())
    assert size_in_use(disk) == disk.size
    part = PartitionInfo(name="sdc1", number=1, offset=MIB, size=46 * MIB)
    assert size_in_use(replace(disk, partitions=(part,))) == 48 * MIB
    whole = replace(part, size=disk.size - MIB)
    assert size_in_use(replace(disk, partitions=(whole,))) == disk.size


def test_one_that_is_pulled_while_it_is_read_back(tmp_path: Path) -> None:
    """The other one is proven all the same."""
    sticks = [FakeStick(SIZES[0], seed=1), FakeStick(SIZES[0], seed=2)]
    real = sticks[1].digest

    def digest(offset: int, length: int) -> bytes:
        if offset > 8 * MIB:
            sticks[1].faults.gone = True
        return real(offset, length)

    sticks[1].digest = digest  # type: ignore[method-assign]
    image = small_image()
    _, (first, second), _ = write(tmp_path, image, sticks)
    assert first.failure is None
    assert first.verified is not None
    assert holds(sticks[0], image)
    assert second.failure is not None
    assert "/dev/sdd (SanDisk Ultra, serial S48) disappeared" in second.failure.message
    assert "/dev/sdd may look finished, and is not" in second.failure.message
