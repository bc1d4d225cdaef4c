"""Power fails at any byte: the stick can be given back, or says that it is not finished, or is
whole. Never does a part look like a success."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provisioner.usb import capsule as capsules
from provisioner.usb.capsule import load, unfinished
from provisioner.usb.gates import Request
from provisioner.usb.job import Care, Job, capsule_on
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

    def write(self, offset: int, data: bytes | memoryview) -> int:
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
        return super().write(offset, data)

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


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
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
        assert load(capsules.folder_of(folder, disk)) is None
        return
    capsule = capsule_on(stick, disk, folder)
    if capsule is not None:
        capsule.put_back(stick)
        assert stick.content() == before
        return
    untouched = stick.content() == before
    whole = holds(stick, image)
    assert untouched or whole or unfinished(sector) or sector[510:] != b"\x55\xaa"
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
    capsule = capsule_on(stick, disk, tmp_path)
    assert capsule is not None
    capsule.put_back(stick)
    assert stick.content() == before
