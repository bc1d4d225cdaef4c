"""`inspect --map` in the terminal: the medium as rows of cells, what lies where, what is big."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from provisioner.media.layout import Layout, Region, RegionKind
from provisioner.media.show import Field, plural, shown, size_text

MARKS = {
    RegionKind.SYSTEM: "s",
    RegionKind.TABLE: "p",
    RegionKind.DESCRIPTORS: "d",
    RegionKind.CATALOG: "c",
    RegionKind.DIRECTORIES: "=",
    RegionKind.ALLOCATION: "a",
    RegionKind.BOOT: "b",
    RegionKind.IMAGES: "█",
    RegionKind.FILES: "▒",
    RegionKind.VOLUME: "v",
    RegionKind.FREE: "·",
}
_EACH = {RegionKind.IMAGES, RegionKind.VOLUME}
"""Kinds of which each one is worth a line."""
_CELLS = 288
_MOST_ROWS = 8
_MOST_RUNS = 40


def picture(layout: Layout, *, width: int) -> Iterator[str]:
    """Rows of cells between bars; each cell shows what most of its bytes are."""
    columns = max(min(width - 4, 72), 4)
    rows = max(1, min(_MOST_ROWS, _CELLS // columns))
    marks = [MARKS[kind] for kind in cells_of(layout, columns * rows)]
    for row in range(rows):
        yield "  " + "".join(marks[row * columns : (row + 1) * columns])


def cells_of(layout: Layout, count: int) -> list[RegionKind]:
    """For each of `count` equal pieces of the medium the kind that has most of its bytes."""
    result: list[RegionKind] = []
    number = 0
    regions = layout.regions
    for cell in range(count):
        start, end = layout.size * cell // count, layout.size * (cell + 1) // count
        shares: dict[RegionKind, int] = {}
        while number < len(regions) and regions[number].offset < max(end, start + 1):
            region = regions[number]
            overlap = min(region.end, end) - max(region.offset, start)
            shares[region.kind] = shares.get(region.kind, 0) + max(overlap, 0)
            if region.end > end:
                break
            number += 1
        result.append(max(shares, key=lambda kind: shares[kind]) if shares else RegionKind.FREE)
    return result


def runs(layout: Layout, most: int = _MOST_RUNS) -> tuple[Region, ...]:
    """The regions with neighbours of one kind made one: files counted, gaps between them dropped.

    When that is still more than `most`, the smallest make way and the last one says how many.
    """
    found: list[Region] = []
    counts: list[int] = []
    for region in layout.regions:
        small_gap = region.kind is RegionKind.FREE and region.length < 64 << 10
        if found and small_gap:
            found[-1] = replace(found[-1], length=found[-1].length + region.length)
            continue
        last = found[-1] if found else None
        if last and last.kind is region.kind and region.kind not in _EACH:
            counts[-1] += last.name != region.name
            found[-1] = replace(last, length=region.end - last.offset)
            continue
        if last and last.kind is region.kind and last.name == region.name:
            found[-1] = replace(last, length=region.end - last.offset)
            continue
        found.append(region)
        counts.append(1)
    named = [
        replace(region, name=_together(region, count))
        for region, count in zip(found, counts, strict=True)
    ]
    if len(named) <= most:
        return tuple(named)
    kept = sorted(sorted(named, key=lambda r: -r.length)[: most - 1], key=lambda r: r.offset)
    rest = [region for region in named if region not in kept]
    return (
        *kept,
        Region(
            offset=rest[0].offset,
            length=sum(region.length for region in rest),
            kind=rest[0].kind,
            name=f"{plural(len(rest), 'smaller run')}, scattered",
        ),
    )


def _together(region: Region, count: int) -> str:
    if count == 1:
        return region.name
    if region.kind in {RegionKind.FILES, RegionKind.BOOT}:
        return plural(count, "file")
    return f"{region.name} and {count - 1} more"


def fields(layout: Layout) -> Iterator[Field]:
    """Legend, what lies where, largest files."""
    legend = [("", "what", "bytes", "share")]
    for kind, total in layout.totals.items():
        share = f"{100 * total / max(layout.size, 1):.1f} %"
        legend.append((MARKS[kind], kind.value, size_text(total), share))
    yield Field(label="legend", rows=tuple(legend), right=frozenset({2, 3}))
    places = [("at", "size", "what")]
    for region in runs(layout):
        places.append((f"{region.offset:#x}", size_text(region.length), shown(region.name)))
    yield Field(label="in order", rows=tuple(places), right=frozenset({0, 1}))
    if layout.largest:
        rows = [("size", "at", "file")]
        for region in layout.largest:
            rows.append((size_text(region.length), f"{region.offset:#x}", shown(region.name)))
        yield Field(label="largest", rows=tuple(rows), right=frozenset({0, 1}))
