"""WIM files made by wimlib-imagex, compared with what it says about them."""

from __future__ import annotations

import struct
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from provisioner.errors import MediaError
from provisioner.media.facts import MediaKind
from provisioner.media.inspect import inspect
from provisioner.media.wim import MAX_XML_BYTES, Wim, read_header, read_wim
from provisioner.media.window import Damaged, opened
from tests.unit.media.discs import CLIENT, PE, make_wim, run


def read(path: Path) -> Wim:
    with opened(path) as window:
        return read_wim(window)


def test_editions_agree_with_wimlib(install_wim: Path) -> None:
    done = subprocess.run(["wimlib-imagex", "info", "--xml", install_wim], capture_output=True)
    root = ET.fromstring(done.stdout.decode("utf-16"))
    found = read(install_wim).editions
    assert [
        (
            image.get("INDEX"),
            image.findtext("NAME"),
            image.findtext("DISPLAYNAME"),
            image.findtext("WINDOWS/EDITIONID"),
            image.findtext("TOTALBYTES"),
            [e.text for e in image.findall("WINDOWS/LANGUAGES/LANGUAGE")],
        )
        for image in root.findall("IMAGE")
    ] == [
        (str(e.index), e.name, e.display_name, e.edition_id, str(e.total_bytes), list(e.languages))
        for e in found
    ]
    assert [e.edition_id for e in found] == [edition for _, edition, _ in CLIENT]
    assert found[0].version == (10, 0, 26100, 1742)
    assert found[0].architecture == "amd64"
    assert found[0].languages == ("en-US", "de-DE")
    assert found[0].default_language == "en-US"


@pytest.mark.parametrize(
    ("extra", "compression", "solid"),
    [
        (["--compress=none"], "none", False),
        (["--compress=XPRESS"], "XPRESS", False),
        (["--compress=LZX"], "LZX", False),
        (["--solid"], "LZMS", True),
    ],
)
def test_headers(tmp_path: Path, extra: list[str], compression: str, solid: bool) -> None:
    wim = read(make_wim(tmp_path / "a.wim", CLIENT[:1], extra=extra))
    assert (wim.header.compression, wim.header.solid) == (compression, solid)
    assert (wim.header.part, wim.header.parts, wim.header.image_count) == (1, 1, 1)


@pytest.mark.parametrize(("number", "name"), [(0, "x86"), (5, "arm"), (9, "amd64"), (12, "arm64")])
def test_architectures(tmp_path: Path, number: int, name: str) -> None:
    wim = read(make_wim(tmp_path / "a.wim", CLIENT[:1], architecture=number))
    assert wim.editions[0].architecture == name


def test_windows_pe_is_no_edition(boot_wim: Path) -> None:
    wim = read(boot_wim)
    assert wim.editions == ()
    assert [image.name for image in wim.pe] == [name for name, _, _ in PE]


def test_a_pipable_wim_keeps_its_xml_at_the_end(tmp_path: Path) -> None:
    path = make_wim(tmp_path / "a.wim", CLIENT[:1], extra=["--pipable"])
    wim = read(path)
    assert wim.header.pipable
    assert [e.edition_id for e in wim.editions] == ["Core"]


def test_a_bare_wim_is_inspected(install_wim: Path) -> None:
    facts = inspect(install_wim)
    assert facts.kind is MediaKind.WIM
    assert (facts.product, facts.architecture, facts.build) == ("windows-11", "amd64", 26100)
    assert facts.wims[0].images == 3


def test_parts_of_a_split_set(tmp_path: Path) -> None:
    whole = make_wim(tmp_path / "whole.wim", CLIENT)
    noise = (tmp_path / "noise").absolute()
    noise.mkdir()
    for number in range(3):
        (noise / str(number)).write_bytes(bytes(range(256)) * (number + 1) * 3000)
    run(["wimlib-imagex", "append", noise, whole, "big", "--no-acls"])
    run(["wimlib-imagex", "optimize", whole, "--recompress", "--compress=none"])
    run(["wimlib-imagex", "split", whole, tmp_path / "install.swm", "1"])
    parts = sorted(tmp_path.glob("install*.swm"))
    assert len(parts) > 1
    for part in parts:
        header = read(part).header
        assert header.parts == len(parts)
    assert [e.edition_id for e in read(parts[0]).editions] == [e for _, e, _ in CLIENT]


