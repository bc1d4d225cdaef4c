"""A serial log without a file."""

from __future__ import annotations

from collections.abc import Callable

from provisioner.ports import SerialPosition


class FakeSerialLog:
    """Reads on from where it was. `settle` lets a scripted guest catch up with the clock first."""

    def __init__(self, *, settle: Callable[[], None] = lambda: None) -> None:
        self._settle = settle
        self._data = bytearray()
        self._offset = 0

    def write(self, data: bytes) -> None:
        self._data += data

    def read_new(self) -> bytes:
        self._settle()
        new = bytes(self._data[self._offset :])
        self._offset = len(self._data)
        return new

    def position(self) -> SerialPosition:
        return SerialPosition(file=1, offset=self._offset)

    def resume(self, position: SerialPosition) -> str | None:
        if position.offset > len(self._data):
            return "the serial log was emptied"
        self._offset = position.offset
        return None

    def everything(self) -> bytes:
        return bytes(self._data)
