"""File systems of discs, compared with what other readers say about the same images."""

from __future__ import annotations

import itertools
from pathlib import Path
from time import process_time

import pytest

from provisioner.errors import MediaError
from provisioner.media.facts import Extent, MediaFacts, MediaKind
from provisioner.media.inspect import inspect, inspect_window
from provisioner.media.window import Extents, opened
from tests.unit.media.discs import listed_by_7z, make_tree, run
from tests.unit.media.udf_image import UdfImage


def sizes(facts: MediaFacts) -> dict[str, int]:
    return {path: sum(e.length for e in extents) for path, extents in facts.files.items()}


def content(image: Path, extents: tuple[Extent, ...]) -> bytes:
    with opened(image) as window:
        file = Extents(window, extents)
        return file.read(0, file.size)


def test_windows_disc_lists_the_udf_side(windows_iso: Path, install_wim: Path) -> None:
    facts = inspect(windows_iso)
    assert facts.filesystems == ("UDF 1.02", "ISO 9660")
    assert facts.label == "CCCOMA_X64FRE_EN-US_DV9"
    assert "UDF 1.02 has everything, ISO 9660 only one README" in facts.evidence
    assert facts.remarks == ()
    expected = listed_by_7z(windows_iso)
    assert sizes(facts) == {p: s for p, s in expected.items() if p in facts.files}
    assert {p.casefold() for p in expected} - {p.casefold() for p in facts.files} == set()
    found = facts.find("SOURCES/INSTALL.WIM")
    assert found is not None
    assert content(windows_iso, found[1]) == install_wim.read_bytes()


def test_udfinfo_agrees_on_label_and_revision(windows_iso: Path) -> None:
    said = dict(line.split("=", 1) for line in run(["udfinfo", windows_iso]).splitlines())
    facts = inspect(windows_iso)
    assert said["lvid"] == facts.label
    assert f"UDF {said['udfrev']}" in facts.filesystems


def test_joliet_and_rock_ridge_by_xorriso(answer_iso: Path) -> None:
    facts = inspect(answer_iso)
    assert facts.kind is MediaKind.ANSWER_DISC
    assert facts.filesystems == ("Joliet", "Rock Ridge", "ISO 9660")
    assert facts.label == "ANSWERS"
    assert "scripts/a very long name that ISO 9660 alone could never hold.ps1" in facts.files
    assert facts.files["empty.txt"] == ()
    assert "link" not in facts.files
    assert content(answer_iso, facts.files["Autounattend.xml"]) == b"<unattend/>"


@pytest.mark.parametrize("options", [["-R"], ["-J", "-R"], ["-J"], ["-udf", "-J", "-R"], ["-udf"]])
@pytest.mark.parametrize("tool", ["genisoimage", "xorriso"])
def test_every_combination_holds_the_same_files(
    tmp_path: Path, tool: str, options: list[str]
) -> None:
    if tool == "xorriso" and "-udf" in options:
        options = [*options, "-joliet-long"]
        options.remove("-udf")
    files = {
        "Readme.TXT": b"hello",
        "$OEM$/x-y.dots.in.name": b"x" * 5000,
        "Ärger/日本語.txt": "ü".encode(),
        "many/" + "n" * 60: b"n",
    }
    image = tmp_path / "disc.iso"
    command = ["xorriso", "-as", "mkisofs"] if tool == "xorriso" else [tool]
    tree = make_tree(tmp_path / "tree", files)
    run([*command, "-quiet", "-input-charset", "utf-8", *options, "-V", "LABEL", "-o", image, tree])
    facts = inspect(image)
    named = {"-R", "-J", "-udf"} & set(options)
    if named:
        assert {p: content(image, e) for p, e in facts.files.items()} == files
    assert facts.label == "LABEL"
    assert facts.remarks == ()


