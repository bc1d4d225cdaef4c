"""`inspect --map FILE.svg`: the same picture as one self-contained SVG file.

Built as a tree of elements, so that no name from a medium can become markup.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

from provisioner.media.layout import Layout, Region, RegionKind
from provisioner.media.map_text import runs
from provisioner.media.show import shown, size_text

WIDTH = 980
_MARGIN = 24
_INSIDE = WIDTH - 2 * _MARGIN
_ROWS, _ROW, _GAP = 6, 26, 4
_LINE = 22
_MOST_RUNS = 24
_HAIR = 0.8
_COLOURS = {
    RegionKind.SYSTEM: "#7b8794",
    RegionKind.TABLE: "#3e4c59",
    RegionKind.DESCRIPTORS: "#e0a400",
    RegionKind.CATALOG: "#d64545",
    RegionKind.DIRECTORIES: "#8f5bd6",
    RegionKind.ALLOCATION: "#b57edc",
    RegionKind.BOOT: "#ef7c32",
    RegionKind.IMAGES: "#2374ab",
    RegionKind.FILES: "#3f9e72",
    RegionKind.VOLUME: "#8c6d46",
    RegionKind.FREE: "#e4e7eb",
}
_FONT = "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif"


def svg(layout: Layout, *, name: str, title: str) -> str:
    """The whole file as text, with an XML declaration. `name` and `title` stand on top."""
    root = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "font-family": _FONT,
            "shape-rendering": "crispEdges",
        },
    )
    ET.SubElement(root, "title").text = shown(f"{name}: {title}")
    background = ET.SubElement(root, "rect", {"width": "100%", "height": "100%", "fill": "#fff"})
    y = 44.0
    _text(root, _MARGIN, y, _cut(shown(name), 76), size=20, weight="600")
    y += 26
    _text(root, _MARGIN, y, _cut(shown(title), 110), size=15)
    y += 24
    _text(root, _MARGIN, y, f"{layout.size:,} bytes, to scale, from left to right", grey=True)
    y = _strip(root, layout, y + 16)
    y = _legend(root, layout, y + 22)
    y = _runs(root, layout, y + 26)
    y = _largest(root, layout, y + 26)
    height = round(y + 12)
    for name, value in (
        ("width", str(WIDTH)),
        ("height", str(height)),
        ("viewBox", f"0 0 {WIDTH} {height}"),
    ):
        root.set(name, value)
    background.set("height", str(height))
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _strip(root: ET.Element, layout: Layout, top: float) -> float:
    """The medium to scale, cut into rows. What is thinner than a hair is drawn as one."""
    scale = _INSIDE * _ROWS / max(layout.size, 1)
    for row in range(_ROWS):
        _rect(
            root,
            _MARGIN,
            top + row * (_ROW + _GAP),
            _INSIDE,
            _ROW,
            RegionKind.FREE,
        )
    last = -1.0
    thin = [r for r in layout.regions if r.kind not in {RegionKind.FREE, RegionKind.FILES}]
    for region in [*layout.regions, *thin]:
        start, end = region.offset * scale, region.end * scale
        if region.kind is RegionKind.FREE or (
            region.kind is RegionKind.FILES and end - start < _HAIR and end < last + _HAIR
        ):
            continue
        if region.kind is RegionKind.FILES:
            # The slack between two files is thinner than the line it would leave.
            start = last if 0 < start - last < _HAIR else start
            last = end
        end = max(end, start + 1.2)
        while start < end:
            row = min(int(start // _INSIDE), _ROWS - 1)
            stop = min(end, (row + 1) * _INSIDE)
            if stop <= start:
                break
            _rect(
                root,
                _MARGIN + start - row * _INSIDE,
                top + row * (_ROW + _GAP),
                stop - start,
                _ROW,
                region.kind,
                hint=f"{region.name}: {size_text(region.length)} at byte {region.offset:,}",
            )
            start = stop
    return top + _ROWS * (_ROW + _GAP)


def _legend(root: ET.Element, layout: Layout, top: float) -> float:
    columns = 3
    items = list(layout.totals.items())
    for number, (kind, total) in enumerate(items):
        x = _MARGIN + (number % columns) * (_INSIDE / columns)
        y = top + (number // columns) * _LINE
        _rect(root, x, y - 12, 14, 14, kind)
        share = 100 * total / max(layout.size, 1)
        _text(root, x + 22, y, f"{kind.value}  {size_text(total)}  ({share:.1f} %)")
    return top + (-(-len(items) // columns)) * _LINE


def _runs(root: ET.Element, layout: Layout, top: float) -> float:
    """What lies where, one line for each run, not to scale."""
    _text(root, _MARGIN, top, "In order (not to scale)", size=15, weight="600")
    y = top + _LINE + 4
    for region in runs(layout, _MOST_RUNS):
        _rect(root, _MARGIN, y - 14, 6, _LINE, region.kind)
        _text(root, _MARGIN + 120, y, f"{region.offset:#x}", end=True, grey=True)
        _text(root, _MARGIN + 220, y, size_text(region.length), end=True)
        _text(root, _MARGIN + 240, y, _cut(shown(region.name), 90))
        y += _LINE
    return y


def _largest(root: ET.Element, layout: Layout, top: float) -> float:
    if not layout.largest:
        return top
    _text(root, _MARGIN, top, "Largest files", size=15, weight="600")
    y = top + _LINE + 4
    most = max(layout.largest[0].length, 1)
    for region in layout.largest:
        _rect(root, _MARGIN, y - 13, max(_bar(region, most), 1.5), 17, region.kind)
        _text(root, _MARGIN + 330, y, size_text(region.length), end=True)
        _text(root, _MARGIN + 350, y, _cut(shown(region.name), 78))
        y += _LINE
    return y


def _bar(region: Region, most: int) -> float:
    return 240 * region.length / most


def _rect(
    root: ET.Element,
    x: float,
    y: float,
    width: float,
    height: float,
    kind: RegionKind,
    *,
    hint: str = "",
) -> None:
    box = ET.SubElement(
        root,
        "rect",
        {
            "x": f"{x:.2f}",
            "y": f"{y:.2f}",
            "width": f"{width:.2f}",
            "height": f"{height:.2f}",
            "fill": _COLOURS[kind],
        },
    )
    if hint:
        ET.SubElement(box, "title").text = shown(hint)


def _text(
    root: ET.Element,
    x: float,
    y: float,
    text: str,
    *,
    size: int = 13,
    weight: str = "400",
    end: bool = False,
    grey: bool = False,
) -> None:
    attributes = {
        "x": f"{x:.2f}",
        "y": f"{y:.2f}",
        "font-size": str(size),
        "font-weight": weight,
        "fill": "#616e7c" if grey else "#1f2933",
    }
    if end:
        attributes["text-anchor"] = "end"
    ET.SubElement(root, "text", attributes).text = text


def _cut(text: str, most: int) -> str:
    """Long paths lose their middle, which tells the least."""
    if len(text) <= most:
        return text
    half = (most - 1) // 2
    return f"{text[:half]}…{text[-half:]}"
