"""Composed sticks under the eyes of fsck.fat, sgdisk and mtools."""

from __future__ import annotations

import random
import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provisioner.errors import FailedError, MediaError, ProfileError, RefusedError
from provisioner.tree import Bytes, Directory, File, HostFile, Slice, Tree
from provisioner.usb.compose import Form, StickStream, label_from
from provisioner.usb.tables import Table
from tests.unit.usb.readers import EPOCH, checked, extracted, run, with_folders, written


def reveal(slot: object) -> str:
    raise AssertionError(slot)


def stream(files: dict[str, bytes | None], *, capacity: int | None = None, **form: object):
    tree = Tree(
        (path, Directory(modified=EPOCH) if data is None else File(content=(Bytes(data=data),)))
        for path, data in files.items()
    )
    return StickStream(
        tree,
        Form(**({"epoch": EPOCH} | form)),  # type: ignore[arg-type]
        capacity=capacity,
        reveal=reveal,
    )


FILES: dict[str, bytes | None] = {
    "SETUP.EXE": b"MZ" * 3000,
    "bootmgr": b"x" * 4096,
    "efi/boot/bootx64.efi": b"MZ" + bytes(5000),
    "sources/install.wim": bytes(range(256)) * 5000,
    "sources/$OEM$/$$/Panther/unattend.xml": b"<unattend/>",
    "empty": b"",
    "an empty folder": None,
    "Autounattend.xml": b"<a/>",
    "Überlänge mit Leerzeichen.tar.gz": b"1",
    "漢字/кириллица.txt": b"2",
    "thirteen_char": b"3",
    "twenty-six-characters-long": b"4",
    "FOOBAR~1.TXT": b"5",
    "foobar is long.txt": b"6",
    "foobar is longer.txt": b"7",
    ".hidden": b"8",
    "a.b.c": b"9",
}


@pytest.mark.parametrize("table", list(Table))
def test_readers_agree(tmp_path: Path, table: Table) -> None:
    image = written(stream(FILES, table=table, label="MY-STICK"), tmp_path / "stick.img")
    volume = checked(image, gpt=table is Table.GPT)
    assert extracted(volume, tmp_path / "out") == with_folders(FILES)
    assert "MY-STICK" in run("mlabel", "-s", "-i", volume, "::")
    listed = run("sfdisk", "-d", image)
    assert ("type=c, bootable" in listed) == (table is Table.MBR)
    assert ("EBD0A0A2-B9E5-4433-87C0-68B6B72699C7" in listed) == (table is Table.GPT)
    assert ": start=        2048," in listed


def test_times_are_kept(tmp_path: Path) -> None:
    tree = Tree([("old.txt", File(content=(Bytes(data=b"1"),), modified=1_234_567_890))])
    made = StickStream(tree, Form(epoch=EPOCH), reveal=reveal)
    volume = checked(written(made, tmp_path / "stick.img"))
    assert "2009-02-13  23:31" in run("mdir", "-i", volume, "::/old.txt")


def test_same_bytes_twice_and_other_ids_for_another_tree(tmp_path: Path) -> None:
    one = written(stream(FILES), tmp_path / "one.img").read_bytes()
    assert written(stream(FILES), tmp_path / "two.img").read_bytes() == one
    other = written(stream({**FILES, "more": b"."}), tmp_path / "three.img")
    ids = [
        {line for line in run("sgdisk", "-i", "1", "-p", path).splitlines() if "GUID" in line}
        for path in (tmp_path / "one.img", other)
    ]
    assert not {line for line in ids[0] & ids[1] if "code" not in line}


@pytest.mark.parametrize("size", [64 << 20, 300 << 20, 9 << 30, 40 << 30, 3 << 40])
def test_a_whole_stick_of_any_size(tmp_path: Path, size: int) -> None:
    """The partition takes the stick; the backup table lies in its last sector."""
    made = stream(FILES, capacity=size)
    image = written(made, tmp_path / "stick.img")
    assert image.stat().st_size == size == made.size
    assert made.shape.clusters >= 65_525
    told = run("sgdisk", "-v", image)
    assert "No problems found" in told, told
    if size <= 9 << 30:
        assert extracted(checked(image), tmp_path / "out") == with_folders(FILES)


def test_one_byte_too_small_tells_both_sizes() -> None:
    files: dict[str, bytes | None] = {"a": bytes(40 << 20)}
    with pytest.raises(RefusedError) as caught:
        stream(files, capacity=1 << 20)
    needed = int(caught.value.message.split(" bytes, and ")[1].split(" ")[0].replace(",", ""))
    assert stream(files, capacity=needed).size == needed
    with pytest.raises(RefusedError) as caught:
        stream(files, capacity=needed - 1)
    assert f"{needed:,} are needed" in caught.value.message
    assert f"{(needed - 1) // 512 * 512:,} bytes" in caught.value.message
    assert caught.value.exit_code == 5


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"Readme.txt": b"1", "README.TXT": b"2"}, "differ only in upper and lower case"),
        ({"a/ß.txt": b"1", "A/b": b"2"}, "differ only in upper and lower case"),
        ({"a:b": b""}, "must not contain ':'"),
        ({"trailing.": b""}, "must not end in a dot"),
        ({"n" * 256: b""}, "256 characters"),
        ({"sources/con.txt": b""}, "keeps this name for a device"),
    ],
)
def test_names_that_fat_or_windows_refuses(files: dict[str, bytes | None], words: str) -> None:
    with pytest.raises(ProfileError) as caught:
        stream(files)
    assert words in caught.value.message


