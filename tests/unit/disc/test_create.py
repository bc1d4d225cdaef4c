"""`iso create`: discs of all shapes, read back by 7-Zip, xorriso, pycdlib, GRUB and udfinfo."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provisioner.disc.create import Created, Order, create
from provisioner.disc.extract import extract
from provisioner.disc.view import opened_view
from provisioner.errors import (
    FailedError,
    HostError,
    ProfileError,
    ProvisionerError,
    RefusedError,
    UsageError,
)
from provisioner.image.shapes import Shape
from tests.unit.disc import readers
from tests.unit.disc.readers import Contents, made, run, with_folders

EPOCH = 1_700_000_000
ROOT = Path(__file__).parents[3]
PROGRAM = (sys.executable, "-B", "-m", "provisioner", "iso")
EFISYS, NOPROMPT, BIOS = b"P" * 8192, b"S" * 8192, b"B" * 4096

WINDOWS: Mapping[str, bytes | None] = {
    "setup.exe": b"MZ" + bytes(500),
    "boot/etfsboot.com": BIOS,
    "boot/fonts/Ä ö.ttf": b"font",
    "efi/microsoft/boot/efisys.bin": EFISYS,
    "efi/microsoft/boot/efisys_noprompt.bin": NOPROMPT,
    "sources/install.wim": os.urandom(300_001),
    "sources/copy.wim": b"",
    "sources/$OEM$/$$": None,
    "support/日本語 ファイル.txt": b"text",
    "l" * 200 + ".inf": b"long",
}


def disc(tmp_path: Path, files: Mapping[str, bytes | None], **order: object) -> Path:
    image = tmp_path / "disc.iso"
    order = {"epoch": EPOCH, **order}
    create(made(tmp_path / "tree", files), image, Order(**order))  # type: ignore[arg-type]
    return image


def own(image: Path, into: Path) -> Contents:
    with opened_view(image) as view:
        extract(view, list(view.items.values()), into)
    return readers.contents(into)


def test_a_windows_disc_by_every_reader(tmp_path: Path) -> None:
    image = disc(tmp_path, WINDOWS, label="CCCOMA_X64FRE_EN-US_DV9")
    expected = with_folders(WINDOWS)
    assert own(image, tmp_path / "own") == expected
    assert readers.by_7z(image, tmp_path / "7z") == expected
    assert readers.by_pycdlib(image, "udf_path") == expected
    for path in ("setup.exe", "sources/install.wim", "support/日本語 ファイル.txt"):
        assert readers.by_grub(image, path, tmp_path / "one") == WINDOWS[path]
    assert list(readers.by_xorriso(image, tmp_path / "iso")) == ["README.TXT"]
    facts = dict(line.split("=", 1) for line in run("udfinfo", image).splitlines() if "=" in line)
    assert facts["udfrev"] == facts["udfwriterev"] == "1.02"
    assert (facts["integrity"], facts["numfiles"], facts["numdirs"]) == ("closed", "9", "10")
    assert facts["lvid"] == facts["vid"] == "CCCOMA_X64FRE_EN-US_DV9"
    assert int(facts["blocks"]) * 2048 == image.stat().st_size


def test_a_windows_disc_boots_as_microsofts_do(tmp_path: Path) -> None:
    image = disc(tmp_path, WINDOWS)
    report = run("xorriso", "-indev", image, "-report_el_torito", "plain")
    lines = [line.split()[5:] for line in report.splitlines() if "El Torito boot img" in line]
    with opened_view(image) as view:
        blocks = [view.items[path].extents[0].offset // 2048 for path in BOOT_FILES]
        first = min(item.extents[0].offset for item in view.files if item.extents)
    assert lines == [
        ["1", "BIOS", "y", "none", "0x0000", "0x00", "8", str(blocks[0])],
        ["2", "UEFI", "y", "none", "0x0000", "0x00", "1", str(blocks[1])],
    ]
    assert blocks[0] * 2048 == first, "boot files lie first"


BOOT_FILES = ("boot/etfsboot.com", "efi/microsoft/boot/efisys.bin")


@pytest.mark.parametrize(
    ("order", "boots"),
    [
        ({}, ["boot/etfsboot.com", "efi/microsoft/boot/efisys.bin"]),
        ({"no_prompt": True}, ["boot/etfsboot.com", "efi/microsoft/boot/efisys_noprompt.bin"]),
        ({"bios": ""}, ["efi/microsoft/boot/efisys.bin"]),
        ({"bios": "", "uefi": ""}, []),
        ({"uefi": "setup.exe"}, ["boot/etfsboot.com", "setup.exe"]),
    ],
)
def test_boot_images_are_found_or_named(
    tmp_path: Path, order: dict[str, object], boots: list[str]
) -> None:
    with opened_view(disc(tmp_path, WINDOWS, **order)) as view:
        assert [entry.path for entry in view.boot] == boots


@pytest.mark.parametrize("shape", [Shape.PORTABLE, Shape.DATA])
def test_a_disc_for_everybody(tmp_path: Path, shape: Shape) -> None:
    files: dict[str, bytes | None] = {
        "read me.txt": b"1",
        "READ ME.TXT": b"2",
        "Übung/日本語.txt": b"3",
        "a.b.c.d": b"4",
        "empty": b"",
        ".hidden": b"5",
        "x" * 200: b"6",
        "/".join("deep" for _ in range(20)) + "/file": b"7",
        "many/" + "y" * 240 + "1": b"8",
        "many/" + "y" * 240 + "2": b"9",
    }
    image = disc(tmp_path, files, shape=shape)
    expected = with_folders(files)
    assert readers.by_xorriso(image, tmp_path / "xorriso") == expected
    assert own(image, tmp_path / "own") == expected
    joliet = readers.by_pycdlib(image, "joliet_path")
    assert sorted(d for d in joliet.values() if d is not None) == [
        *sorted(d for d in files.values() if d is not None)
    ]
    assert all(len(part) <= 64 for path in joliet for part in path.split("/"))
    assert len({path.upper() for path in joliet}) == len(joliet)
    assert readers.by_grub(image, "Übung/日本語.txt", tmp_path / "one") == b"3"
    plain = run("isoinfo", "-f", "-i", image).split()
    assert "/READ_ME.TXT;1" in plain and "/READ_ME_2.TXT;1" in plain
    if shape is Shape.DATA:
        assert readers.by_pycdlib(image, "udf_path").keys() >= {"Übung/日本語.txt", "x" * 200}


def test_changed_names_are_told(tmp_path: Path) -> None:
    folder = made(tmp_path / "tree", {"a.txt": b"1", "A.txt": b"2", "z" * 80: b"3", "w:x": b"4"})
    notes = create(folder, tmp_path / "x.iso", Order(shape=Shape.PORTABLE)).notes
    assert notes == (
        "Joliet: a.txt is called a_2.txt",
        "Joliet: w:x is called w_x",
        f"Joliet: {'z' * 80} is called {'z' * 64}",
    )


def test_permissions_times_and_links(tmp_path: Path) -> None:
    folder = made(tmp_path / "tree", {"run": b"1", "sub/secret": b"2", "sub/plain": b"3"})
    (folder / "run").chmod(0o755)
    (folder / "sub/secret").chmod(0o600)
    (folder / "sub").chmod(0o750)
    (folder / "to-run").symlink_to("run")
    (folder / "sub/up").symlink_to("../run")
    (folder / "nowhere").symlink_to("./missing/" + "n" * 300)
    for path in [*folder.rglob("*"), folder]:
        os.utime(path, (EPOCH - 100, EPOCH - 100), follow_symlinks=False)
    image = tmp_path / "x.iso"
    create(folder, image, Order(shape=Shape.PORTABLE, epoch=EPOCH))
    assert own(image, tmp_path / "own") == readers.contents(folder)
    run("xorriso", "-indev", image, "-osirrox", "on", "-extract", "/", tmp_path / "xorriso")
    for into in ("own", "xorriso"):
        for path in folder.rglob("*"):
            there = tmp_path / into / path.relative_to(folder)
            if path.is_symlink():
                assert there.readlink() == path.readlink()
            else:
                assert there.stat().st_mode == path.stat().st_mode, there
                assert there.stat().st_mtime == EPOCH - 100


def test_files_of_equal_content_are_stored_once(tmp_path: Path) -> None:
    big, other = os.urandom(200_000), os.urandom(200_000)
    files: dict[str, bytes | None] = {f"{n}/copy": big for n in range(5)}
    files |= {"other": other, "alike": big[:100_000] + other[100_000:], "none": b"", "no": b""}
    for shape in Shape:
        image = tmp_path / f"{shape}.iso"
        created = create(made(tmp_path / "tree", files), image, Order(shape=shape))
        assert created.saved == 800_000
        size = image.stat().st_size
        assert own(image, tmp_path / shape) == with_folders(files)
        everything = create(tmp_path / "tree", image, Order(shape=shape, deduplicate=False))
        assert everything.saved == 0
        assert image.stat().st_size - size > 790_000


def test_the_same_folder_gives_the_same_bytes(tmp_path: Path) -> None:
    """Another clock, time zone, hash seed, locale and target: nothing of it gets in."""
    folder = made(tmp_path / "tree", WINDOWS)
    for path in [*folder.rglob("*"), folder]:
        os.utime(path, (EPOCH - 5, EPOCH - 5))
    for shape in Shape:
        images = []
        for number, (zone, seed) in enumerate([("UTC", "1"), ("Asia/Tokyo", "2")]):
            image = tmp_path / f"{shape}{number}.iso"
            subprocess.run(
                [*PROGRAM, "create", folder, image, "--shape", shape, "--label", "SAME"],
                env={"PATH": "/usr/bin:/bin", "TZ": zone, "PYTHONHASHSEED": seed, "HOME": "/"}
                | {"PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"},
                check=True,
                capture_output=True,
            )
            images.append(image.read_bytes())
        assert images[0] == images[1], shape


def test_source_date_epoch_bounds_every_date(tmp_path: Path) -> None:
    image = disc(tmp_path, {"new": b"1"}, shape=Shape.DATA, epoch=1_000_000_000)
    with opened_view(image) as view:
        assert view.items["new"].modified == 1_000_000_000


NAMES = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="/\0"), min_size=1, max_size=40
).filter(lambda name: name not in {".", ".."} and len(name.encode()) <= 255)
PLAIN = st.text("abcXYZ019 ._-$()üßЖ漢😀", min_size=1, max_size=30).map(
    lambda name: name.rstrip(". ") or "x"
)


def trees(names: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, bytes | None]]:
    paths = st.lists(names, min_size=1, max_size=4).map("/".join)
    return st.dictionaries(paths, st.one_of(st.none(), st.binary(max_size=5000)), max_size=25)


def usable(files: Mapping[str, bytes | None]) -> bool:
    """No file is a folder as well, and none differs from another in case alone."""
    known: dict[str, str] = {}
    for path, data in files.items():
        parts = path.split("/")
        for end in range(1, len(parts) + 1):
            place = "/".join(parts[:end])
            if known.setdefault(place.upper(), place) != place:
                return False
            if end < len(parts) and files.get(place, None) is not None:
                return False
        if data is None and any(other.startswith(path + "/") for other in files):
            continue
    return len({path.casefold() for path in files}) == len(files)


EXAMPLES = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)


@EXAMPLES
@given(files=trees(PLAIN).filter(usable))
def test_any_tree_as_a_windows_disc(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes | None]
) -> None:
    tmp_path = tmp_path_factory.mktemp("any")
    try:
        image = disc(tmp_path, files, shape=Shape.WINDOWS)
    except ProfileError as err:  # a name that Windows keeps for a device
        assert {problem.rule for problem in err.problems} <= {"disc.reserved", "disc.name-length"}
        return
    expected = with_folders(files)
    assert own(image, tmp_path / "own") == expected
    if any(files.values()):  # 7-Zip takes a disc without a byte of content for a damaged one
        assert readers.by_7z(image, tmp_path / "7z") == expected
    if "".join(files).isascii():  # pycdlib's walk trips over paths of both character widths
        assert readers.by_pycdlib(image, "udf_path") == expected
    same_again(tmp_path, image, Shape.WINDOWS)


@EXAMPLES
@given(files=trees(NAMES).filter(usable))
def test_any_tree_as_a_portable_disc(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes | None]
) -> None:
    tmp_path = tmp_path_factory.mktemp("any")
    image = disc(tmp_path, files, shape=Shape.PORTABLE)
    expected = with_folders(files)
    assert own(image, tmp_path / "own") == expected
    assert readers.by_xorriso(image, tmp_path / "xorriso") == expected
    same_again(tmp_path, image, Shape.PORTABLE)


def same_again(tmp_path: Path, image: Path, shape: Shape) -> None:
    """Twice built, byte-identical."""
    again = tmp_path / "again.iso"
    create(tmp_path / "tree", again, Order(shape=shape, epoch=EPOCH, label="TREE"))
    assert again.read_bytes() == image.read_bytes()


def test_ten_thousand_files(tmp_path: Path) -> None:
    files: dict[str, bytes | None] = {
        f"folder {n % 7}/{'long name ' * 15}{n}.txt": str(n).encode() for n in range(10_000)
    }
    made(tmp_path / "tree", files)
    for shape in (Shape.WINDOWS, Shape.PORTABLE):
        image = tmp_path / f"{shape}.iso"
        create(tmp_path / "tree", image, Order(shape=shape))
        assert own(image, tmp_path / shape) == with_folders(files)
    assert readers.by_7z(tmp_path / "windows.iso", tmp_path / "7z") == with_folders(files)
    assert readers.by_xorriso(tmp_path / "portable.iso", tmp_path / "x") == with_folders(files)


def test_the_boot_info_table_is_genisoimages(tmp_path: Path) -> None:
    loader = os.urandom(10_001)
    folder = made(tmp_path / "tree", {"isolinux/isolinux.bin": loader, "vmlinuz": b"k" * 5000})
    image = tmp_path / "ours.iso"
    create(folder, image, Order(shape=Shape.PORTABLE))
    theirs = tmp_path / "theirs.iso"
    run(
        *("genisoimage", "-quiet", "-o", theirs, "-b", "isolinux/isolinux.bin", "-no-emul-boot"),
        *("-boot-load-size", "4", "-boot-info-table", "-J", "-R", folder),
    )
    assert (folder / "isolinux/isolinux.bin").read_bytes() != loader, "genisoimage writes into it"
    tables = []
    for disc_ in (image, theirs):
        with opened_view(disc_) as view:
            item = view.find("isolinux/isolinux.bin")
            assert view.boot[0].load_sectors == 4
            block = item.extents[0].offset // 2048
            table = view.window.read(item.extents[0].offset + 8, 56)
        assert int.from_bytes(table[4:8], "little") == block
        tables.append(table[:4] + table[8:])
    assert tables[0] == tables[1]


# What must not become a disc


def refused(tmp_path: Path, files: Mapping[str, bytes | None], **order: object) -> ProvisionerError:
    with pytest.raises(ProvisionerError) as caught:
        disc(tmp_path, files, **order)
    assert not (tmp_path / "disc.iso").exists()
    assert [path.name for path in tmp_path.iterdir() if ".part" in path.name] == []
    return caught.value


def test_windows_names(tmp_path: Path) -> None:
    error = refused(
        tmp_path,
        {
            "a": b"1",
            "A": b"2",
            "x?y": b"3",
            "NUL.txt": b"4",
            "日" * 84: b"",
            "end.": b"",
            "bad\udcff": b"",
        },
        shape=Shape.WINDOWS,
    )
    assert isinstance(error, ProfileError)
    assert sorted(problem.rule for problem in error.problems) == [
        *("disc.case", "disc.character", "disc.character", "disc.name-end", "disc.reserved")
    ]


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "sub/../../outside"])
@pytest.mark.parametrize("shape", [None, *Shape])
def test_a_link_out_of_the_folder(tmp_path: Path, shape: Shape | None, target: str) -> None:
    made(tmp_path / "tree", {"sub": None})
    (tmp_path / "outside").write_text("secret")
    (tmp_path / "tree/link").symlink_to(target)
    error = refused(tmp_path, {}, shape=shape)
    assert isinstance(error, RefusedError)
    assert "link is a symbolic link out of the folder" in error.message


def test_links_where_the_disc_has_none(tmp_path: Path) -> None:
    folder = made(tmp_path / "tree", {"file": b"1", "sub/x": b"2"})
    (folder / "same").symlink_to("file")
    (folder / "folder").symlink_to("sub")
    (folder / "nothing").symlink_to("missing")
    os.mkfifo(folder / "pipe")
    created = create(folder, tmp_path / "x.iso", Order(shape=Shape.WINDOWS))
    assert created.notes == (
        "folder is skipped: it is a symbolic link to a folder",
        "nothing is skipped: it is a symbolic link that leads nowhere",
        "pipe is skipped: it is no file, folder or link",
    )
    assert own(tmp_path / "x.iso", tmp_path / "own") == {
        "file": b"1",
        "same": b"1",
        "sub": None,
        "sub/x": b"2",
    }


def test_what_is_left_out(tmp_path: Path) -> None:
    files: dict[str, bytes | None] = {".git/config": b"", "a.log": b"", "b/a.log": b"", "b/c": b""}
    files["b/.x"] = b""
    folder = made(tmp_path / "tree", files)

    def names(**order: object) -> tuple[list[str], Created]:
        created = create(folder, tmp_path / "x.iso", Order(**order))  # type: ignore[arg-type]
        with opened_view(tmp_path / "x.iso") as view:
            return sorted(view.items), created

    assert names(hidden=False)[0] == ["a.log", "b", "b/a.log", "b/c"]
    assert names(exclude=["*.log", ".git"])[0] == ["b", "b/.x", "b/c"]
    assert names(exclude=["b/*"])[0] == [".git", ".git/config", "a.log", "b"]
    assert names(exclude=["nothing"])[1].notes == ("nothing matches --exclude nothing",)


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    folder = made(tmp_path / "tree", {"open": b"1", "shut": b"2"})
    (folder / "shut").chmod(0)
    for path in (tmp_path, *tmp_path.parents[:-1]):
        if path.stat().st_uid == os.getuid() and path != Path("/tmp"):
            path.chmod(0o755)
    target = tmp_path / "target"
    target.mkdir(mode=0o777)
    target.chmod(0o777)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    done = subprocess.run(
        [*(nobody if os.getuid() == 0 else []), *PROGRAM, "create", folder, target / "x.iso"],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (4, ""), done.stderr
    assert f"cannot read {folder / 'shut'}" in done.stderr
    assert list(target.iterdir()) == []


def test_a_source_that_changes_while_it_is_read(tmp_path: Path) -> None:
    folder = made(tmp_path / "tree", {"a": os.urandom(5000), "b": os.urandom(6000)})

    def change(label: str, done: int, total: int) -> None:
        if label == "x.iso" and done == 0:
            (folder / "b").write_bytes(os.urandom(6000))

    with pytest.raises(FailedError, match="b changed while it was read"):
        create(folder, tmp_path / "x.iso", Order(), progress=change)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tree"]

    def shrink(label: str, done: int, total: int) -> None:
        if label == "x.iso" and done == 0:
            (folder / "b").write_bytes(b"")

    with pytest.raises(FailedError, match="had 6000 bytes when this was planned and has 0 now"):
        create(folder, tmp_path / "x.iso", Order(), progress=shrink)


def test_ctrl_c_leaves_the_old_file_or_none(tmp_path: Path) -> None:
    folder = made(tmp_path / "tree", {"a": os.urandom(5000)})
    (tmp_path / "old.iso").write_text("old")

    def interrupt(label: str, done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    for name in ("old.iso", "new.iso"):
        with pytest.raises(KeyboardInterrupt):
            create(folder, tmp_path / name, Order(), progress=interrupt)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old.iso", "tree"]
    assert (tmp_path / "old.iso").read_text() == "old"


def test_the_target_is_not_in_the_folder(tmp_path: Path) -> None:
    folder = made(tmp_path / "tree", {"a": b"1"})
    with pytest.raises(RefusedError, match="would lie inside"):
        create(folder, folder / "x.iso", Order())
    (tmp_path / "beside").mkdir()
    (tmp_path / "link").symlink_to(folder)
    for way in ("beside/../link/x.iso", f"beside/../{folder.name}/x.iso"):
        with pytest.raises(RefusedError, match="would lie inside"):
            create(folder, tmp_path / way, Order())
    (tmp_path / "hard").hardlink_to(folder / "a")
    with pytest.raises(RefusedError, match="would be replaced by it"):
        create(folder, tmp_path / "hard", Order())
    assert (folder / "a").read_bytes() == b"1"


def test_a_full_disk_is_told_before_writing(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    space = os.statvfs(tmp_path)
    for number in range(space.f_bavail * space.f_frsize // (200 << 30) + 1):
        with (tmp_path / f"tree/{number}").open("wb") as stream:
            stream.truncate((200 << 30) + number)
    error = refused(tmp_path, {}, shape=Shape.DATA)
    assert isinstance(error, HostError)
    assert "bytes free" in error.message


@pytest.mark.parametrize(
    ("files", "order", "message"),
    [
        ({"a": b"1"}, {"bios": "missing.bin"}, "boot image missing.bin is not in the folder"),
        ({"empty.bin": b""}, {"bios": "empty.bin"}, "boot image empty.bin is empty"),
        ({"a": b"1"}, {"no_prompt": True}, "would ask for a key"),
        ({"a": b"1"}, {"label": "Ümlaut"}, "cannot be the label"),
        ({"a": b"1"}, {"label": "x" * 33}, "cannot be the label"),
    ],
)
def test_orders_that_cannot_be_met(
    tmp_path: Path, files: dict[str, bytes | None], order: dict[str, object], message: str
) -> None:
    assert message in refused(tmp_path, files, **order).message


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a folder"):
        create(tmp_path / "missing", tmp_path / "x.iso", Order())
