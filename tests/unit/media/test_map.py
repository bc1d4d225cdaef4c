"""The map of a medium: every byte once, where xorriso says the files are; the SVG that is drawn."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from provisioner.media import map_text
from provisioner.media.layout import Layout, Region, RegionKind, read_layout
from provisioner.media.map_svg import svg
from provisioner.media.members import layout_members
from provisioner.media.window import opened
from tests.unit.media.discs import EFISYS, run
from tests.unit.media.sticks import make_gpt_stick

MEMTEST = Path("/usr/lib/memtest86+/memtest86+x64.iso")


def layout_of(path: Path) -> Layout:
    with opened(path) as window:
        return read_layout(window)


def whole(layout: Layout) -> None:
    at = 0
    for region in layout.regions:
        assert (region.offset, region.length > 0) == (at, True)
        at = region.end
    assert at == layout.size
    assert sum(layout.totals.values()) == layout.size


@pytest.mark.parametrize("name", ["windows_iso", "answer_iso", "install_wim", "boot_wim"])
def test_every_byte_once(name: str, request: pytest.FixtureRequest) -> None:
    whole(layout_of(request.getfixturevalue(name)))


def test_a_stick(tmp_path: Path) -> None:
    path = tmp_path / "s.img"
    path.write_bytes(make_gpt_stick(tmp_path))
    layout = layout_of(path)
    whole(layout)
    assert {RegionKind.TABLE, RegionKind.ALLOCATION, RegionKind.FILES} <= set(layout.totals)
    assert layout.largest[0].name == "sources/a long name.txt"


@pytest.mark.parametrize("name", ["answer_iso", "memtest"])
def test_files_are_where_xorriso_says(name: str, request: pytest.FixtureRequest) -> None:
    path = MEMTEST if name == "memtest" else request.getfixturevalue(name)
    text = run(["xorriso", "-indev", path, "-find", "/", "-type", "f", "-exec", "report_lba", "--"])
    rows = re.findall(r"^File data lba: +\d+ , +(\d+) , +\d+ , +(\d+) , '/(.*)'$", text, re.M)
    assert rows
    found = {(r.offset // 2048, r.length, r.name) for r in layout_of(path).regions}
    for block, size, file in rows:
        if int(size):
            assert (int(block), int(size), file) in found


def test_the_parts_of_a_windows_disc(windows_iso: Path) -> None:
    layout = layout_of(windows_iso)
    names = {region.name: region for region in layout.regions}
    assert names["efi/microsoft/boot/efisys.bin"].kind is RegionKind.BOOT
    assert names["efi/microsoft/boot/efisys.bin"].length == len(EFISYS)
    assert names["sources/install.wim"].kind is RegionKind.IMAGES
    assert names["boot catalog"].length == 2048
    assert 256 * 2048 in {r.offset for r in layout.regions if r.name == "UDF anchor"}
    sizes = [region.length for region in layout.largest]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) == 10


def test_the_parts_of_a_wim(install_wim: Path) -> None:
    names = [region.name for region in layout_of(install_wim).regions]
    assert names[0] == "header"
    assert {"directories of image 1", "directories of image 3", "XML"} <= set(names)


def test_cells_show_what_most_of_their_bytes_are() -> None:
    def region(offset: int, length: int, kind: RegionKind) -> Region:
        return Region(offset=offset, length=length, kind=kind, name="x")

    layout = Layout(
        size=100,
        regions=(
            region(0, 24, RegionKind.SYSTEM),
            region(24, 2, RegionKind.FILES),
            region(26, 50, RegionKind.FILES),
            region(76, 24, RegionKind.FREE),
        ),
        largest=(),
    )
    assert map_text.cells_of(layout, 4) == [
        RegionKind.SYSTEM,
        RegionKind.FILES,
        RegionKind.FILES,
        RegionKind.FREE,
    ]
    assert len(map_text.cells_of(layout, 1000)) == 1000


def test_many_runs_are_few_lines() -> None:
    kinds = [RegionKind.IMAGES, RegionKind.BOOT]
    regions = tuple(
        Region(offset=n * 10, length=10, kind=kinds[n % 2], name=f"file {n}") for n in range(500)
    )
    found = map_text.runs(Layout(size=5000, regions=regions, largest=()), 12)
    assert len(found) == 12
    assert sum(region.length for region in found) == 5000
    assert found[-1].name == "489 smaller runs, scattered"


def test_the_svg_is_one_sound_file(windows_iso: Path, tmp_path: Path) -> None:
    layout = layout_of(windows_iso)
    text = svg(layout, name="Win11.iso", title="Windows 11")
    root = ET.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    words = " ".join(root.itertext())
    for word in (
        "Win11.iso",
        "boot catalog",
        "Windows images",
        "sources/install.wim",
        "descriptors",
    ):
        assert word in words
    assert "href" not in text
    assert "<script" not in text
    width = float(root.get("width", "0"))
    for box in root.iter("{http://www.w3.org/2000/svg}rect"):
        if box.get("x"):
            assert float(box.get("x", "0")) + float(box.get("width", "0")) <= width
    (tmp_path / "m.svg").write_text(text)
    run(["rsvg-convert", "--output", tmp_path / "m.png", tmp_path / "m.svg"])
    assert (tmp_path / "m.png").read_bytes()[:4] == b"\x89PNG"


def test_names_cannot_become_markup() -> None:
    evil = "</text><script>alert(1)</script>&\x1b\ud800\ufffe"
    regions = (Region(offset=0, length=9, kind=RegionKind.FILES, name=evil),)
    layout = Layout(size=9, regions=regions, largest=regions)
    root = ET.fromstring(svg(layout, name=evil, title=evil))
    assert not [element for element in root.iter() if element.tag.endswith("script")]
    assert "</text><script>" in " ".join(root.itertext())


def test_a_disc_of_many_files_is_a_small_svg() -> None:
    regions = tuple(
        Region(offset=n * 2048, length=2000, kind=RegionKind.FILES, name=f"file {n}")
        for n in range(50_000)
    )
    layout = Layout(size=50_000 * 2048, regions=regions, largest=regions[:10])
    assert len(svg(layout, name="x", title="x")) < 1_500_000


def test_the_map_as_json(windows_iso: Path) -> None:
    members = layout_members(layout_of(windows_iso))
    assert members["size"] == windows_iso.stat().st_size
    assert members["runs"][0] == {
        "offset": 0,
        "length": 32768,
        "kind": "system area",
        "name": "system area",
    }
