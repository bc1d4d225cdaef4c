"""`iso extract`, `ls`, `cat` and `diff`: also with images and folders that mean harm."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from provisioner.disc.compare import Change, differences, first_difference, opened_side
from provisioner.disc.create import Order, create
from provisioner.disc.extract import Extracted, extract
from provisioner.disc.view import opened_view, selected
from provisioner.errors import FailedError, MediaError, RefusedError, UsageError
from provisioner.image.shapes import Shape
from tests.unit.disc import readers
from tests.unit.disc.readers import made, run

FILES: Mapping[str, bytes | None] = {
    "setup.exe": b"1",
    "sources/install.wim": os.urandom(100_000),
    "sources/boot.wim": os.urandom(50_000),
    "sources/en-us/setup.exe.mui": b"2",
    "drivers/net/a.INF": b"3",
    "drivers/disk/b.inf": b"4",
    "empty": None,
}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    create(made(tmp_path / "tree", FILES), tmp_path / "x.iso", Order(shape=Shape.WINDOWS))
    return tmp_path / "x.iso"


def extracted(image: Path, folder: Path, *patterns: str, force: bool = False) -> Extracted:
    with opened_view(image) as view:
        return extract(view, selected(view, patterns), folder, force=force)


@pytest.mark.parametrize(
    ("patterns", "paths"),
    [
        (["setup.exe"], ["setup.exe"]),
        (["/sources/*.wim"], ["sources/boot.wim", "sources/install.wim"]),
        (["SOURCES/BOOT.WIM"], ["sources/boot.wim"]),
        (["*.inf"], ["drivers/disk/b.inf", "drivers/net/a.INF"]),
        (["**/*.inf"], ["drivers/disk/b.inf", "drivers/net/a.INF"]),
        (["drivers/*/?.[a-i]nf"], ["drivers/disk/b.inf", "drivers/net/a.INF"]),
        (["drivers/*/[!a].inf"], ["drivers/disk/b.inf"]),
        (["drivers"], ["drivers/disk/b.inf", "drivers/net/a.INF"]),
        (["*.wim", "*.mui"], ["boot.wim", "en-us/setup.exe.mui", "install.wim"]),
    ],
)
def test_patterns(image: Path, patterns: list[str], paths: list[str]) -> None:
    with opened_view(image) as view:
        files = [item.path for item in selected(view, patterns) if item.file]
    assert [path.removeprefix("sources/") for path in files] == [
        path.removeprefix("sources/") for path in paths
    ]


@pytest.mark.parametrize("pattern", ["nothing", "sources/*.inf", "*.wim/x", "[", "[z-a]"])
def test_patterns_that_match_nothing(image: Path, pattern: str) -> None:
    with opened_view(image) as view, pytest.raises(UsageError):
        selected(view, [pattern])


def test_look_up_ignores_case_where_it_can(image: Path) -> None:
    with opened_view(image) as view:
        assert view.find("//Sources/./BOOT.wim").path == "sources/boot.wim"
        with pytest.raises(MediaError, match="has no sources"):
            view.find("sources/../setup.exe")


def test_what_was_stopped_goes_on(image: Path, tmp_path: Path) -> None:
    into = tmp_path / "into"
    whole = extracted(image, into)
    assert (whole.files, whole.kept) == (6, 0)
    (into / "sources/boot.wim").unlink()
    (into / "setup.exe").unlink()
    again = extracted(image, into)
    assert (again.files, again.kept) == (2, 4)
    assert extracted(image, into, "*.inf").kept == 2
    assert readers.contents(into) == readers.contents(tmp_path / "tree")


def test_ctrl_c_leaves_no_half_file(image: Path, tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done > 60_000:
            raise KeyboardInterrupt

    into = tmp_path / "into"
    with opened_view(image) as view, pytest.raises(KeyboardInterrupt):
        extract(view, list(view.items.values()), into, progress=interrupt)
    assert not list(into.rglob("*.part"))
    for path in into.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == FILES[str(path.relative_to(into))]
    extracted(image, into)
    assert readers.contents(into) == readers.contents(tmp_path / "tree")


def test_what_a_killed_one_left_goes(image: Path, tmp_path: Path) -> None:
    into = tmp_path / "into"
    extracted(image, into)
    (into / "setup.exe").unlink()
    for name in (".0123abcd.77.part", "sources/.fedcba98.78.part"):
        (into / name).write_bytes(b"half")
    made(into, {".mine.part": b"mine"})
    extracted(image, into)
    found = readers.contents(into)
    assert found.pop(".mine.part") == b"mine"
    assert found == readers.contents(tmp_path / "tree")


@pytest.mark.parametrize("kind", ["in place", "another file"])
def test_an_image_that_changes_meanwhile(image: Path, tmp_path: Path, kind: str) -> None:
    def change(done: int, total: int) -> None:
        if kind == "in place":
            os.utime(image, (1, 1))
        else:
            shutil.copy2(image, tmp_path / "new")
            (tmp_path / "new").replace(image)

    with opened_view(image) as view, pytest.raises(FailedError, match="changed while it was read"):
        extract(view, list(view.items.values()), tmp_path / "into", progress=change)


def test_another_file_in_the_way_is_not_replaced(image: Path, tmp_path: Path) -> None:
    into = made(tmp_path / "into", {"setup.exe": b"mine"})
    with pytest.raises(RefusedError, match="is there already and is another file"):
        extracted(image, into)
    assert readers.contents(into) == {"setup.exe": b"mine"}
    extracted(image, into, force=True)
    assert (into / "setup.exe").read_bytes() == b"1"


def test_nothing_is_written_through_a_link_in_the_way(image: Path, tmp_path: Path) -> None:
    outside = made(tmp_path / "outside", {"x": b""})
    for name in ("sources", "setup.exe", "empty"):
        into = tmp_path / f"into-{name}"
        into.mkdir()
        (into / name).symlink_to(outside / ("x" if name == "setup.exe" else "."))
        with pytest.raises(RefusedError):
            extracted(image, into, name)
    assert readers.contents(outside) == {"x": b""}
    extracted(image, tmp_path / "into-setup.exe", "setup.exe", force=True)
    assert readers.contents(outside) == {"x": b""}, "the link is replaced, not followed"


EVIL = {
    b"up_up_up_x": b"../../../x",
    b"up_x": b"../x",
    b"abs_tmp": b"/tmp/ab",
    b"dotdot_nul": b"..\0x______",
    b"zz": b"..",
    b"y": b".",
}


@pytest.mark.parametrize("shape", [Shape.PORTABLE, Shape.WINDOWS])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_names_that_lead_elsewhere(tmp_path: Path, shape: Shape, kind: str) -> None:
    """Names are exchanged in the finished image, for others of the same length."""
    files: dict[str, bytes | None] = {"good": b"good"}
    for name in EVIL:
        files[name.decode() + ("/x" if kind == "folder" else "")] = b"evil"
    image = tmp_path / "x.iso"
    create(made(tmp_path / "tree", files), image, Order(shape=shape, epoch=0))
    data = bytearray(image.read_bytes())
    for name, evil in EVIL.items():
        before = b"\x08" + name if shape is Shape.WINDOWS else b"\x01\0" + name
        after = before[: -len(name)] + evil
        assert len(evil) == len(name) and before in data
        for at in [i for i in range(len(data)) if data.startswith(before, i)]:
            data[at : at + len(before)] = after
            if shape is Shape.WINDOWS:
                retag(data, at - 38)
    # Joliet has them too, where nothing was changed: away with its descriptor.
    if shape is Shape.PORTABLE:
        at = data.find(b"\x02CD001", 16 * 2048, 20 * 2048)
        data[at] = 0xFF
    image.write_bytes(data)
    into = tmp_path / "a/b/c/into"
    with opened_view(image) as view:
        assert "good" in view.items
        for path in view.items:
            assert not {"", ".", ".."} & set(path.split("/")) and "\0" not in path
        assert any("an impossible name" in remark for remark in view.remarks)
        extract(view, list(view.items.values()), into)
    assert (into / "good").read_bytes() == b"good"
    assert not (tmp_path / "a/b/c/x").exists() and not (tmp_path / "x").exists()
    for path in (tmp_path / "a").rglob("*"):
        assert path.is_dir() or path.is_relative_to(into)


def retag(data: bytearray, at: int) -> None:
    """Repairs CRC and checksum of the UDF descriptor at a byte."""
    import binascii

    length = int.from_bytes(data[at + 10 : at + 12], "little")
    crc = binascii.crc_hqx(bytes(data[at + 16 : at + 16 + length]), 0)
    data[at + 8 : at + 10] = crc.to_bytes(2, "little")
    data[at + 4] = (sum(data[at : at + 4]) + sum(data[at + 5 : at + 16])) & 0xFF


def test_links_out_of_the_disc_are_left_out(tmp_path: Path) -> None:
    folder = made(tmp_path / "tree", {"in/file": b"1"})
    links = {"abs": "/etc/passwd", "up": "../x", "in/up": "../../x", "in/fine": "../in/file"}
    links["in/round"] = "file/../../../x"
    for name, target in links.items():
        (folder / name).symlink_to(target)
    image = tmp_path / "x.iso"
    run("genisoimage", "-quiet", "-R", "-o", image, folder)
    notes = extracted(image, tmp_path / "into").notes
    assert [note.split(" is left out")[0] for note in notes] == ["abs", "in/round", "in/up", "up"]
    assert (tmp_path / "into/in/fine").read_bytes() == b"1"


@pytest.mark.parametrize("udf", [False, True])
def test_genisoimages_discs(tmp_path: Path, udf: bool) -> None:
    """Rock Ridge of another writer: times, permissions, deep folders that it moves away."""
    deep = "/".join(f"d{n}" for n in range(12))
    folder = made(tmp_path / "tree", {f"{deep}/file": b"deep", "Long Name Here.text": b"2"})
    (folder / "Long Name Here.text").chmod(0o640)
    os.utime(folder / "Long Name Here.text", (1_600_000_000, 1_600_000_000))
    (folder / "link").symlink_to(f"{deep}/file")
    image = tmp_path / "x.iso"
    options = ["-R", "-J", "-joliet-long"] + (["-udf"] if udf else [])
    run("genisoimage", "-quiet", "-R", *options, "-o", image, folder)
    extracted(image, tmp_path / "into")
    found = readers.contents(tmp_path / "into")
    found.pop("rr_moved", None)
    assert found == readers.contents(folder)
    status = (tmp_path / "into/Long Name Here.text").stat()
    assert (status.st_mode & 0o777, status.st_mtime) == (0o640, 1_600_000_000)


def test_a_readme_is_never_shown_for_a_udf_disc(image: Path) -> None:
    """UDF is damaged: the README side alone would be a lie (WoeUSB#126)."""
    data = bytearray(image.read_bytes())
    for at in range(0, len(data), 2048):
        if data[at : at + 2] in (b"\x00\x01", b"\x02\x00") and at:  # file set and anchors
            data[at : at + 512] = bytes(512)
    image.write_bytes(data)
    with pytest.raises(MediaError, match="damaged"), opened_view(image):
        pass


# diff


def changes(first: Path, second: Path) -> dict[str, tuple[Change, int | None]]:
    with opened_side(first) as one, opened_side(second) as other:
        return {each.path: (each.change, each.offset) for each in differences(one, other)}


def test_what_differs(image: Path, tmp_path: Path) -> None:
    assert changes(image, tmp_path / "tree") == {}
    folder = tmp_path / "tree"
    wim = bytearray(FILES["sources/install.wim"] or b"")
    wim[77_777] ^= 1
    made(folder, {"sources/install.wim": bytes(wim), "new": b"", "setup.exe": b"11"})
    (folder / "drivers/net/a.INF").unlink()
    (folder / "empty").rmdir()
    (folder / "empty").write_bytes(b"")
    expected = {
        "sources/install.wim": (Change.CONTENT, 77_777),
        "new": (Change.ADDED, None),
        "setup.exe": (Change.CONTENT, 1),
        "drivers/net/a.INF": (Change.REMOVED, None),
        "empty": (Change.KIND, None),
    }
    assert changes(image, folder) == expected
    create(folder, tmp_path / "y.iso", Order(shape=Shape.DATA))
    assert changes(image, tmp_path / "y.iso") == expected
    create(folder, tmp_path / "z.iso", Order(shape=Shape.PORTABLE))
    assert changes(tmp_path / "y.iso", tmp_path / "z.iso") == {}


@pytest.mark.parametrize(
    ("first", "second", "at"),
    [(b"", b"", None), (b"ab", b"ab", None), (b"ab", b"a", 1), (b"xb", b"ab", 0), (b"ab", b"ac", 1)]
    + [(bytes(1000), bytes(n) + b"\1" + bytes(999 - n), n) for n in (0, 1, 499, 500, 998, 999)],
)
def test_first_difference(first: bytes, second: bytes, at: int | None) -> None:
    assert first_difference(first, second) == at
    assert first_difference(second, first) == at
