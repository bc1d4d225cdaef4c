"""`usb plan` of whatever may become a stick, for a stick that is named; and NTFS all the way."""

from __future__ import annotations

import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.program import Home, members
from tests.unit.cli.test_usb import STICK, run, words
from tests.unit.usb.discs import windows_disc
from tests.unit.usb.readers import checked
from tests.unit.usb.readers import run as made_by
from tests.unit.usb.test_ntfs import extracted, partition
from tests.unit.usb.uefi_ntfs import SIGNED, uefi_ntfs

ROOM = 256 << 20


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("plan") / "home")
    (home.folder / "disc").mkdir()
    windows_disc(home.folder / "disc").rename(home.work / "Win11.iso")
    uefi_ntfs(home.work / "uefi-ntfs.img")
    made = home.run("usb", "image", "Win11.iso", "raw.img")
    assert made.returncode == 0, made
    data = (home.work / "raw.img").read_bytes()
    (home.work / "raw.img.gz").write_bytes(gzip.compress(data, 1))
    (home.work / "raw.img.xz").write_bytes(lzma.compress(data, preset=0))
    (home.work / "text").write_text("no image")
    iso = (home.work / "Win11.iso").read_bytes()
    (home.work / "Win11.iso.gz").write_bytes(gzip.compress(iso, 1))
    linux = home.folder / "linux"
    linux.mkdir()
    (linux / "file").write_text("1")
    for name, options in (
        ("plain.iso", ()),
        ("hybrid.iso", ("-append_partition", "2", "0xef", str(home.work / "uefi-ntfs.img"))),
    ):
        made_by("xorriso", "-as", "mkisofs", "-quiet", "-o", home.work / name, *options, linux)
    return home


PLANS: list[tuple[tuple[str, ...], dict[str, Any], int, str]] = [
    (("raw.img",), {}, 0, "as it is: 259 MiB partitions partition 1 (CCCOMA_X64F)"),
    (("raw.img.gz",), {}, 0, "as it is, unpacked from gzip: 259 MiB"),
    (
        ("raw.img.xz", "--to", STICK),
        {"bytes": 320 << 20},
        0,
        "onto SanDisk Ultra, serial 4C530001, 320",
    ),
    (("Win11.iso.gz",), {}, 0, "a Windows disc has to be unpacked first"),
    (("plain.iso",), {}, 0, "as it is, a PC starts it from no stick"),
    (("hybrid.iso",), {}, 0, "partition 2 (UEFI_NTFS)"),
    (("text",), {}, 0, "partitions none; is it meant for a stick?"),
    (("raw.img", "--layout", "ntfs"), {}, 2, "is no Windows disc: it is written as it is"),
    (("raw.img", "--profile", "usb-laptop"), {}, 2, "only those take the answers of a profile"),
    (("nothing.img",), {}, 3, "does not exist"),
    (("raw.img", "--to", "sdc"), {}, 5, "the next stick may have"),
    (("raw.img", "--to", STICK), {"disk": {"size": 1 << 20}}, 5, "are needed"),
    (("raw.img.gz", "--to", STICK), {"disk": {"size": 1 << 20}}, 3, "take a larger stick"),
    (("Win11.iso", "--to", STICK), {}, 0, "onto SanDisk Ultra, serial 4C530001, 80 MiB"),
    (("Win11.iso", "--to", STICK), {"bytes": 20 << 20}, 5, "the stick has 20,971,520 bytes, and"),
    (("Win11.iso", "--to", STICK), {"disk": {"mounted": "/media/x"}}, 0, "wants --unmount"),
    (("Win11.iso", "--to", STICK), {"disk": {"transport": "loop"}}, 5, "is a loop device"),
    (
        ("Win11.iso", "--to", STICK, "--to", "20060413AA"),
        {"disk": {"size": 72 << 20}},
        0,
        "as large as the smallest stick allows, on all",
    ),
]


@pytest.mark.parametrize(
    ("arguments", "scene", "code", "says"), PLANS, ids=lambda value: str(value)[:50]
)
def test_plans(
    home: Home, arguments: tuple[str, ...], scene: dict[str, Any], code: int, says: str
) -> None:
    done = run(home, "plan", *arguments, **scene)
    assert says in words(done.stdout + done.stderr), done
    assert done.returncode == code and "Traceback" not in done.stderr


def test_the_plan_is_what_is_written(home: Home, tmp_path: Path) -> None:
    planned = run(home, "plan", "Win11.iso", "--to", STICK, "--json")
    (plan,) = members([json.loads(line) for line in planned.stdout.splitlines()], "stick")
    dump = tmp_path / "dump"
    done = run(
        home, "write", "Win11.iso", "--to", STICK, "--erase", "4C530001", "--json", dump=str(dump)
    )  # fmt: skip
    assert done.returncode == 0, done
    (written,) = members([json.loads(line) for line in done.stdout.splitlines()], "written")
    assert (plan["size"], plan["used"]) == (written["size"], written["bytes"])
    checked(dump)


def test_a_loader_that_secure_boot_refuses(home: Home, tmp_path: Path) -> None:
    """Told where nothing is known of the PC, refused where its profile asks for Secure Boot."""
    profile = "extends: usb-laptop\nmedia: {install: Win11.iso}\nwindows: {edition: Professional}\n"
    (home.work / "pc.yaml").write_text(profile)
    disc = windows_disc(tmp_path, more={"efi/boot/bootx64.efi": SIGNED})
    disc.rename(home.work / "signed.iso")
    ntfs = ("--layout", "ntfs", "--uefi-ntfs", "uefi-ntfs.img")
    for firmware, code in (("uefi", 0), ("secure-boot", 3)):
        options = ("--profile", "pc.yaml", "--set", f"metal.firmware={firmware}")
        done = run(home, "plan", "signed.iso", *ntfs, *options)
        assert done.returncode == code, done
        assert "EFI/Boot/bootx64.efi in uefi-ntfs.img is not signed" in words(done.stderr)


def test_ntfs_onto_a_stick(home: Home, tmp_path: Path) -> None:
    """Gates, volume, writing, reading back; then other people's tools find every file."""
    dump = tmp_path / "dump"
    ntfs = ("--layout", "ntfs", "--uefi-ntfs", "uefi-ntfs.img")
    done = run(
        home, "write", "Win11.iso", *ntfs, "--to", STICK, "--erase", "4C530001",
        dump=str(dump), bytes=ROOM,
    )  # fmt: skip
    assert done.returncode == 0 and "every byte was read back" in words(done.stdout), done
    volume = partition(dump, 1, tmp_path / "volume")
    found = extracted(volume, tmp_path / "out")
    assert "sources/install.wim" in found and "efi/boot/bootx64.efi" in found
    loader = (home.work / "uefi-ntfs.img").read_bytes()
    assert partition(dump, 2, tmp_path / "second").read_bytes() == loader
    rotten = run(
        home, "write", "Win11.iso", *ntfs, "--to", STICK, "--erase", "4C530001",
        bytes=ROOM, faults={"rotten": [1 << 20]},
    )  # fmt: skip
    assert rotten.returncode == 4
    assert "partition 1 (CCCOMA_X64F, NTFS)" in words(rotten.stderr), rotten.stderr
