"""Compressed images, unpacked as they are read: xz, gzip, bzip2, Zstandard, by their first bytes.

The only door to zstandard. Whatever a decompressor raises for damage is a FailedError here.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from provisioner.errors import FailedError, HostError, MediaError
from provisioner.host.files import os_error

MEMORY = 128 * 1024 * 1024
"""Most that a decompressor may ask for; `xz -9` and `zstd --long=27` stay below."""
INPUT = 64 * 1024

_MAGIC = {
    b"\xfd7zXZ\0": "xz",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "Zstandard",
}


def packing(path: Path) -> str | None:
    """How a file is compressed; None for one that is not. MediaError where it cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as err:
        raise MediaError(f"cannot read {path}: {err.strerror}") from err
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)


class Readable(Protocol):
    """What can be read from its first byte to its last."""

    def read(self, length: int, /) -> bytes:
        """At most so many bytes; none at the end."""
        ...


@contextmanager
def unpacked(path: Path) -> Iterator[Readable]:
    """The bytes of an image, from its first to its last. FailedError where it is damaged or cut
    short, or wants more memory than an image has any reason to."""
    kind = packing(path)
    try:
        with path.open("rb") as file:
            match kind:
                case "xz":
                    yield _Xz(file)
                case "gzip":
                    yield gzip.GzipFile(fileobj=file)
                case "bzip2":
                    yield bz2.BZ2File(file)
                case "Zstandard":
                    yield _zstandard(file)
                case _:
                    yield file
    except OSError as err:
        if err.errno is not None:
            raise os_error(err, f"read {path}") from err
        raise _damaged(path, kind) from err
    except (EOFError, lzma.LZMAError, zlib.error, _Damaged) as err:
        raise _damaged(path, kind) from err


class _Damaged(Exception):
    """What Zstandard complains about."""


def _damaged(path: Path, kind: str | None) -> FailedError:
    return FailedError(
        f"{path} is damaged or cut short: it does not unpack as {kind}",
        hint="fetch it again, and compare its checksum",
    )


class _Xz:
    """The standard library's reader of xz files has no limit for memory; its decompressor has."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._unpacker = lzma.LZMADecompressor(memlimit=MEMORY)

    def read(self, length: int) -> bytes:
        """At most `length` bytes; streams that follow each other are one."""
        while True:
            data = b""
            if self._unpacker.eof:
                # Padding between streams is zeros (the .xz file format, §2.2).
                data = self._unpacker.unused_data.lstrip(b"\0")
                while not data:
                    more = self._file.read(INPUT)
                    if not more:
                        return b""
                    data = more.lstrip(b"\0")
                self._unpacker = lzma.LZMADecompressor(memlimit=MEMORY)
            elif self._unpacker.needs_input:
                data = self._file.read(INPUT)
                if not data:
                    raise EOFError
            if unpacked := self._unpacker.decompress(data, length):
                return unpacked


class _Zstandard:
    """zstandard's own reader takes a file that is cut short for a whole one; this does not."""

    def __init__(self, file: BinaryIO, library: Any) -> None:
        self._file = file
        self._library = library
        self._context = library.ZstdDecompressor(max_window_size=MEMORY)
        self._unpacker: Any = None
        self._ready = memoryview(b"")

    def read(self, length: int) -> bytes:
        """At most `length` bytes; frames that follow each other are one."""
        while not self._ready:
            # A block of zeros is a few bytes of input and 128 KiB of output.
            data = self._file.read(1024)
            if not data:
                if self._unpacker is not None:
                    raise EOFError
                return b""
            self._ready = memoryview(b"".join(self._frames(data)))
        taken, self._ready = bytes(self._ready[:length]), self._ready[length:]
        return taken

    def _frames(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._unpacker is None:
                self._unpacker = self._context.decompressobj()
            try:
                yield self._unpacker.decompress(data)
            except self._library.ZstdError as err:
                raise _Damaged from err
            if not self._unpacker.eof:
                return
            data = self._unpacker.unused_data
            self._unpacker = None


def _zstandard(file: BinaryIO) -> _Zstandard:
    try:
        import zstandard
    except ImportError as err:
        raise HostError(
            "the Python package zstandard is not installed",
            hint="pip install zstandard, or unpack the image with `zstd -d` first",
        ) from err
    return _Zstandard(file, zstandard)
