"""What is wrong with the structure of a disc image: sides that disagree, overlaps, boot entries.

Only descriptors and directories are read. `opened_view` has refused already what hides the files.
"""

from __future__ import annotations

from collections.abc import Iterator

from provisioner.disc.view import View, only_readme
from provisioner.errors import Severity
from provisioner.frozen import frozen
from provisioner.media.boot import BLOCK
from provisioner.media.facts import BootEntry, Platform
from provisioner.media.iso9660 import read_descriptors
from provisioner.media.show import plural
from provisioner.media.udf_volume import recognised
from provisioner.media.walk import Listing

_ANCHOR = 2


@frozen
class Finding:
    """Something about an image. `rule` is a stable id, as `disc.overlap`."""

    rule: str
    severity: Severity
    message: str


def examine(view: View) -> Iterator[Finding]:
    """Every finding, errors and notes, in the order of the checks."""
    yield from _extent_of_image(view)
    yield from _sides(view)
    yield from _overlaps(view)
    yield from _anchors(view)
    yield from _boot(view)


def _extent_of_image(view: View) -> Iterator[Finding]:
    size = view.window.size
    if view.declared > size:
        yield _error("size", f"the volume says {view.declared} bytes, the image has {size}")
    elif size > view.declared:
        yield _note("size", f"{size - view.declared} bytes lie behind the end of the volume")
    for name, listing in view.sides.items():
        if listing.incomplete:
            yield _error("truncated", f"{name}: files go on past the end of the image")
        for remark in listing.remarks:
            yield _error("directory", remark)


def _sides(view: View) -> Iterator[Finding]:
    """All sides have the same bytes; names may differ, because Joliet's are short."""
    # genisoimage lists the boot catalog as a file, and in UDF as an empty one.
    record = view.window.read_up_to(17 * BLOCK, 75)
    catalog = int.from_bytes(record[71:75], "little") * BLOCK
    places = {
        name: {place for place in _places(listing) if place[0] != catalog}
        for name, listing in view.sides.items()
    }
    if "UDF" in places:
        for name in [name for name in places if name != "UDF"]:
            listing = view.sides[name]
            if only_readme(listing.nodes) and places[name] != places["UDF"]:
                held = ", ".join(sorted(listing.files)) or "nothing"
                yield _note("readme", f"{name} holds only {held}")
                del places[name]
    reference = places.pop(view.side, None)
    if reference is None:
        return
    for name, found in places.items():
        if missing := len(reference - found):
            yield _error("sides", f"{name} lacks {plural(missing, 'file')} of the {view.side} side")
        if more := len(found - reference):
            yield _error(
                "sides", f"{name} has {plural(more, 'file')} more than the {view.side} side"
            )


def _places(listing: Listing) -> frozenset[tuple[int, int]]:
    return frozenset(
        (extents[0].offset, sum(extent.length for extent in extents))
        for extents in listing.files.values()
        if extents
    )


def _overlaps(view: View) -> Iterator[Finding]:
    """Files may share all of an extent, as files stored once do, but not a part of it."""
    runs: dict[tuple[int, int], str] = {}
    for listing in view.sides.values():
        for path, extents in listing.files.items():
            for extent in extents:
                runs.setdefault((extent.offset, extent.offset + extent.length), path)
        for extent in listing.directories:
            runs.setdefault((extent.offset, extent.offset + extent.length), "a directory")
    end, owner = 16 * BLOCK, "the system area"
    count = 0
    for (start, stop), path in sorted(runs.items()):
        if start < end:
            count += 1
            if count <= 5:
                yield _error("overlap", f"{path} overlaps {owner}, at byte {start}")
        if stop > end:
            end, owner = stop, path
    if count > 5:
        yield _error("overlap", f"and {count - 5} more overlaps")


def _anchors(view: View) -> Iterator[Finding]:
    """UDF wants its anchor at two of block 256, N-256 and N (ECMA-167 3/8.4.2.1)."""
    if not recognised(view.window):
        return
    last = view.declared // BLOCK
    ends = {view.window.size // BLOCK - 1, last - 1, last}
    places = {256} | ends | {end - 256 for end in ends}
    found = 0
    for number in sorted(place for place in places if place > 0):
        data = view.window.read_up_to(number * BLOCK, 16)
        identifier = int.from_bytes(data[:2], "little")
        found += identifier == _ANCHOR and int.from_bytes(data[12:16], "little") == number
    if found < 2:
        yield _note("anchor", f"{found} of the two UDF anchors are there")


def _boot(view: View) -> Iterator[Finding]:
    descriptors = read_descriptors(view.window)
    records = [number for number, data in enumerate(descriptors, 16) if data[0] == 0]
    if records and records != [17]:
        yield _error("boot", f"the boot record is in block {records[0]}; firmware looks in 17")
    if records and not view.boot:
        yield _error("boot", "the boot catalog has no entry that can be read")
    for number, entry in enumerate(view.boot, 1):
        yield from _boot_entry(view, number, entry)


def _boot_entry(view: View, number: int, entry: BootEntry) -> Iterator[Finding]:
    name = f"boot entry {number} ({entry.platform})"
    if not entry.bootable:
        yield _note("boot", f"{name} is marked as not bootable")
    start, length = entry.lba * BLOCK, entry.load_sectors * 512
    if not 16 * BLOCK < start < view.window.size or start + length > view.window.size:
        yield _error("boot", f"{name} leads past the end of the image, to block {entry.lba}")
        return
    if entry.path is None:
        yield _note("boot", f"{name} leads to block {entry.lba}, where no file begins")
        return
    size = next(
        (
            sum(extent.length for extent in listing.files[entry.path])
            for listing in view.sides.values()
            if entry.path in listing.files
        ),
        length,
    )
    if entry.platform is not Platform.UEFI and not entry.load_sectors:
        yield _error("boot", f"{name} loads 0 sectors of {entry.path}")
    elif length > -(-size // BLOCK) * BLOCK:
        yield _error("boot", f"{name} loads {length} bytes; {entry.path} has {size}")


def _error(rule: str, message: str) -> Finding:
    return Finding(rule=f"disc.{rule}", severity=Severity.ERROR, message=message)


def _note(rule: str, message: str) -> Finding:
    return Finding(rule=f"disc.{rule}", severity=Severity.NOTE, message=message)
