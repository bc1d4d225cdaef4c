"""Sticks in memory that fail on request, and a machine that has them; a small image to write."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache

from provisioner.host.disk import Identity
from provisioner.usb.devices import Chosen, Disk, PartitionInfo, Transport
from provisioner.usb.devices_uses import Kernel
from provisioner.usb.gates import Request, opening_error
from provisioner.usb.spans import MIB, SECTOR
from provisioner.usb.stream import Block, Place


@dataclass(kw_only=True)
class Faults:
    """What a stick does wrong. Amounts of bytes are counted over all that it accepted."""

    short: int = 0
    """Most bytes of one write."""
    real: int = 0
    """The size of its flash, where it is less: addresses wrap around."""
    lost_from: int = 0
    """Writes from this byte on vanish, and zeros are read."""
    write_errors: dict[int, int] = field(default_factory=dict)
    """Sector offset to how often writing it fails; -1 for ever."""
    read_errors: dict[int, int] = field(default_factory=dict)
    flaky: dict[int, int] = field(default_factory=dict)
    """Sector offset to how often it is read as something else, a new thing each time."""
    rotten: set[int] = field(default_factory=set)
    """Sectors that keep something else than what is written."""
    at: int = 0
    """After so many bytes accepted, `event` happens, once."""
    event: Callable[[], None] | None = None
    gone: bool = False
    refuses: int = 0
    """An errno for every write from now on."""
    forgets: bool = False
    """Accepts writes and keeps nothing."""
    size_now: int = 0
    slow: float = 0
    """Seconds for each write."""


@cache
def _megabyte(seed: int) -> bytes:
    return random.Random(seed).randbytes(MIB)


def noise(seed: int, offset: int, length: int) -> bytes:
    """Bytes of chance, at most a MiB of them, other ones at each offset."""
    data = _megabyte(seed)[offset // SECTOR % 499 :] + _megabyte(seed)
    return offset.to_bytes(8, "little") + data[: length - 8]


class FakeStick:
    """A `Device` over memory. `accepted` counts what it took; `log` has every write and flush."""

    def __init__(self, size: int, *, seed: int = 1, used: int = 5 * MIB) -> None:
        self.size = size
        self.faults = Faults()
        self.accepted = 0
        self.closed = True
        self.logging = False
        self.log: list[tuple[int, bytes] | None] = []
        self.number = "8:32"
        self.diskseq: int | None = 7
        self.read_only = False
        self.writing = threading.RLock()
        """One write at a time, in whatever order several threads come."""
        self._memory = os.memfd_create("stick")
        os.ftruncate(self._memory, size)
        for offset in range(0, min(used, size), MIB):
            os.pwrite(self._memory, noise(seed, offset, min(MIB, size - offset)), offset)
        os.pwrite(self._memory, b"EFI PART" + noise(seed, size, 504), size - SECTOR)

    def __del__(self) -> None:
        os.close(self._memory)

    def content(self) -> str:
        """A digest of everything."""
        digest = hashlib.sha256()
        for offset in range(0, self.size, MIB):
            digest.update(os.pread(self._memory, min(MIB, self.size - offset), offset))
        return digest.hexdigest()

    def peek(self, offset: int, length: int) -> bytes:
        """What the flash has, without any fault."""
        return os.pread(self._memory, length, offset)

    def poke(self, offset: int, data: bytes) -> None:
        """Changes it behind everybody's back."""
        os.pwrite(self._memory, data, offset)

    # --- Device ---

    def identity(self) -> Identity:
        self._present()
        return Identity(
            number=self.number,
            diskseq=self.diskseq,
            size=self.faults.size_now or self.size,
            sector=SECTOR,
            read_only=self.read_only,
        )

    def read(self, offset: int, length: int) -> bytes:
        self._present()
        length = min(length, self.size - offset)
        data = bytearray()
        for at, count in self._pieces(offset, length):
            data += os.pread(self._memory, count, at)
        for sector in self._sectors(offset, length, self.faults.read_errors):
            raise OSError(errno.EIO, os.strerror(errno.EIO), sector)
        for sector in self._sectors(offset, length, self.faults.flaky):
            data[sector - offset : sector - offset + 8] = os.urandom(8)
        return bytes(data)

    def digest(self, offset: int, length: int) -> bytes:
        return hashlib.sha256(self.read(offset, length)).digest()

    def write(self, offset: int, data: bytes | memoryview) -> int:
        with self.writing:
            return self._write(offset, data)

    def _write(self, offset: int, data: bytes | memoryview) -> int:
        assert not self.closed, "written to after it was given up"
        self._present()
        faults = self.faults
        view = memoryview(data)
        assert offset % SECTOR == 0
        assert len(view) % SECTOR == 0
        if faults.event is not None and self.accepted + len(view) > faults.at:
            event, faults.event = faults.event, None
            event()
            self._present()
        time.sleep(faults.slow)
        if faults.refuses:
            raise OSError(faults.refuses, os.strerror(faults.refuses))
        end = faults.size_now or self.size
        if offset >= end:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        view = view[: end - offset]
        if faults.short:
            view = view[: faults.short]
        for sector in self._sectors(offset, len(view), faults.write_errors):
            raise OSError(errno.EIO, os.strerror(errno.EIO), sector)
        if not faults.forgets:
            done = 0
            for at, count in self._pieces(offset, len(view)):
                if not faults.lost_from or offset + done < faults.lost_from:
                    os.pwrite(self._memory, view[done : done + count], at)
                done += count
            for sector in faults.rotten:
                if offset <= sector < offset + len(view):
                    os.pwrite(self._memory, b"rotten!!", sector)
        if self.logging:
            self.log.append((offset, bytes(view)))
        self.accepted += len(view)
        return len(view)

    def flush(self) -> None:
        self._present()
        if self.logging:
            self.log.append(None)

    def forget(self) -> None:
        self._present()

    def reread_table(self) -> None:
        self._present()

    def close(self) -> None:
        self.closed = True

    def _present(self) -> None:
        if self.faults.gone:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))

    def _pieces(self, offset: int, length: int) -> Iterator[tuple[int, int]]:
        """Where bytes really are, behind address lines that wrap."""
        real = self.faults.real or self.size
        while length:
            at = offset % real
            count = min(length, real - at)
            yield at, count
            offset += count
            length -= count

    @staticmethod
    def _sectors(offset: int, length: int, table: dict[int, int]) -> Iterator[int]:
        for sector, count in table.items():
            if offset <= sector < offset + length and count:
                table[sector] = count - 1
                yield sector