def test_a_file_of_4_gib_is_refused_by_name(tmp_path: Path) -> None:
    big = tmp_path / "big"
    with big.open("wb") as target:
        target.truncate(1 << 32)
    part = Slice(image=big, offset=0, length=1 << 32)
    tree = Tree([("sources/huge.bin", File(content=(part,)))])
    with pytest.raises(MediaError, match=r"sources/huge\.bin has 4,294,967,296 bytes"):
        StickStream(tree, Form(), reveal=reveal)


def test_too_many_names_in_a_folder() -> None:
    names: dict[str, bytes | None] = {f"a long name {n}": b"" for n in range(30_000)}
    with pytest.raises(MediaError, match="holds more names than"):
        stream(names)


def test_a_source_that_changes_is_noticed(tmp_path: Path) -> None:
    source = tmp_path / "file"
    source.write_bytes(b"1" * 10_000)
    tree = Tree([("file", File(content=(Slice(image=source, offset=0, length=10_000),)))])
    made = StickStream(tree, Form(), reveal=reveal)
    list(made.blocks())
    source.write_bytes(b"2" * 10_000)
    with pytest.raises(FailedError, match="changed since the stick was planned"):
        list(made.blocks())


def test_places(tmp_path: Path) -> None:
    made = stream({"sources/a.bin": b"A" * 5000})
    image = written(made, tmp_path / "stick.img")
    at = image.read_bytes().index(b"A" * 100)
    assert made.place(at).file == "sources/a.bin"
    assert made.place(at + 5000).partition == "partition 1 (WINDOWS, FAT32)"
    assert made.place(0).file is None and "GPT" in made.place(0).partition
    assert made.place(made.size - 1).partition.startswith("no partition")
    assert made.place(made.size - (2 << 20)).file is None


def test_thousands_of_files_whose_short_names_collide(tmp_path: Path) -> None:
    files: dict[str, bytes | None] = {
        f"drivers/identical start {n:05}.inf": b"%d" % n for n in range(4_000)
    }
    volume = checked(written(stream(files), tmp_path / "stick.img"))
    assert extracted(volume, tmp_path / "out") == with_folders(files)


LETTERS = string.ascii_letters + string.digits + " ._-+,;=[]{}~!#$%&'()@^`äßÉ漢я€"
NAMES = st.text(alphabet=LETTERS.replace(";", ""), min_size=1, max_size=40).filter(
    lambda name: name[-1] not in ". " and name[0] != " " and name.strip(".")
)
COLLIDING = st.one_of(
    NAMES,
    st.integers(0, 99).map(lambda number: f"collides with {number}.inf"),
    st.integers(1, 12).map(lambda number: f"COLLID~{number}.INF"),
)
"""Names of any kind; some whose short names would be alike, and some that are such short names."""


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_random_trees_come_back_identical(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Long names, case, 8.3 collisions, folders in folders: mtools gives back the tree."""
    chance = random.Random(data.draw(st.integers(0, 2**32)))
    folders = [""]
    files: dict[str, bytes | None] = {}
    seen: set[str] = set()
    for _ in range(data.draw(st.integers(3, 40))):
        path = chance.choice(folders) + data.draw(COLLIDING)
        if path.upper() in seen or path.casefold() in seen:
            continue
        seen |= {path.upper(), path.casefold()}
        if chance.random() < 0.25 and path.count("/") < 4:
            folders.append(path + "/")
            files[path] = None
        else:
            files[path] = chance.randbytes(chance.choice([0, 1, 511, 512, 4096, 4097, 70_000]))
    try:
        made = stream(files, capacity=chance.choice([None, 60 << 20]))
    except ProfileError as err:
        # Windows folds some letters that Python keeps apart, and keeps names for devices.
        assert {problem.rule for problem in err.problems} <= {"disc.case", "disc.reserved"}
        return
    folder = tmp_path_factory.mktemp("random")
    volume = checked(written(made, folder / "stick.img"))
    assert extracted(volume, folder / "out") == with_folders(files)
    for path in folder.glob("*.*"):
        path.unlink()


def test_letters_beyond_the_first_plane(tmp_path: Path) -> None:
    """mtools does not know them; 7-Zip does."""
    volume = checked(written(stream({"😀/🦊.txt": b"1"}), tmp_path / "stick.img"))
    assert "😀/🦊.txt" in run("7z", "l", "-slt", "-sccUTF-8", volume)


def test_labels() -> None:
    assert label_from("CCCOMA_X64FRE_DE-DE_DV9") == "CCCOMA_X64F"
    assert label_from("...") == "WINDOWS"


def test_host_files(tmp_path: Path) -> None:
    source = tmp_path / "driver.inf"
    source.write_bytes(b"[Version]")
    tree = Tree([("d.inf", File(content=(HostFile(path=source, size=9),)))])
    made = StickStream(tree, Form(), reveal=reveal)
    volume = checked(written(made, tmp_path / "stick.img"))
    assert extracted(volume, tmp_path / "out") == {"d.inf": b"[Version]"}
