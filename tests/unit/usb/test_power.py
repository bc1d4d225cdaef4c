"""Power fails at any byte: the stick can be given back, or says that it is not finished, or is
whole. Never does a part look like a success."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provisioner.errors import InterruptedByUser
from provisioner.usb.capsule import find, unfinished
from provisioner.usb.gates import Request
from provisioner.usb.job import Care, Job
from provisioner.usb.spans import MIB, SECTOR
from tests.fakes.stick import FakeMachine, FakeStick, holds, small_image, stick_disk

SIZE = 20 * MIB


class Cut(BaseException):
    """The power is gone."""


class DyingStick(FakeStick):
    """Takes `left` bytes, then dies in the middle of a write, with the bytes before in ascending
    order on the flash. What was not flushed may be lost as well: `cache` writes at most."""

    def __init__(self, size: int, left: int, cache: int, chance: random.Random) -> None:
        super().__init__(size)
        self.left = left
        self.dead = False
        self._cache = cache
        self._chance = chance
        self._unflushed: list[tuple[int, bytes]] = []

    def _write(self, offset: int, data: bytes | memoryview) -> int:
        if self.dead:
            raise Cut
        if len(data) > self.left:
            kept = bytes(data[: self.left])
            self.poke(offset, kept)  # torn, in a sector even
            self._lose()
            self.dead = True
            raise Cut
        self.left -= len(data)
        self._unflushed.append((offset, self.peek(offset, len(data))))
        return super()._write(offset, data)

    def flush(self) -> None:
        if self.dead:
            raise Cut
        self._unflushed.clear()

    def _lose(self) -> None:
        """Some of the last writes since the flush never came to the flash."""
        lost = self._unflushed[-self._cache :] if self._cache else []
        for offset, before in reversed(lost):
            if self._chance.random() < 0.5:
                self.poke(offset, before)


def torn_at_the_end(sector: bytes) -> bool:
    """Of the first sector's own write the last two bytes are missing."""
    return sector[511] == 0


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    where=st.integers(0, 1000),
    torn=st.integers(0, 1024),
    cache=st.sampled_from((0, 1, 3)),
    seed=st.integers(0, 9),
)
def test_at_any_cut(
    tmp_path_factory: pytest.TempPathFactory, where: int, torn: int, cache: int, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("state")
    image = small_image(16 * MIB, until=9 * MIB)
    care = Care(state=folder, head=3 * MIB, tail=MIB, stamps=24)
    disk = stick_disk(SIZE)
    total = 12_800_000  # what a whole write comes to, and a little
    left = where * total // 1000 // SECTOR * SECTOR + torn
    stick = DyingStick(SIZE, left, cache, random.Random(seed))
    stick.poke(510, b"\x55\xaa")
    before = stick.content()
    machine = FakeMachine((disk, stick))
    done = False
    try:
        [result] = Job(machine, care).write(image, (disk,), Request(needed=image.size))
        done = result.failure is None
    except Cut:
        pass

    stick.dead, stick.left = False, 10**9  # plugged in again
    stick.closed = False
    sector = stick.peek(0, SECTOR)
    if done:
        assert holds(stick, image)
        assert not list((folder / "usb").iterdir())
        return
    capsule = find(stick.peek(0, SECTOR), disk, folder)
    if capsule is not None:
        capsule.put_back(stick)
        assert stick.content() == before
        return
    untouched = stick.content() == before
    whole = holds(stick, image)
    assert untouched or unfinished(sector) or whole or torn_at_the_end(sector)
    # Only a stick that is whole may have a boot sector.
    assert sector[510:] != b"\x55\xaa" or untouched or whole


def test_an_interrupted_write_keeps_the_first_capsule(tmp_path: Path) -> None:
    """A second write after a power failure must not take the marker for the old contents."""
    image = small_image(16 * MIB, until=9 * MIB)
    care = Care(state=tmp_path, head=3 * MIB, tail=MIB, stamps=24)
    disk = stick_disk(SIZE)
    stick = DyingStick(SIZE, 2 * MIB + 77, 0, random.Random(1))
    before = stick.content()
    for left in (2 * MIB, 3 * MIB):
        stick.dead, stick.left = False, left
        with pytest.raises(Cut):
            Job(FakeMachine((disk, stick)), care).write(image, (disk,), Request())
    stick.dead, stick.left, stick.closed = False, 10**9, False
    capsule = find(stick.peek(0, SECTOR), disk, tmp_path)
    assert capsule is not None
    capsule.put_back(stick)
    assert stick.content() == before


def test_a_capsule_of_the_past_is_not_put_back(tmp_path: Path) -> None:
    """Somebody used the stick since; its first sector is the same, the rest is not."""
    care = Care(state=tmp_path, head=3 * MIB, tail=MIB, stamps=24)
    disk = stick_disk(SIZE)
    stick = DyingStick(SIZE, 10**9, 0, random.Random(1))
    old = stick.peek(0, SECTOR)
    stick.left = 100
    with pytest.raises(Cut):
        Job(FakeMachine((disk, stick)), care).write(small_image(), (disk,), Request())
    stick.dead, stick.left, stick.closed = False, 10**9, False
    assert find(stick.peek(0, SECTOR), disk, tmp_path) is not None, "torn in the marker"
    stick.poke(0, old)
    stick.poke(5000, b"new data")
    assert find(stick.peek(0, SECTOR), disk, tmp_path) is None
    before = stick.content()
    image = small_image(16 * MIB, until=9 * MIB)
    image.before = interrupt
    with pytest.raises(InterruptedByUser, match="as it was before"):
        Job(FakeMachine((disk, stick)), care).write(image, (disk,), Request())
    assert stick.content() == before


def interrupt(offset: int) -> None:
    raise KeyboardInterrupt


def test_two_sticks_of_one_serial_have_two_capsules(tmp_path: Path) -> None:
    care = Care(state=tmp_path, head=3 * MIB, tail=MIB, stamps=24)
    disks = (stick_disk(SIZE), stick_disk(SIZE, name="sdd", node="/dev/sdd", number="8:48"))
    sticks = (FakeStick(SIZE, seed=1), FakeStick(SIZE, seed=2))
    machine = FakeMachine(*zip(disks, sticks, strict=True))
    before = [stick.content() for stick in sticks]
    image = small_image(16 * MIB, until=9 * MIB)
    image.before = interrupt
    with pytest.raises(InterruptedByUser):
        Job(machine, care).write(image, disks, Request())
    assert [stick.content() for stick in sticks] == before


def test_ctrl_c_while_two_sticks_are_read_back(tmp_path: Path) -> None:
    """Neither is a success, and nobody waits until all is read."""
    care = Care(state=tmp_path, head=3 * MIB, tail=MIB, stamps=24)
    disks = (stick_disk(SIZE), stick_disk(SIZE, name="sdd", node="/dev/sdd", number="8:48"))
    sticks = (FakeStick(SIZE, seed=1), FakeStick(SIZE, seed=2))
    image = small_image(16 * MIB, until=9 * MIB)

    def progress(label: str, done: int, total: int) -> None:
        if label.startswith("verifying"):
            raise KeyboardInterrupt

    machine = FakeMachine(*zip(disks, sticks, strict=True))
    with pytest.raises(InterruptedByUser) as caught:
        Job(machine, care, progress=progress).write(image, disks, Request())
    assert caught.value.message.count("is unfinished") == 2
    assert all(unfinished(stick.peek(0, SECTOR)) for stick in sticks)
