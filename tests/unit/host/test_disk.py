"""What an open disk does with memory, lengths and devices that are not to O_DIRECT's liking."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.host.disk import BLOCK, SETTLE_EVERY, OpenDisk, open_disk


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "disk"
    path.write_bytes(os.urandom(2 * BLOCK))
    return path


@pytest.fixture
def disk(file: Path) -> Iterator[OpenDisk]:
    found = OpenDisk(os.open(file, os.O_RDWR | os.O_DIRECT))
    yield found
    found.close()


def test_memory_that_is_not_aligned(disk: OpenDisk, file: Path) -> None:
    data = memoryview(b"?" + os.urandom(8192))[1:]
    assert disk.write(4096, data) == 8192
    assert disk._direct, "copied, and still past the cache"
    assert disk.read(4096, 8192) == bytes(data)
    assert disk.digest(4096, 8192) == hashlib.sha256(data).digest()
    assert file.read_bytes()[4096:12288] == bytes(data)


def test_what_the_device_takes_only_through_the_cache(disk: OpenDisk, file: Path) -> None:
    assert disk.write(100, b"odd") == 3
    assert not disk._direct
    for number in range(2 * SETTLE_EVERY // BLOCK):
        disk.write(BLOCK * (number % 2), bytes([number]) * BLOCK)
    disk.flush()
    assert file.read_bytes()[:2] == bytes([6, 6])


def test_reads_that_are_not_aligned(disk: OpenDisk, file: Path) -> None:
    assert disk.read(100, 50) == file.read_bytes()[100:150]
    assert not disk._direct


def test_the_end(disk: OpenDisk) -> None:
    assert len(disk.read(2 * BLOCK - 512, 4096)) == 512
    with pytest.raises(OSError, match="ends here"):
        disk.digest(2 * BLOCK - 512, 4096)


def test_a_file_is_no_disk(disk: OpenDisk, tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught:
        disk.identity()
    assert caught.value.errno == errno.ENOTBLK
    with pytest.raises(FileNotFoundError):
        open_disk(tmp_path / "missing", write=True)
    disk.close()
    disk.close()
