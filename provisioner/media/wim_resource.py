"""Random access to one resource of a WIM: only the chunks that are asked for are decoded.

A resource is stored as it is, or as chunks with a table of where each ends, before them or, in a
pipable WIM, as a length before each (after `ebiggers/wimlib:src/resource.c`). Solid resources
and LZMS are not decoded; the error says so.
"""

from __future__ import annotations

from collections import OrderedDict

from provisioner.media import lzx, xpress
from provisioner.media.wim import Readable, Resource, WimHeader
from provisioner.media.window import Damaged, Unsupported

COMPRESSED, SPANNED, SOLID = 0x04, 0x08, 0x10
_LEAST_CHUNK, _LARGEST_CHUNK = 1 << 12, 1 << 21
_WALKED = 1 << 16
_KEPT = 4


class ResourceReader:
    """The decoded bytes of a resource, addressed from its start. Implements `Readable`."""

    def __init__(self, file: Readable, header: WimHeader, resource: Resource) -> None:
        self.size = resource.original_size
        self._file = file
        self._resource = resource
        self._compression = header.compression
        self._pipable = header.pipable
        self._chunk = header.chunk_bytes
        self._decoded: OrderedDict[int, bytes] = OrderedDict()
        self._places: list[tuple[int, int]] = []
        self._compressed = bool(resource.flags & COMPRESSED)
        if resource.flags & SOLID:
            raise Unsupported("it is packed with others in a solid resource, which is not decoded")
        if resource.flags & SPANNED:
            raise Unsupported("it goes on in another part of the split set")
        if not self._compressed:
            if resource.size != resource.original_size:
                raise Damaged("a WIM resource that is not compressed has two sizes")
            return
        if self._compression not in {"XPRESS", "LZX"}:
            raise Unsupported(f"it is compressed with {self._compression}, which is not decoded")
        if self._chunk & (self._chunk - 1) or not _LEAST_CHUNK <= self._chunk <= _LARGEST_CHUNK:
            raise Damaged(f"a WIM has chunks of {self._chunk} bytes")
        if self._chunk_count * 4 > resource.size + 4:
            raise Damaged("a WIM resource is smaller than the table of its chunks")

    @property
    def _chunk_count(self) -> int:
        return -(-self.size // self._chunk)

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes; `Damaged` for bytes past the end and for damaged chunks."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise Damaged(f"a WIM resource ends at byte {self.size}; byte {offset} is beyond")
        if not self._compressed:
            return self._file.read(self._resource.offset + offset, length)
        parts: list[bytes] = []
        while length:
            number, start = divmod(offset, self._chunk)
            count = min(length, self._chunk - start)
            parts.append(self._decode(number, start + count)[start : start + count])
            offset += count
            length -= count
        return b"".join(parts)

    def _decode(self, number: int, needed: int) -> bytes:
        """The first `needed` bytes of a chunk; more of it when it is asked for a second time."""
        size = min(self._chunk, self.size - number * self._chunk)
        known = self._decoded.get(number)
        if known is not None and len(known) >= needed:
            self._decoded.move_to_end(number)
            return known
        limit = needed if known is None else size
        offset, length = self._place(number)
        if length > size or not length:
            raise Damaged(f"chunk {number} of a WIM resource is larger than what it stands for")
        data = self._file.read(offset, length)
        if length == size:
            decoded = data
        elif self._compression == "LZX":
            decoded = lzx.decompress(data, size, window=self._chunk, limit=limit)
        else:
            decoded = xpress.decompress(data, size, limit)
        self._decoded[number] = decoded
        while len(self._decoded) > _KEPT:
            self._decoded.popitem(last=False)
        return decoded

    def _place(self, number: int) -> tuple[int, int]:
        """Where the stored bytes of a chunk lie in the file, and how many they are."""
        if self._pipable:
            return self._walked(number)
        entry = 8 if self.size >= 1 << 32 else 4
        table = self._resource.offset
        content = table + (self._chunk_count - 1) * entry
        stored = self._resource.size - (self._chunk_count - 1) * entry
        # The table has the start of every chunk but the first, from the end of the table.
        first, last = max(number - 1, 0), min(number, self._chunk_count - 2)
        ends: list[int] = []
        if last >= first:
            data = self._file.read(table + first * entry, (last - first + 1) * entry)
            ends = [
                int.from_bytes(data[at : at + entry], "little") for at in range(0, len(data), entry)
            ]
        start = ends[0] if number else 0
        end = stored if number == self._chunk_count - 1 else ends[-1]
        if not 0 <= start <= end <= stored:
            raise Damaged("the chunk table of a WIM resource is damaged")
        return content + start, end - start

    def _walked(self, number: int) -> tuple[int, int]:
        """As `_place`, along the lengths that stand before the chunks of a pipable WIM."""
        if number >= _WALKED:
            raise Unsupported("it lies too far inside a pipable WIM")
        while len(self._places) <= number:
            at = self._resource.offset
            if self._places:
                at = sum(self._places[-1])
            length = int.from_bytes(self._file.read(at, 4), "little")
            if at + 4 + length > self._resource.offset + self._resource.size:
                raise Damaged("a chunk of a pipable WIM goes past the end of its resource")
            self._places.append((at + 4, length))
        return self._places[number]
