"""Sticks with NTFS under the eyes of ntfsfix, ntfsls, 7-Zip and sgdisk."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provisioner.errors import FailedError, HostError, MediaError, ProfileError, RefusedError
from provisioner.host.mount import mounts
from provisioner.tree import Bytes, Directory, File, Slice, Tree
from provisioner.usb.compose import Form
from provisioner.usb.compose_ntfs import NtfsStick, NtfsStream
from provisioner.usb.tables import Table
from provisioner.usb.uefi_ntfs import UefiNtfs, read_uefi_ntfs
from tests.unit.cli.program import Home, members
from tests.unit.usb.discs import windows_disc
from tests.unit.usb.readers import EPOCH, run, with_folders, written
from tests.unit.usb.test_compose import COLLIDING, FILES, reveal
from tests.unit.usb.uefi_ntfs import SIGNED, uefi_ntfs

X64 = ("efi/boot/bootx64.efi",)
MIB = 1 << 20


@pytest.fixture(scope="module")
def loader(tmp_path_factory: pytest.TempPathFactory) -> UefiNtfs:
    return read_uefi_ntfs(uefi_ntfs(tmp_path_factory.mktemp("loader") / "uefi-ntfs.img"), X64)


def stick(
    files: dict[str, bytes | None],
    loader: UefiNtfs,
    *,
    capacity: int | None = None,
    table: Table = Table.GPT,
) -> NtfsStick:
    tree = Tree(
        (path, Directory(modified=EPOCH) if data is None else File(content=(Bytes(data=data),)))
        for path, data in files.items()
    )
    form = Form(epoch=EPOCH, label="MY-STICK", table=table)
    return NtfsStick(tree, form, loader, capacity=capacity, reveal=reveal)


def partition(image: Path, number: int, to: Path) -> Path:
    """A partition as sfdisk sees it, in a file of its own."""
    told = run("sfdisk", "-d", image)
    start, size = (
        int(text) * 512 for text in re.findall(r"start= *(\d+), size= *(\d+)", told)[number - 1]
    )
    with image.open("rb") as source, to.open("wb") as target:
        target.truncate(size)
        source.seek(start)
        for at in range(0, size, MIB):
            data = source.read(min(MIB, size - at))
            if data.strip(b"\0"):
                target.seek(at)
                target.write(data)
    return to


def extracted(volume: Path, folder: Path) -> dict[str, bytes | None]:
    """Every path as 7-Zip sees it, folders as None; ntfsfix has nothing to say against it."""
    told = run("ntfsfix", "-n", volume)
    assert "was processed successfully" in told, told
    run("7z", "x", "-bso0", "-bse0", f"-o{folder}", volume, "-x![SYSTEM]")
    found: dict[str, bytes | None] = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        found[name] = None if path.is_dir() else path.read_bytes()
    return found


@pytest.mark.parametrize("table", list(Table))
def test_readers_agree(tmp_path: Path, loader: UefiNtfs, table: Table) -> None:
    """Written over old bytes: what is not written is not needed."""
    stream = stick(FILES, loader, table=table).made(tmp_path / "scratch")
    image = tmp_path / "stick.img"
    with image.open("wb") as target:
        for _ in range(stream.size >> 20):
            target.write(b"\xff" * MIB)
        for offset, data in stream.blocks():
            target.seek(offset)
            target.write(data)
    if table is Table.GPT:
        assert "No problems found" in run("sgdisk", "-v", image)
        told = run("sgdisk", "-i", "2", image)
        assert "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7" in told and "UEFI:NTFS" in told
        assert "Attribute flags: 8000000000000000" in told
    else:
        told = run("sfdisk", "-d", image)
        assert "type=7, bootable" in told and told.rstrip().endswith("type=ef")
    volume = partition(image, 1, tmp_path / "volume")
    assert extracted(volume, tmp_path / "out") == with_folders(FILES)
    assert partition(image, 2, tmp_path / "second").read_bytes() == loader.data
    assert "MY-STICK" in run("ntfslabel", volume)
    boot = volume.read_bytes()[:512]
    assert int.from_bytes(boot[28:32], "little") == 2048  # hidden sectors: where it begins
    with volume.open("rb") as source:
        source.seek(-512, os.SEEK_END)
        assert source.read() == boot


def test_the_same_bytes_twice_and_other_ids_for_another_tree(
    tmp_path: Path, loader: UefiNtfs
) -> None:
    many: dict[str, bytes | None] = {f"many/some long name {n}.inf": b"%d" % n for n in range(500)}
    images = [
        written(stick({**many, **more}, loader).made(tmp_path / "scratch"), tmp_path / name)
        for name, more in (("one", {}), ("two", {}), ("three", {"more": b"."}))
    ]
    run("cmp", images[0], images[1])
    told = [run("sgdisk", "-i", "1", image).splitlines()[1] for image in images]
    assert told[0] == told[1] != told[2]
    serials = [partition(i, 1, tmp_path / "v").read_bytes()[0x48:0x50] for i in images]
    assert serials[0] == serials[1] != serials[2]
    listed = run("ntfsls", "-f", "-l", "-p", "/many", tmp_path / "v")
    assert listed.count("Nov 14 22:13 2023") >= 500, listed[:500]


def test_times_are_kept(tmp_path: Path, loader: UefiNtfs) -> None:
    tree = Tree([("old.txt", File(content=(Bytes(data=b"1"),), modified=1_234_567_890))])
    made = NtfsStick(tree, Form(epoch=EPOCH), loader, capacity=None, reveal=reveal)
    image = written(made.made(tmp_path / "scratch"), tmp_path / "stick.img")
    extracted(partition(image, 1, tmp_path / "volume"), tmp_path / "out")
    assert (tmp_path / "out/old.txt").stat().st_mtime == 1_234_567_890


@pytest.mark.parametrize("size", [300 << 20, 40 << 30])
def test_a_whole_stick_of_any_size(tmp_path: Path, loader: UefiNtfs, size: int) -> None:
    made = stick(FILES, loader, capacity=size).made(tmp_path / "scratch")
    assert made.size == size and made.used < 400 << 20
    image = tmp_path / "stick.img"
    written(made, image)
    assert "No problems found" in run("sgdisk", "-v", image)
    if size < 1 << 30:
        volume = partition(image, 1, tmp_path / "volume")
        assert extracted(volume, tmp_path / "out") == with_folders(FILES)
    image.unlink()


def test_one_byte_too_small_tells_both_sizes(tmp_path: Path, loader: UefiNtfs) -> None:
    """The least that is asked for is enough, for large files and for many small ones."""
    trees: tuple[dict[str, bytes | None], ...] = (
        {"a": bytes(40 << 20)},
        {f"{n % 7}/a name of some length, {n}": b"x" * (n % 2000) for n in range(3000)},
    )
    for number, files in enumerate(trees):
        with pytest.raises(RefusedError) as caught:
            stick(files, loader, capacity=MIB)
        needed = int(caught.value.message.split(" bytes, and ")[1].split(" ")[0].replace(",", ""))
        made = stick(files, loader, capacity=needed).made(tmp_path / "scratch")
        image = written(made, tmp_path / "stick.img")
        volume = partition(image, 1, tmp_path / "volume")
        assert extracted(volume, tmp_path / f"out{number}") == with_folders(files)
        with pytest.raises(RefusedError) as caught:
            stick(files, loader, capacity=needed - 1)
        assert f"{needed:,} are needed" in caught.value.message


def test_an_mbr_reaches_2_tib(loader: UefiNtfs) -> None:
    with pytest.raises(RefusedError, match="reaches 2 TiB far"):
        stick(FILES, loader, capacity=3 << 40, table=Table.MBR)


def test_places(tmp_path: Path, loader: UefiNtfs) -> None:
    made = stick({"sources/a.bin": b"A" * 5000}, loader).made(tmp_path / "scratch")
    image = written(made, tmp_path / "stick.img")
    data = image.read_bytes()
    at = data.index(b"A" * 100)
    assert made.place(at).file == made.place(at + 4999).file == "sources/a.bin"
    assert made.place(at).partition == "partition 1 (MY-STICK, NTFS)"
    assert made.place(MIB).file == "$Boot"
    assert made.place(data.index(loader.data[:4096])).partition == "partition 2 (UEFI:NTFS)"
    for offset in (0, made.size - 1):
        assert made.place(offset).partition == "no partition (GPT tables)"


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_random_trees_come_back_identical(
    tmp_path_factory: pytest.TempPathFactory, loader: UefiNtfs, data: st.DataObject
) -> None:
    chance = random.Random(data.draw(st.integers(0, 2**32)))
    folders, seen = [""], set()
    files: dict[str, bytes | None] = {}
    for _ in range(data.draw(st.integers(3, 60))):
        path = chance.choice(folders) + data.draw(COLLIDING)
        if path.upper() in seen or path.casefold() in seen:
            continue
        seen |= {path.upper(), path.casefold()}
        if chance.random() < 0.25 and path.count("/") < 4:
            folders.append(path + "/")
            files[path] = None
        else:
            files[path] = chance.randbytes(chance.choice([0, 1, 600, 700, 4096, 4097, 700_000]))
    folder = tmp_path_factory.mktemp("random")
    try:
        made = stick(files, loader).made(folder / "scratch")
    except ProfileError as err:
        assert {problem.rule for problem in err.problems} <= {"disc.case", "disc.reserved"}
        return
    volume = partition(written(made, folder / "stick.img"), 1, folder / "volume")
    assert extracted(volume, folder / "out") == with_folders(files)
    shutil.rmtree(folder)


def test_nothing_is_left_behind(tmp_path: Path, loader: UefiNtfs) -> None:
    """Neither by a stick, nor by one whose source breaks off, nor by a run that was killed."""
    scratch = tmp_path / "scratch"
    made = stick(FILES, loader).made(scratch)
    assert list(scratch.iterdir()) == [] and scratch.stat().st_mode & 0o777 == 0o700
    assert isinstance(made, NtfsStream) and sum(len(d) for _, d in made.blocks()) == made.used
    source = tmp_path / "file"
    source.write_bytes(b"1" * 10_000)
    tree = Tree([("file", File(content=(Slice(image=source, offset=0, length=10_000),)))])
    broken = NtfsStick(tree, Form(), loader, capacity=None, reveal=reveal)
    source.write_bytes(b"1" * 9_000)
    with pytest.raises(FailedError, match="1000 bytes too early"):
        broken.made(scratch)
    source.write_bytes(b"2" * 10_000)
    with pytest.raises(FailedError, match="changed since the stick was planned"):
        broken.made(scratch)
    assert list(scratch.iterdir()) == []
    ended = subprocess.Popen(["true"])
    ended.wait()
    left = scratch / f".volume-{ended.pid}-abc"
    (left / "shown").mkdir(parents=True)
    (left / "volume.img").write_bytes(b"1")
    mine = scratch / f".volume-{os.getpid()}-abc"
    mine.mkdir()
    stick({"a": b"1"}, loader).made(scratch)
    assert list(scratch.iterdir()) == [mine]
    assert not [mount for mount in mounts() if mount.folder.is_relative_to(tmp_path)]


def test_no_room_for_the_volume(tmp_path: Path, loader: UefiNtfs) -> None:
    hole = tmp_path / "hole"
    with hole.open("wb") as target:
        target.truncate(1 << 43)
    tree = Tree([("big", File(content=(Slice(image=hole, offset=0, length=1 << 43),)))])
    made = NtfsStick(tree, Form(), loader, capacity=None, reveal=reveal)
    with pytest.raises(HostError, match="bytes free"):
        made.made(tmp_path / "scratch")


@pytest.mark.soak
def test_a_file_of_more_than_4_gib(tmp_path: Path, loader: UefiNtfs) -> None:
    """What the layout is for; fewer bytes would fit FAT32."""
    big = tmp_path / "big"
    with big.open("wb") as target:
        target.truncate((1 << 32) + 4096)
        target.seek(1 << 32)
        target.write(b"the end")
    tree = Tree(
        [
            (
                "sources/install.esd",
                File(content=(Slice(image=big, offset=0, length=(1 << 32) + 4096),)),
            )
        ]
    )
    made = NtfsStick(tree, Form(), loader, capacity=None, reveal=reveal).made(tmp_path / "scratch")
    image = written(made, tmp_path / "stick.img")
    volume = partition(image, 1, tmp_path / "volume")
    told = run("sh", "-c", f"ntfscat {volume} sources/install.esd | cmp - {big} && echo same")
    assert told.strip() == "same"
    for path in (big, image, volume):
        path.unlink()


def test_images_that_are_no_uefi_ntfs(tmp_path: Path) -> None:
    def refused(image: Path, words: str, wanted: tuple[str, ...] = X64) -> None:
        with pytest.raises(MediaError, match=words):
            read_uefi_ntfs(image, wanted)

    text = tmp_path / "text.img"
    text.write_text("nothing like it\n" * 100)
    refused(text, "no FAT volume")
    large = tmp_path / "large.img"
    with large.open("wb") as target:
        target.truncate(65 << 20)
    refused(large, "no UEFI:NTFS image has so many")
    image = uefi_ntfs(tmp_path / "a.img")
    refused(
        image,
        r"no loader that the PC would start: efi/boot/bootaa64\.efi",
        ("efi/boot/bootaa64.efi",),
    )
    refused(uefi_ntfs(tmp_path / "b.img", text), r"is no loader for amd64 \(it is no program")
    refused(
        uefi_ntfs(tmp_path / "c.img", name="bootaa64.efi"),
        r"is no loader for arm64 \(EFI application for amd64\)",
        ("EFI/BOOT/BOOTAA64.EFI",),
    )
    refused(tmp_path / "missing.img", "does not exist")


def test_what_secure_boot_makes_of_it(tmp_path: Path) -> None:
    """Signed as UEFI:NTFS is, changed since, and not signed at all."""
    (said,) = read_uefi_ntfs(uefi_ntfs(tmp_path / "a.img", SIGNED, size=4 * MIB), X64).warnings()
    assert "EFI/Boot/bootx64.efi in a.img is signed by" in said
    assert "starts where the firmware trusts Microsoft's third-party certificate of 2011" in said
    changed = tmp_path / "changed.efi"
    data = bytearray(SIGNED.read_bytes())
    data[0x2000] ^= 1
    changed.write_bytes(data)
    (said,) = read_uefi_ntfs(uefi_ntfs(tmp_path / "b.img", changed, size=4 * MIB), X64).warnings()
    assert "was changed since it was signed: Secure Boot refuses it" in said
    (said,) = read_uefi_ntfs(uefi_ntfs(tmp_path / "c.img"), X64).warnings()
    assert "is not signed: Secure Boot has to be off" in said


def test_a_solid_disc_from_the_command_line(tmp_path: Path) -> None:
    """What FAT32 could not hold: named with its ways out, planned, and written into an image."""
    home = Home(tmp_path / "home")
    windows_disc(tmp_path, install=["--solid"]).rename(home.work / "Win11.iso")
    uefi_ntfs(home.work / "uefi-ntfs.img")
    ntfs = ("--layout", "ntfs", "--uefi-ntfs", "uefi-ntfs.img")
    (event,) = members(home.events("usb", "plan", "Win11.iso", *ntfs), "stick")
    assert event["layout"] == "ntfs" and event["install"] == "as it is"
    assert len(event["uefi_ntfs"]["sha256"]) == 64
    assert "in the cache folder" in event["facts"]["meanwhile"]
    done = home.run("usb", "image", "Win11.iso", "stick.img", *ntfs)
    assert done.returncode == 0, done
    assert "an NTFS volume CCCOMA_X64F and the one that starts it" in done.stdout
    assert "Secure Boot has to be off" in done.stderr and "making the NTFS volume" in done.stderr
    volume = partition(home.work / "stick.img", 1, tmp_path / "volume")
    found = extracted(volume, tmp_path / "out")
    run("7z", "x", "-bso0", f"-o{tmp_path / 'iso'}", home.work / "Win11.iso")
    for path in (tmp_path / "iso").rglob("*"):
        name = str(path.relative_to(tmp_path / "iso"))
        assert found.pop(name) == (None if path.is_dir() else path.read_bytes()), name
    assert not found
    assert list((home.folder / "home/.cache/provisioner/ntfs").iterdir()) == []
    for options, words in (
        (ntfs[:2], "needs the loader that does: --uefi-ntfs FILE"),
        (ntfs[2:], "--uefi-ntfs belongs to --layout ntfs"),
        ((*ntfs, "--part-size", "1 GiB"), "--part-size is for FAT32"),
    ):
        wrong = home.run("usb", "plan", "Win11.iso", *options)
        assert wrong.returncode == 2 and words in wrong.stderr, wrong
