"""Discs that other people made or that other people's tools make, with their own readers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from provisioner.media.facts import MediaKind
from provisioner.media.inspect import inspect
from tests.unit.media.discs import listed_by_7z, make_tree, run

MEMTEST = Path("/usr/lib/memtest86+")
NETBOOT = Path("/usr/lib/debian-installer/images/12/amd64/text")
ISOLINUX = Path("/usr/lib/ISOLINUX/isolinux.bin")


@pytest.mark.parametrize(
    ("name", "architecture", "loader"),
    [("x64", "amd64", "EFI/BOOT/bootx64.efi"), ("ia32", "x86", "EFI/BOOT/bootia32.efi")],
)
def test_memtest_of_debian(name: str, architecture: str, loader: str) -> None:
    path = MEMTEST / f"memtest86+{name}.iso"
    facts = inspect(path)
    assert facts.kind is MediaKind.MEMORY_TEST
    assert facts.architecture == architecture
    assert facts.partition_table == "MBR"
    assert [(found.path, found.machine) for found in facts.loaders] == [
        (loader, architecture),
        (f"[boot image] {loader}", architecture),
    ]
    boot_matches_xorriso(path)


@pytest.fixture(scope="session")
def netboot(images: Path) -> Path:
    """Debian's installer as its netboot package has it, made bootable for BIOS and UEFI."""
    root = NETBOOT / "debian-installer/amd64"
    tree = make_tree(
        images / "netboot",
        {
            "isolinux/isolinux.bin": ISOLINUX.read_bytes(),
            "linux": (root / "linux").read_bytes(),
            "EFI/boot/bootx64.efi": (root / "bootnetx64.efi").read_bytes(),
            "EFI/boot/grubx64.efi": (root / "grubx64.efi").read_bytes(),
        },
    )
    path = images / "netboot.iso"
    options = "-quiet -J -R -V DEBIAN -b isolinux/isolinux.bin -c boot.cat -no-emul-boot"
    options += " -boot-load-size 4 -boot-info-table -eltorito-alt-boot -e EFI/boot/bootx64.efi"
    run(["xorriso", "-as", "mkisofs", *options.split(), "-no-emul-boot", "-o", path, tree])
    return path


def test_debians_netboot_installer(netboot: Path) -> None:
    facts = inspect(netboot)
    assert facts.kind is MediaKind.LINUX
    assert "it holds isolinux/isolinux.bin" in facts.evidence
    signed = {loader.path: loader.signers[0].subject for loader in facts.loaders}
    assert signed == {
        "EFI/boot/bootx64.efi": "Microsoft Windows UEFI Driver Publisher",
        "EFI/boot/grubx64.efi": "Debian Secure Boot Signer 2022 - grub2",
    }
    boot_matches_xorriso(netboot)
    files_match_7z(netboot)


@pytest.mark.parametrize("options", ["-J -R", "-R", "-udf -J", "-iso-level 3"])
def test_genisoimage(tmp_path: Path, options: str) -> None:
    tree = make_tree(tmp_path / "t", {"a/driver.inf": b"[Version]", "a/driver.sys": b"MZ" * 999})
    path = tmp_path / "g.iso"
    run(["genisoimage", "-quiet", *options.split(), "-V", "DRIVERS", "-o", path, tree])
    facts = inspect(path)
    assert facts.kind is MediaKind.DRIVER_DISC
    assert facts.label == "DRIVERS"
    files_match_7z(path)
    if "udf" in options:
        said = dict(line.split("=", 1) for line in run(["udfinfo", path]).splitlines())
        assert f"UDF {said['udfrev']}" in facts.filesystems
        assert said["label"] == facts.label


def boot_matches_xorriso(path: Path) -> None:
    """Platform, bootable, emulation, sectors and block of each entry."""
    text = run(["xorriso", "-indev", path, "-report_el_torito", "plain"])
    rows = re.findall(
        r"^El Torito boot img : +\d+ +(\S+) +(\S) +(\S+) +\S+ +\S+ +(\d+) +(\d+)$", text, re.M
    )
    emulations = {0: "none", 2: "fd1.4"}
    assert rows == [
        (
            entry.platform.value.upper(),
            "y" if entry.bootable else "n",
            emulations[entry.media_type],
            str(entry.load_sectors),
            str(entry.lba),
        )
        for entry in inspect(path).boot
    ]
    paths = dict(re.findall(r"^El Torito img path : +(\d+) +/(.*)$", text, re.M))
    for number, entry in enumerate(inspect(path).boot, 1):
        assert entry.path == paths.get(str(number))


def files_match_7z(path: Path) -> None:
    theirs = {
        name: size for name, size in listed_by_7z(path).items() if not name.startswith("[BOOT]")
    }
    ours = {name: sum(e.length for e in found) for name, found in inspect(path).files.items()}
    assert {n.casefold(): s for n, s in ours.items()} == {
        n.casefold(): s for n, s in theirs.items()
    }
