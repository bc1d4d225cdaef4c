"""An image on a stick that is larger than the one it was composed for.

A partition table tells the size of the stick, and its backup lies at the end; everything between
is the same. So sticks of several sizes take one read of the source, with one partition that the
smallest of them holds. What a larger one has behind it stays unused.
"""

from __future__ import annotations

from collections.abc import Iterator

from provisioner.frozen import frozen
from provisioner.usb.devices import Disk
from provisioner.usb.spans import MIB
from provisioner.usb.stream import Block, Place, Stream


@frozen
class Resized:
    """A Stream: `stream` between other ends."""

    stream: Stream
    size: int
    own: tuple[Block, ...]

    @property
    def used(self) -> int:
        """As many as the other one's."""
        return self.stream.used

    def blocks(self) -> Iterator[tuple[int, bytes | memoryview]]:
        """Its own ends, and what lies between the other one's."""
        first, last = MIB, self.stream.size - MIB
        yield from (block for block in self.own if block[0] < first)
        for offset, data in self.stream.blocks():
            inner = memoryview(data).cast("B")[max(0, first - offset) : max(0, last - offset)]
            if inner:
                yield max(offset, first), inner
        yield from (block for block in self.own if block[0] >= first)

    def place(self, offset: int) -> Place:
        """By the other one's layout."""
        behind = offset - (self.size - MIB)
        return self.stream.place(self.stream.size - MIB + behind if behind >= 0 else offset)

    def ends(self, size: int) -> tuple[Block, ...]:
        """The other one's."""
        return self.stream.ends(size)


def resized(stream: Stream, size: int) -> Stream:
    """What has to stand on a stick of `size` bytes; the stream itself where nothing differs."""
    own = stream.ends(size) if size > stream.size else ()
    return Resized(stream=stream, size=size, own=own) if own else stream


def size_in_use(disk: Disk) -> int:
    """The size of the smallest stick on which the partitions of this one have room: what an image
    was composed for that was written to sticks of several sizes."""
    ends = [part.offset + part.size for part in disk.partitions]
    return min(disk.size, max(ends) + MIB) if ends else disk.size
