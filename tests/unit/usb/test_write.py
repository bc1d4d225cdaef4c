"""The two writers of a stick: both at work, and never one ahead of the point of no return."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from provisioner.usb.gates import Request
from provisioner.usb.job import Care, Job
from provisioner.usb.spans import MIB
from tests.fakes.stick import FakeMachine, FakeStick, holds, small_image, stick_disk

SIZE = 48 * MIB
HEAD = 4 * MIB


class Meeting(FakeStick):
    """Where the first two writes behind `HEAD` wait for each other."""

    def __init__(self) -> None:
        super().__init__(SIZE)
        self.together = threading.Barrier(2, timeout=20)
        self.left = 2

    def write(self, offset: int, data: bytes | memoryview) -> int:
        with self.writing:
            meets = HEAD <= offset < SIZE - MIB and self.left > 0
            self.left -= meets
        if meets:
            self.together.wait()
        return super().write(offset, data)


class Slow(FakeStick):
    """Whose first write of the image's second MiB takes its time."""

    def write(self, offset: int, data: bytes | memoryview) -> int:
        if offset == MIB and self.logging:
            time.sleep(0.3)
        return super().write(offset, data)


def write(folder: Path, stick: FakeStick) -> None:
    image = small_image(40 * MIB, until=36 * MIB)
    disk = stick_disk(SIZE, partitions=())
    care = Care(state=folder, head=HEAD, tail=MIB, stamps=0)

    def before(offset: int) -> None:
        stick.logging = True

    image.before = before
    [result] = Job(FakeMachine((disk, stick)), care).write(image, (disk,), Request())
    assert result.failure is None
    assert holds(stick, image)


def test_two_writes_are_under_way(tmp_path: Path) -> None:
    stick = Meeting()
    write(tmp_path, stick)
    assert stick.left == 0, "they met"


def test_what_can_be_undone_is_written_first(tmp_path: Path) -> None:
    stick = Slow(SIZE)
    write(tmp_path, stick)
    offsets = [entry[0] for entry in stick.log if entry is not None]
    body = [offset for offset in offsets if MIB <= offset < SIZE - MIB]
    first = next(number for number, offset in enumerate(body) if offset >= HEAD)
    assert body[:first] == [MIB]
    assert all(offset >= HEAD for offset in body[first:])