def test_plain_iso9660_names(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", {"readme": b"1", "sub/file.txt": b"2"})
    run(["genisoimage", "-quiet", "-o", tmp_path / "d.iso", tree])
    facts = inspect(tmp_path / "d.iso")
    assert facts.filesystems == ("ISO 9660",)
    assert sizes(facts) == {"README": 1, "SUB/FILE.TXT": 1}


def test_directories_that_rock_ridge_moved_stand_where_they_belong(tmp_path: Path) -> None:
    deep = "a/b/c/d/e/f/g/h/i/j/file"
    tree = make_tree(tmp_path / "tree", {deep: b"deep", "top": b"top"})
    run(["genisoimage", "-quiet", "-R", "-o", tmp_path / "d.iso", tree])
    assert set(inspect(tmp_path / "d.iso").files) == {deep, "top"}


@pytest.mark.parametrize(
    ("block", "extended", "form"),
    list(itertools.product((512, 2048, 4096), (False, True), ("short", "long", "embedded"))),
)
def test_pure_udf_in_every_form(tmp_path: Path, block: int, extended: bool, form: str) -> None:
    """Blocks, file entries and descriptors in every combination; 7z reads the same image."""
    image = UdfImage(
        block=block, extended=extended, form=form, revision=0x0201 if extended else 0x0102
    )
    small, wide = b"small" * 3, b"" if form == "embedded" else bytes(range(256)) * 400
    image.extent, image.gap = block, 1  # over two hundred extents: needs continuations
    one, two = image.file(small), image.file(wide)
    sub = image.directory({"ünï": (one, False), "日本語": (two, False)})
    root = image.directory({"wide": (two, False), "Sub": (sub, True)})
    path = tmp_path / "pure.udf"
    image.write(path, root)
    facts = inspect(path)
    assert facts.filesystems == ("UDF 2.01" if extended else "UDF 1.02",)
    assert facts.label == "BY_HAND"
    assert {p: content(path, e) for p, e in facts.files.items()} == {
        "wide": wide,
        "Sub/ünï": small,
        "Sub/日本語": wide,
    }
    if block != 4096:  # 7z 22.01 does not open those
        assert sizes(facts) == listed_by_7z(path)


def test_a_file_over_4_gib_is_one_run(tmp_path: Path) -> None:
    """Six short descriptors of about 1 GiB each, neighbours on the disc; the image is sparse."""
    image = UdfImage()
    big = image.file(b"start", size=(5 << 30) + 123)
    root = image.directory({"install.wim": (big, False)})
    path = tmp_path / "big.udf"
    image.write(path, root)
    facts = inspect(path)
    (extent,) = facts.files["install.wim"]
    assert extent.length == (5 << 30) + 123
    assert listed_by_7z(path) == {"install.wim": extent.length}
    assert content(path, (Extent(offset=extent.offset, length=5),)) == b"start"


@pytest.mark.parametrize(
    "arguments", [["-m", "hd", "-b", "512"], ["-m", "hd", "-b", "2048", "-r", "1.02"]]
)
def test_volumes_by_mkudffs(tmp_path: Path, arguments: list[str]) -> None:
    path = tmp_path / "empty.udf"
    run(["truncate", "-s", "8M", path])
    run(["mkudffs", *arguments, "-l", "Täst", path])
    facts = inspect(path)
    revision = "1.02" if "1.02" in arguments else "2.01"
    assert (facts.filesystems, facts.label) == ((f"UDF {revision}",), "Täst")
    assert facts.files == {}


def test_rewritable_forms_are_named(tmp_path: Path) -> None:
    path = tmp_path / "cdr.udf"
    run(["truncate", "-s", "8M", path])
    run(["mkudffs", "-m", "cdr", "-b", "2048", path])
    with pytest.raises(MediaError, match="Virtual Partition"):
        inspect(path)


@pytest.mark.parametrize("broken", [(256,), (256, -257), (256, -1), (-1, -257)])
def test_any_anchor_will_do(tmp_path: Path, broken: tuple[int, ...]) -> None:
    path = wiped(tmp_path, broken)
    assert set(inspect(path).files) == {"file"}


def test_the_reserve_descriptors_will_do(tmp_path: Path) -> None:
    path = wiped(tmp_path, (33,))
    assert set(inspect(path).files) == {"file"}


def test_no_anchor_at_all(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="anchor is missing"):
        inspect(wiped(tmp_path, (256, -257, -1)))


def wiped(folder: Path, blocks: tuple[int, ...]) -> Path:
    """A small UDF image with some blocks overwritten; negative ones count from the end."""
    image = UdfImage()
    root = image.directory({"file": (image.file(b"x"), False)})
    path = folder / "wiped.udf"
    image.write(path, root)
    data = bytearray(path.read_bytes())
    for block in blocks:
        at = block * 2048 % len(data)
        data[at : at + 2048] = b"\xaa" * 2048
    path.write_bytes(data)
    return path


def test_ten_thousand_files_are_quick(tmp_path: Path) -> None:
    image = UdfImage(form="embedded")
    folders = {}
    image.form = "short"
    for number in range(100):
        files = {f"file-{n:03}.bin": (image.file(b""), False) for n in range(100)}
        folders[f"folder-{number:02}"] = (image.directory(files), True)
    root = image.directory(folders)
    path = tmp_path / "many.udf"
    image.write(path, root)
    with opened(path) as window:
        before = process_time()
        facts = inspect_window(window)
        assert process_time() - before < 1.5  # 0.2 s on the machine this was written on
        assert window.bytes_read < 30 << 20
    assert len(facts.files) == 10_000
