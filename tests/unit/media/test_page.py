"""What a person reads: right at 80 and at 20 columns, and nothing that steers the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.media import map_text, page
from provisioner.media.facts import MediaFacts, MediaKind, WimFile
from provisioner.media.inspect import inspect, inspect_window
from provisioner.media.layout import read_layout
from provisioner.media.show import Field, cells, lines, listed, plural, shown, size_text, wrap
from provisioner.media.window import opened
from tests.unit.media.discs import make_edition, make_facts
from tests.unit.media.test_sticks import windows_stick


def printed(facts: MediaFacts, width: int) -> list[str]:
    size = size_text(facts.fingerprint.size)
    return list(lines(page.title(facts), size, page.fields(facts), width=width))


@pytest.fixture(scope="session")
def stick(images: Path, install_wim: Path, boot_wim: Path) -> Path:
    folder = images / "stick"
    folder.mkdir()
    return windows_stick(folder, install_wim, boot_wim)


@pytest.mark.parametrize("width", [20, 21, 33, 47, 48, 80, 132])
@pytest.mark.parametrize("name", ["windows_iso", "answer_iso", "install_wim", "stick"])
def test_every_line_fits(name: str, width: int, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(name)
    found = printed(inspect(path), width)
    with opened(path) as window:
        layout = read_layout(window)
    found += map_text.picture(layout, width=width)
    found += lines("", "", map_text.fields(layout), width=width)
    assert max(cells(line) for line in found) <= width
    assert all(line == line.rstrip() for line in found)
    assert not any(line.strip() == "" for line in found)


def test_the_page_of_a_windows_disc(windows_iso: Path) -> None:
    text = "\n".join(printed(inspect(windows_iso), 80))
    assert text.startswith(
        "Windows 11 24H2 installation disc, build 26100.1742, amd64, 2 languages "
    )
    for line in (
        "  label          CCCOMA_X64FRE_EN-US_DV9",
        "  file systems   UDF 1.02 with everything; ISO 9660 with one README",
        "  editions       index  name                    edition id",
        "                     2  Windows 11 Pro shown    Professional",
        "  answers inside none",
    ):
        assert line in text, text
    assert "asks for no key)" in text.replace("\n                   ", " ")  # no bootfix.bin
    assert "noprompt variant present" in text.replace("\n                   ", " ")


def test_the_page_at_twenty_columns(windows_iso: Path) -> None:
    found = printed(inspect(windows_iso), 20)
    assert found[:4] == [
        "Windows 11 24H2",
        "  installation disc,",
        "  build 26100.1742,",
        "  amd64, 2 languages",
    ]
    assert "file systems" in found
    assert "  2 · Windows 11 Pro" in found


HOSTILE = "\x1b]0;owned\x07\x9b31m\u202e\u2066evil\r\n\t\x00"


def test_nothing_from_a_medium_steers_the_terminal() -> None:
    edition = make_edition(1, HOSTILE, HOSTILE, display_name=HOSTILE, languages=(HOSTILE,))
    facts = make_facts(
        edition,
        make_edition(2, "b", "b", languages=("de-DE",), architecture=HOSTILE),
        path=Path(HOSTILE.replace("\x00", "")),
        label=HOSTILE,
        evidence=(HOSTILE,),
        languages=(HOSTILE, HOSTILE),
        architecture=HOSTILE,
        remarks=(HOSTILE,),
        filesystems=("UDF 1.02",),
        wims=(
            WimFile(
                path=HOSTILE, compression="LZX", solid=True, part=2, parts=3, images=1, missing=(1,)
            ),
        ),
        partition_table="GPT",
    )
    found = printed(facts, 80)
    assert all(line.isprintable() for line in found), found
    text = "".join(line.strip() for line in found)
    assert "\\x1b]0;owned\\x07\\x9b31m\\u202e\\u2066evil" in text


@pytest.mark.parametrize(
    ("kind", "rest", "title"),
    [
        (MediaKind.VIRTIO_DRIVERS, {"driver_version": "0.1.285"}, "Virtio driver disc, 0.1.285"),
        (MediaKind.LINUX, {"architecture": "amd64"}, "Linux disc, amd64"),
        (MediaKind.MEMORY_TEST, {}, "Memory test"),
        (MediaKind.ANSWER_DISC, {}, "Answer disc"),
        (MediaKind.OTHER_DISC, {}, "Disc of another kind"),
        (MediaKind.DISK_IMAGE, {}, "Image of a stick or disk"),
        (MediaKind.WINDOWS_SETUP, {}, "Windows installation disc"),
        (MediaKind.WIM, {}, "WIM file"),
    ],
)
def test_titles_without_editions(kind: MediaKind, rest: dict[str, object], title: str) -> None:
    assert page.title(make_facts(kind=kind, **rest)) == title


@pytest.mark.parametrize(
    ("product", "build", "editions", "rest", "title"),
    [
        ("windows-server-2025", 26100, ["ServerStandard"], {}, "Windows Server 2025 installation"),
        ("windows-server-2012-r2", 9600, ["ServerStandard"], {}, "Windows Server 2012 R2 install"),
        (
            "windows-10",
            19045,
            ["Professional"],
            {},
            "Windows 10 22H2 installation disc, build 19045.7",
        ),
        ("windows-11", 26100, ["EnterpriseS"], {}, "Windows 11 24H2 LTSC installation"),
        (
            "windows-11",
            26100,
            ["IoTEnterpriseSEval"],
            {"evaluation": True},
            "Windows 11 24H2 LTSC evaluation installation",
        ),
        ("windows-7", 7601, ["Ultimate"], {}, "Windows 7 installation disc, build 7601.7"),
        (None, 1, ["x"], {}, "Windows installation disc, build 1.7"),
    ],
)
def test_titles(
    product: str | None, build: int, editions: list[str], rest: dict[str, object], title: str
) -> None:
    images = [make_edition(n, "a", e, version=(10, 0, build, 7)) for n, e in enumerate(editions, 1)]
    assert page.title(make_facts(*images, product=product, **rest)).startswith(title)


def test_columns_that_differ_are_shown() -> None:
    facts = make_facts(
        make_edition(1, "a", "A", languages=("en-US",)),
        make_edition(2, "b", "B", "Server Core", languages=("de-DE",), version=(10, 0, 1, 2)),
        make_edition(3, "c", "C", architecture="arm64"),
    )
    text = "\n".join(printed(facts, 100))
    assert "index  name      edition id    size  languages  build       for" in text
    assert "2  b (Core)  B           1 byte  de-DE      1.2         amd64" in text


def test_wrapping() -> None:
    assert list(wrap("one two three", 8, "", "  ")) == ["one two", "  three"]
    assert list(wrap("abcdefghij", 4, "", " ")) == ["abcd", " efg", " hij"]
    assert list(wrap("日本語日本語", 5, "", " ")) == ["日本", " 語日", " 本語"]
    assert list(wrap("", 5, "", "")) == []
    assert list(wrap("x", 1, "  ", "  ")) == ["  x"]
    table = Field(label="t", rows=(("a", "b"), ("1", "22")), right=frozenset({1}))
    assert list(lines("T", "x", [table], width=80))[1:] == [
        "  t              a   b",
        "                 1  22",
    ]


def test_words_for_amounts() -> None:
    sizes = [0, 1, 1023, 1024, 999 * 1024, 1 << 20, 412 << 10, int(5.4 * 2**30), 1 << 60]
    assert [size_text(size) for size in sizes] == [
        "0 bytes",
        "1 byte",
        "1023 bytes",
        "1.0 KiB",
        "999 KiB",
        "1.0 MiB",
        "412 KiB",
        "5.4 GiB",
        "1024.0 PiB",
    ]
    assert plural(1, "image") == "1 image"
    assert plural(1200, "image") == "1,200 images"
    assert listed(["a", "b", "c"], 2) == "a, b and 1 more"
    assert shown("x" * 600) == "x" * 511 + "…"


def test_inspecting_for_the_page_reads_nothing_more(windows_iso: Path) -> None:
    with opened(windows_iso) as window:
        facts = inspect_window(window)
        before = window.bytes_read
        printed(facts, 80)
        assert window.bytes_read == before