def stick_disk(size: int, **changes: object) -> Disk:
    """A stick as sysfs shows it."""
    disk = Disk(
        name="sdc",
        node="/dev/sdc",
        number="8:32",
        size=size,
        sector=512,
        read_only=False,
        removable=True,
        transport=Transport.USB,
        vendor="SanDisk",
        model="Ultra",
        serial="4C530001",
        diskseq=7,
        ids=("usb-SanDisk_Ultra_4C530001",),
        partitions=(
            PartitionInfo(
                name="sdc1",
                number=1,
                offset=MIB,
                size=size - 2 * MIB,
                filesystem="FAT",
                label="HOLIDAY",
            ),
        ),
    )
    return replace(disk, **changes)  # type: ignore[arg-type]


class FakeMachine:
    """A machine with sticks: each a disk as sysfs has it, and what is behind its node."""

    def __init__(self, *sticks: tuple[Disk, FakeStick]) -> None:
        self.sticks = list(sticks)
        self.unmounted: list[str] = []
        self.paused = 0.0
        self.before_open: Callable[[], None] = lambda: None
        self.open_error = 0
        for disk, stick in self.sticks:
            stick.number, stick.diskseq = disk.number, disk.diskseq

    def disks(self) -> tuple[Disk, ...]:
        return tuple(disk for disk, stick in self.sticks if not stick.faults.gone)

    def kernel(self) -> Kernel:
        return Kernel(blocks={}, mounts=(), swaps=(), btrfs=(), sources={})

    def disk_of_number(self, number: str) -> Disk | None:
        return next((disk for disk in self.disks() if disk.number == number), None)

    def open(self, chosen: Chosen, request: Request) -> FakeStick:
        self.before_open()
        if self.open_error:
            raise opening_error(OSError(self.open_error, "fake"), chosen)
        for disk, stick in self.sticks:
            if disk.node == chosen.node and not stick.faults.gone:
                stick.closed = False
                return stick
        raise opening_error(OSError(errno.ENOENT, "fake"), chosen)

    def unmount(self, disk: Disk) -> None:
        self.unmounted.append(disk.name)
        self.change(disk.name, uses=())

    def settle(self) -> None:
        return

    def pause(self, seconds: float) -> None:
        self.paused += seconds

    def change(self, name: str, **changes: object) -> None:
        """What sysfs says of a disk from now on."""
        self.sticks = [
            (replace(disk, **changes) if disk.name == name else disk, stick)  # type: ignore[arg-type]
            for disk, stick in self.sticks
        ]


class Image:
    """A Stream: blocks of chance here and there, files and partitions by rule."""

    def __init__(self, size: int, blocks: tuple[tuple[int, int], ...], *, seed: int = 9) -> None:
        self.size = size
        self._blocks = blocks
        self._seed = seed
        self.before: Callable[[int], None] = lambda offset: None

    @property
    def used(self) -> int:
        return sum(length for _, length in self._blocks)

    def blocks(self) -> Iterator[tuple[int, bytes]]:
        for offset, length in self._blocks:
            self.before(offset)
            data = noise(self._seed, offset, length)
            if offset == 0:
                data = data[:510] + b"\x55\xaa" + data[512:]
            yield offset, data

    def place(self, offset: int) -> Place:
        if offset < MIB:
            return Place(partition="partition table", file=None)
        return Place(partition="partition 1", file=f"sources/file{offset // MIB}.bin")

    def ends(self, size: int) -> tuple[Block, ...]:
        return ()

    def expected(self) -> Iterator[tuple[int, bytes]]:
        """As `blocks`, without what happens before each."""
        before, self.before = self.before, lambda offset: None
        yield from self.blocks()
        self.before = before


def small_image(size: int = 16 * MIB, *, until: int = 13 * MIB) -> Image:
    """The first MiB and runs with gaps, ending with a backup table."""
    inner = tuple((offset, MIB) for offset in range(MIB, until, MIB) if offset // MIB % 5)
    return Image(size, ((0, MIB), *inner, (size - 64 * SECTOR, 64 * SECTOR)))


def holds(stick: FakeStick, image: Image) -> bool:
    """Whether every block of the image is on the stick."""
    return all(stick.peek(offset, len(data)) == data for offset, data in image.expected())
