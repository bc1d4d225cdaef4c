"""A stream's blocks as aligned chunks in a few buffers that are used again and again.

Chunks never cross a multiple of 4 MiB, nor the bounds of the first and the last MiB, so that the
same image always has the same chunks: what is written, and what is read back, in the same pieces.
"""

from __future__ import annotations

import hashlib
import mmap
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from provisioner.errors import FailedError
from provisioner.host.disk import BLOCK
from provisioner.usb.spans import MIB, SECTOR
from provisioner.usb.stream import Block, Stream

HEAD = MIB
"""What is written last."""
TAIL = MIB
"""With the first MiB, what differs between sticks of several sizes (`resized`)."""

STEP = 512 * 1024
"""Copied at a time: meanwhile no thread of ours can give its device the next chunk."""


class Buffers:
    """A few page-aligned buffers of 4 MiB; whoever wants one more waits."""

    def __init__(self, count: int) -> None:
        self._free: queue.SimpleQueue[mmap.mmap] = queue.SimpleQueue()
        for _ in range(count):
            self._free.put(mmap.mmap(-1, BLOCK))

    def take(self) -> mmap.mmap:
        """One that nobody uses."""
        return self._free.get()

    def give(self, buffer: mmap.mmap) -> None:
        """Back."""
        self._free.put(buffer)


@dataclass(slots=True, eq=False)
class Chunk:
    """A run of bytes in a buffer, which goes back when the last of `users` is done with it."""

    offset: int
    length: int
    buffer: mmap.mmap
    buffers: Buffers
    users: int = 1
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def data(self) -> memoryview:
        """The bytes, as long as it is in use."""
        return memoryview(self.buffer)[: self.length]

    def done(self) -> None:
        """One user less."""
        with self._lock:
            self.users -= 1
            last = self.users == 0
        if last:
            self.buffers.give(self.buffer)


def chunks(stream: Stream, buffers: Buffers) -> Iterator[Chunk]:
    """The whole stream. FailedError where it breaks its own promises, or its source fails."""
    current: Chunk | None = None
    end = 0
    try:
        for offset, data in stream.blocks():
            view = memoryview(data).cast("B")
            if offset < end or offset % SECTOR or len(view) % SECTOR:
                raise FailedError(f"the image gave a block out of place, at byte {offset}")
            end = offset + len(view)
            if end > stream.size:
                raise FailedError(f"the image is longer than it said, at byte {offset}")
            while view:
                if current is not None and (
                    current.offset + current.length != offset or not _room(current, stream.size)
                ):
                    ready, current = current, None
                    yield ready
                if current is None:
                    current = Chunk(offset=offset, length=0, buffer=buffers.take(), buffers=buffers)
                count = min(_room(current, stream.size), len(view), STEP)
                at = current.length
                current.buffer[at : at + count] = view[:count]
                current.length += count
                offset += count
                view = view[count:]
                time.sleep(0)  # lets a device's thread have the interpreter
        if current is not None:
            ready, current = current, None
            yield ready
    finally:
        if current is not None:
            current.done()


def _room(chunk: Chunk, size: int) -> int:
    end = chunk.offset + chunk.length
    if chunk.offset < HEAD:
        return HEAD - end
    limit = (chunk.offset // BLOCK + 1) * BLOCK
    return (min(limit, size - TAIL) if chunk.offset < size - TAIL else limit) - end


def cut(block: Block) -> Iterator[tuple[int, memoryview]]:
    """A block in the pieces in which `chunks` gives it."""
    offset, data = block[0], memoryview(block[1])
    while data:
        count = BLOCK - offset % BLOCK
        yield offset, data[:count]
        offset += count
        data = data[count:]


def hashed(chunk: Chunk) -> bytes:
    """SHA-256 of a chunk, which is done with it then."""
    try:
        return hashlib.sha256(chunk.data).digest()
    finally:
        chunk.done()
