"""The bytes of a stick, between whoever composes them and whoever writes and proves them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from provisioner.frozen import frozen


@frozen
class Place:
    """Where an offset lies, for messages. `file` is None in tables and free space."""

    partition: str
    file: str | None


Block = tuple[int, bytes]
"""`(offset, data)`, the offset in bytes."""


class Stream(Protocol):
    """An image as one pass of bytes in ascending order; what is skipped is unused space.

    Deterministic: two passes give the same bytes. Offsets and lengths are in bytes.
    """

    @property
    def size(self) -> int:
        """The length of the whole image, unused space included; a multiple of 512."""
        ...

    @property
    def used(self) -> int:
        """How many bytes `blocks` gives altogether, for progress."""
        ...

    def blocks(self) -> Iterator[tuple[int, bytes | memoryview]]:
        """`(offset, data)`, ascending, not overlapping, at most 4 MiB each; offsets and lengths
        are multiples of 512. The data may be used until the next block is asked for.

        Raises FailedError where a source cannot be read or has changed.
        """
        ...

    def place(self, offset: int) -> Place:
        """What lies at an offset."""
        ...

    def ends(self, size: int) -> tuple[Block, ...]:
        """What differs on a stick of `size` bytes, more than this one's own: everything in its
        first MiB and in its last, ascending. Empty where the image is the same on every stick.
        """
        ...