XML = (
    "<WIM><IMAGE INDEX='1'><NAME>A</NAME>"
    "<WINDOWS><EDITIONID>Core</EDITIONID></WINDOWS></IMAGE></WIM>"
)
BOMB = "<!DOCTYPE l [<!ENTITY a 'aaaaaaaaaa'>"
BOMB += "".join(f"<!ENTITY {chr(b + 1)} '{f'&{chr(b)};' * 10}'>" for b in b"abcdefgh")
BOMB += "]><WIM><IMAGE INDEX='1'><NAME>&i;</NAME></IMAGE></WIM>"


def by_hand(path: Path, text: str | bytes, *, size: int | None = None, flags: int = 2) -> Path:
    """A header and XML, nothing else; `size` is the length the header claims."""
    data = text if isinstance(text, bytes) else b"\xff\xfe" + text.encode("utf-16-le")
    size = len(data) if size is None else size
    header = struct.pack("<8sIIIIQQHHI", b"MSWIM\0\0\0", 208, 0x10D00, 0, 0, 1, 1, 1, 1, 1)
    header = header.ljust(72, b"\0") + struct.pack("<QQQ", size | flags << 56, 208, size)
    path.write_bytes(header.ljust(208, b"\0") + data)
    return path


def test_by_hand_is_read(tmp_path: Path) -> None:
    assert read(by_hand(tmp_path / "a.wim", XML)).editions[0].installation_type == "Client"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><WIM/>", "document type"),
        (BOMB, "document type"),
        ("<WIM>", "is damaged"),
        ("<WIM>&undefined;</WIM>", "is damaged"),
        ("<OTHER/>", "not about WIM images"),
        ("<WIM><IMAGE/></WIM>", "numbered"),
        ("<WIM><IMAGE INDEX='1'/><IMAGE INDEX='1'/></WIM>", "numbered"),
        ("<WIM>" * 100_000, "damaged"),
        ("<a>" * 100_000 + "</a>" * 100_000, "not about WIM images"),
        (b"\xff\xfe\x00\xd8", "UTF-16"),
        ("<WIM>\0</WIM>", "damaged"),
    ],
)
def test_hostile_xml(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(Damaged, match=message):
        read(by_hand(tmp_path / "a.wim", text))


@pytest.mark.parametrize("size", [0, 1, 4096, MAX_XML_BYTES + 2, (1 << 56) - 1])
def test_absurd_xml_sizes(tmp_path: Path, size: int) -> None:
    with pytest.raises(Damaged):
        read(by_hand(tmp_path / "a.wim", XML, size=size))


def test_compressed_xml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Damaged, match="compressed"):
        read(by_hand(tmp_path / "a.wim", XML, flags=4))


def test_absurd_numbers_are_nothing(tmp_path: Path) -> None:
    text = XML.replace("</WINDOWS>", f"<ARCH>{'9' * 5000}</ARCH></WINDOWS>")
    text = text.replace("</IMAGE>", "<TOTALBYTES>٣-5</TOTALBYTES></IMAGE>")
    (edition,) = read(by_hand(tmp_path / "a.wim", text)).editions
    assert (edition.total_bytes, edition.version) == (0, (0, 0, 0, 0))


@pytest.mark.parametrize("length", [8, 100, 207])
def test_a_truncated_wim(tmp_path: Path, install_wim: Path, length: int) -> None:
    path = tmp_path / "cut.wim"
    path.write_bytes(install_wim.read_bytes()[:length])
    with pytest.raises(MediaError, match="damaged WIM"):
        inspect(path)


def test_a_header_of_another_size(tmp_path: Path) -> None:
    path = tmp_path / "a.wim"
    path.write_bytes(b"MSWIM\0\0\0" + bytes(300))
    with opened(path) as window, pytest.raises(Damaged, match="header"):
        read_header(window)
