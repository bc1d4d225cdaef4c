"""Raw images of sticks and disks: partitions, FAT, labels; sgdisk, mtools and blkid as oracles."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from time import process_time

import pytest

from provisioner.errors import MediaError
from provisioner.media.facts import MediaKind, Partition
from provisioner.media.fat import read_fat
from provisioner.media.inspect import inspect, inspect_window
from provisioner.media.partitions import read_partitions
from provisioner.media.walk import collect
from provisioner.media.window import Damaged, Extents, opened
from tests.unit.media.big_disc import ANSWERS
from tests.unit.media.discs import LANG_INI, run
from tests.unit.media.sticks import (
    MIB,
    make_fat,
    make_gpt,
    make_gpt_stick,
    make_mbr_stick,
    make_volumes,
    mbr_entry,
)

FILES = {
    "SHORT.TXT": b"short",
    "lower.txt": b"x",
    "a long name with blanks and umlauts äöü 日本.txt": b"y" * 70_000,
    "sub/deeper/still deeper/file.bin": bytes(range(256)) * 500,
    "empty.bin": b"",
    "name.with.dots.txt": b"z",
}


@pytest.fixture(scope="session", params=[(12, 2), (16, 16), (32, 40)], ids=["12", "16", "32"])
def volume(request: pytest.FixtureRequest, images: Path) -> Path:
    bits, mebibytes = request.param
    path = images / f"fat{bits}.img"
    return make_fat(path, FILES, size=mebibytes * MIB, bits=bits, label="MY STICK")


def test_files_of_a_fat_volume(volume: Path) -> None:
    """Names and bytes are those that mtools wrote."""
    with opened(volume) as window:
        fat = read_fat(window, 0)
        listing = collect(fat, window)
        assert set(listing.files) == set(FILES)
        for name, content in FILES.items():
            file = Extents(window, listing.files[name])
            assert file.read(0, file.size) == content
        assert fat.label == "MY STICK"
        assert fat.name == f"FAT{volume.stem.removeprefix('fat')}"


def test_files_in_pieces(tmp_path: Path) -> None:
    """A file that fills the holes which deleted ones left."""
    path = make_fat(tmp_path / "f.img", {}, size=2 * MIB, bits=12, label="HOLES")
    (tmp_path / "one").write_bytes(b"1" * 3000)
    for number in range(40):
        run(["mcopy", "-i", path, tmp_path / "one", f"::/{number}.bin"])
    for number in range(0, 40, 2):
        run(["mdel", "-i", path, f"::/{number}.bin"])
    content = bytes(range(251)) * 800
    (tmp_path / "big").write_bytes(content)
    run(["mcopy", "-i", path, tmp_path / "big", "::/big.bin"])
    with opened(path) as window:
        listing = collect(read_fat(window, 0), window)
        assert len(listing.files["big.bin"]) > 5
        file = Extents(window, listing.files["big.bin"])
        assert file.read(0, file.size) == content
        assert "0.bin" not in listing.files


def test_a_volume_without_a_table_is_inspected(volume: Path) -> None:
    facts = inspect(volume)
    assert facts.kind is MediaKind.DISK_IMAGE
    assert (facts.partition_table, facts.label) == (None, "MY STICK")
    assert facts.partitions[0].kind == "no partition table"
    assert set(facts.files) == set(FILES)


def test_gpt_agrees_with_sgdisk(tmp_path: Path) -> None:
    path = make_volumes(tmp_path)
    text = run(["sgdisk", "--print", path])
    rows = re.findall(r"^ +(\d+) +(\d+) +(\d+) .* ([0-9A-F]{4})  (.*)$", text, re.MULTILINE)
    with opened(path) as window:
        table = read_partitions(window)
    assert table is not None
    assert (table.scheme, table.sector, table.remarks) == ("GPT", 512, ())
    assert [
        (str(p.number), str(p.offset // 512), str((p.offset + p.length) // 512 - 1), p.name)
        for p in table.partitions
    ] == [(number, first, last, name) for number, first, last, _, name in rows]


def test_labels_agree_with_blkid(tmp_path: Path) -> None:
    path = make_volumes(tmp_path)
    names = {"vfat": "FAT", "swap": "Linux swap", "ntfs": "NTFS", "exfat": "exFAT"}
    found = inspect(path).partitions
    assert len(found) == 6
    for partition in found[:5]:
        place = ["-O", str(partition.offset), "-S", str(partition.length), path]
        kind, label = (
            run(["blkid", "-p", "-o", "value", "-s", name, *place]).strip("\n")
            for name in ("TYPE", "LABEL")
        )
        assert partition.filesystem == names.get(kind, kind)
        assert partition.label == label
    assert (found[5].filesystem, found[5].label) == ("", "")


@pytest.mark.parametrize("where", ["header", "entries"])
def test_the_copy_of_a_gpt(tmp_path: Path, where: str) -> None:
    path = make_volumes(tmp_path)
    before = inspect(path)
    data = bytearray(path.read_bytes())
    data[520 if where == "header" else 1024] ^= 0xFF
    path.write_bytes(data)
    after = inspect(path)
    assert after.partitions == before.partitions
    assert after.remarks == ("the first GPT is damaged; its copy was read",)
    data[-512 + 20] ^= 0xFF
    path.write_bytes(data)
    both = inspect(path)
    assert both.partition_table == "MBR"
    assert "no whole one was found" in both.remarks[0]


def test_an_mbr_with_a_logical_drive(tmp_path: Path) -> None:
    path = tmp_path / "mbr.img"
    path.write_bytes(make_mbr_stick(tmp_path))
    facts = inspect(path)
    assert facts.partition_table == "MBR"
    assert [(p.number, p.kind, p.active, p.filesystem) for p in facts.partitions] == [
        (1, "FAT32", True, "FAT12"),
        (5, "NTFS or exFAT", False, ""),
    ]
    assert set(facts.files) == {"setup.exe", "X.TXT"}
    starts = run(["partx", "--show", "--noheadings", "--output", "START", path]).split()
    del starts[1]  # the extended partition, which only holds the other
    assert [str(p.offset // 512) for p in facts.partitions] == starts


def test_logical_drives_in_a_circle(tmp_path: Path) -> None:
    data = bytearray(64 * 512)
    data[446:462] = mbr_entry(0x05, 8, 50)
    data[510:512] = b"\x55\xaa"
    at = 8 * 512
    data[at + 446 : at + 478] = mbr_entry(0x07, 1, 1) + mbr_entry(0x05, 0, 50)
    data[at + 510 : at + 512] = b"\x55\xaa"
    path = tmp_path / "circle.img"
    path.write_bytes(data)
    assert [p.number for p in inspect(path).partitions] == [5]


def test_boot_code_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "code.img"
    path.write_bytes(b"\x33" * 510 + b"\x55\xaa" + bytes(90000))
    with pytest.raises(MediaError):
        inspect(path)


def windows_stick(folder: Path, install_wim: Path, boot_wim: Path) -> Path:
    files = {
        "setup.exe": b"MZ",
        "Autounattend.xml": ANSWERS.encode(),
        "sources/boot.wim": boot_wim.read_bytes(),
        "sources/install.wim": install_wim.read_bytes(),
        "sources/lang.ini": LANG_INI,
        "efi/boot/bootx64.efi": b"MZ",
    }
    volume = make_fat(folder / "w.fat", files, size=40 * MIB, bits=32, label="ESD-USB")
    other = make_fat(folder / "o.fat", {"readme.txt": b"x"}, size=2 * MIB, bits=12, label="TOOLS")
    return make_gpt(
        folder / "stick.img",
        {"tools": other.read_bytes(), "windows": volume.read_bytes()},
        {"tools": "0700", "windows": "ef00"},
    )


def test_a_windows_stick(tmp_path: Path, install_wim: Path, boot_wim: Path) -> None:
    """Everything a disc tells, read from the FAT volume with Windows on it."""
    path = windows_stick(tmp_path, install_wim, boot_wim)
    facts = inspect(path)
    assert facts.kind is MediaKind.DISK_IMAGE
    assert (facts.product, facts.build, facts.architecture) == ("windows-11", 26100, "amd64")
    assert facts.label == "ESD-USB"
    assert facts.evidence == (
        "it has a GPT with 2 partitions",
        "it holds sources/install.wim and Windows Setup",
    )
    assert [p.label for p in facts.partitions] == ["TOOLS", "ESD-USB"]
    (answer,) = facts.answers
    assert (answer.rank, answer.wins) == (4, ("windowsPE", "oobeSystem"))


def test_a_truncated_stick(tmp_path: Path, install_wim: Path, boot_wim: Path) -> None:
    path = windows_stick(tmp_path, install_wim, boot_wim)
    data = path.read_bytes()
    path.write_bytes(data[: 12 * MIB])
    facts = inspect(path)
    assert any("it is truncated" in remark for remark in facts.remarks)
    assert facts.partitions[1] == Partition(
        number=2,
        kind="EFI system",
        name="windows",
        offset=3 * MIB,
        length=40 * MIB,
        active=False,
        filesystem="FAT32",
        label="ESD-USB",
    )


def test_little_of_a_stick_is_read(tmp_path: Path) -> None:
    path = tmp_path / "s.img"
    path.write_bytes(make_gpt_stick(tmp_path))
    with path.open("r+b") as stream:
        stream.truncate(8 << 30)
    with opened(path) as window:
        facts = inspect_window(window)
        assert window.bytes_read < 300_000
    assert facts.label == "STICK"


def test_a_cluster_chain_in_a_circle(tmp_path: Path) -> None:
    path = make_fat(tmp_path / "c.img", {"d/x": b"x"}, size=MIB, bits=12, label="X")
    with opened(path) as window:
        fat = read_fat(window, 0)
    data = bytearray(path.read_bytes())
    for table in (fat.table, fat.table + fat.table_bytes):
        data[table + 3 : table + 6] = bytes.fromhex("022000")  # cluster 2 leads to itself
    path.write_bytes(data)
    with opened(path) as window:
        fat = read_fat(window, 0)
        with pytest.raises(Damaged):
            collect(fat, window)
    assert "damaged" in inspect(path).remarks[0]


def test_files_cannot_multiply_a_chain(tmp_path: Path) -> None:
    """A hundred entries that all name one chain of 60,000 clusters."""
    files = {f"F{number}": b"x" for number in range(100)} | {"ONE": b"1" * 30 * MIB}
    path = make_fat(tmp_path / "m.img", files, size=40 * MIB, bits=32, label="M")
    with opened(path) as window:
        root = read_fat(window, 0).root.extents or ()
    data = bytearray(path.read_bytes())
    entries = [at for e in root for at in range(e.offset, e.offset + e.length, 32)]
    one = next(at for at in entries if data[at : at + 4] == b"ONE ")
    for at in entries:
        if data[at : at + 1] == b"F":
            data[at + 20 : at + 32] = data[one + 20 : one + 32]
    path.write_bytes(data)
    before = process_time()
    assert "more clusters" in inspect(path).remarks[0]
    assert process_time() - before < 10


def test_a_chain_past_the_end_of_its_table(tmp_path: Path) -> None:
    """The boot sector claims more clusters than the table has room for, right at a page's end."""
    path = make_fat(tmp_path / "p.img", {"x": b"x" * 600}, size=40 * MIB, bits=32, label="P")
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, 36, 128)  # sectors of a table: one page of ours
    struct.pack_into("<I", data, 32, 1 << 20)  # sectors in all
    struct.pack_into("<I", data, 44, 16384)  # the root begins where the next page would
    path.write_bytes(data)
    assert "too short" in inspect(path).remarks[-1]


@pytest.mark.parametrize(
    ("at", "form", "value"),
    [
        (22, "<H", 0),  # sectors of a table
        (19, "<H", 3),  # sectors in all
        (14, "<H", 60000),  # reserved sectors
    ],
)
def test_hostile_boot_sectors(tmp_path: Path, at: int, form: str, value: int) -> None:
    path = make_fat(tmp_path / "h.img", {"x": b"x"}, size=MIB, bits=12, label="X")
    data = bytearray(path.read_bytes())
    struct.pack_into(form, data, at, value)
    path.write_bytes(data)
    with pytest.raises(MediaError):
        inspect(path)
