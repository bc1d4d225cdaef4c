"""The built discs, read by programs that had no part in writing them."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.standin import discs, drivers
from tests.standin.build import Media, build_media
from tests.standin.setup.image import read_images
from tests.standin.setup.installer import media_languages
from tests.standin.setup.search import Drive

MICROSOFT_CA_OF_SHIM = "Microsoft Corporation UEFI CA"


def output(argv: Sequence[str | Path]) -> str:
    """What a program prints."""
    done = subprocess.run(list(map(str, argv)), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return (done.stdout + done.stderr).decode("utf-8", "replace")


def listed(disc: Path) -> dict[str, int]:
    """The files 7z sees, with their sizes."""
    text = output(["7z", "l", "-slt", disc])
    blocks = [dict(re.findall(r"^(\w+) = (.*)$", b, re.MULTILINE)) for b in text.split("\n\n")]
    return {b["Path"]: int(b["Size"]) for b in blocks if b.get("Folder") == "-"}


def extracted(disc: Path, name: str, folder: Path) -> Path:
    """One file of a disc."""
    subprocess.run(
        ["7z", "x", "-y", f"-o{folder}", str(disc), name], check=True, capture_output=True
    )
    return folder / name


@pytest.fixture
def install_wim(media: Media, tmp_path: Path) -> Path:
    """sources/install.wim of the normal disc."""
    return extracted(media.install, "sources/install.wim", tmp_path)


def test_unchanged_inputs_build_nothing(media: Media) -> None:
    before = media.install.stat().st_mtime_ns
    started = time.monotonic()
    assert build_media(media.install.parent) == media
    assert time.monotonic() - started < 2
    assert media.install.stat().st_mtime_ns == before


def test_unknown_variant(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there are unsigned, prompt-only"):
        build_media(tmp_path, ["signed"])


@pytest.mark.parametrize("name", ["install", "prompt_only", "secure_boot"])
def test_boot_entries(media: Media, name: str) -> None:
    """BIOS with 8 sectors, UEFI with 1, nothing else (docs/facts/iso-usb.md §2.1)."""
    text = output(["xorriso", "-indev", getattr(media, name), "-report_el_torito", "plain"])
    found = re.findall(
        r"El Torito boot img :\s+(\d)\s+(\w+)\s+y\s+none\s+0x0000\s+0x00\s+(\d+)", text
    )
    assert found == [("1", "BIOS", "8"), ("2", "UEFI", "1")]
    assert f"Volume id    : '{discs.LABEL}'" in text
    assert [(p, c) for p, c, _ in discs.boot_entries(getattr(media, name))] == [(0, 8), (0xEF, 1)]


@pytest.mark.parametrize("name", ["install", "prompt_only", "secure_boot"])
def test_udf_only(media: Media, name: str, tmp_path: Path) -> None:
    disc = getattr(media, name)
    assert f"label={discs.LABEL}" in output(["udfinfo", disc])
    files = listed(disc)
    assert {"boot/bootfix.bin", "sources/boot.wim", "sources/lang.ini", "setup.exe"} <= set(files)
    iso_side = output(["xorriso", "-indev", disc, "-find", "/", "-type", "f"])
    assert re.findall(r"^'(.*)'$", iso_side, re.MULTILINE) == ["/README.TXT"]


def test_both_uefi_loaders_have_one_size(media: Media) -> None:
    for disc in (media.install, media.secure_boot):
        files = listed(disc)
        assert files[discs.UEFI_LOADER] == files[discs.UEFI_LOADER_NOPROMPT]
    assert listed(media.install)[discs.UEFI_LOADER] == 1_474_560
    assert discs.UEFI_LOADER_NOPROMPT not in listed(media.prompt_only)


def test_uefi_entry_is_the_prompting_loader(media: Media, tmp_path: Path) -> None:
    content = extracted(media.install, discs.UEFI_LOADER, tmp_path).read_bytes()
    (block,) = [block for platform, _, block in discs.boot_entries(media.install) if platform]
    with media.install.open("rb") as stream:
        stream.seek(block * 2048)
        assert stream.read(len(content)) == content


def test_editions(install_wim: Path) -> None:
    text = output(["wimlib-imagex", "info", install_wim])
    assert re.findall(r"^Name:\s+(.*)$", text, re.MULTILINE) == [
        "Windows 11 Home",
        "Windows 11 Pro",
        "Windows 11 Enterprise",
    ]
    for line in (
        *("Edition ID", "Professional"),
        *("Installation Type", "Client"),
        *("Architecture", "x86_64"),
        *("Build", "26100"),
        *("Languages", "en-US"),
        *("Default Language", "en-US"),
        *("Product Type", "WinNT"),
        *("System Root", "WINDOWS"),
    ):
        assert line in text
    assert "Stand-in for Windows 11 Pro" in text
    output(["wimlib-imagex", "verify", install_wim])
    # Three editions, stored once: not three times the size of one.
    assert install_wim.stat().st_size < 32 * 2**20


def test_our_wim_reader_agrees(install_wim: Path) -> None:
    found = [
        (i.index, i.name, i.edition_id, i.build, i.languages) for i in read_images(install_wim)
    ]
    assert found == [
        (1, "Windows 11 Home", "Core", "26100", ("en-US",)),
        (2, "Windows 11 Pro", "Professional", "26100", ("en-US",)),
        (3, "Windows 11 Enterprise", "Enterprise", "26100", ("en-US",)),
    ]


def test_boot_wim(media: Media, tmp_path: Path) -> None:
    text = output(["wimlib-imagex", "info", extracted(media.install, "sources/boot.wim", tmp_path)])
    assert re.search(r"^Image Count:\s+2$", text, re.MULTILINE)
    assert re.search(r"^Boot Index:\s+2$", text, re.MULTILINE)


def test_languages(media: Media, tmp_path: Path) -> None:
    extracted(media.install, "sources/lang.ini", tmp_path)
    assert media_languages(Drive(letter="D", root=tmp_path, writable=False)) == ("en-US",)


def test_signatures(media: Media, tmp_path: Path) -> None:
    """Shim by Microsoft's CA, GRUB and kernel by Debian's or Ubuntu's."""
    image = extracted(media.secure_boot, discs.UEFI_LOADER, tmp_path)
    for name, signer in (
        ("EFI/BOOT/BOOTX64.EFI", MICROSOFT_CA_OF_SHIM),
        ("EFI/BOOT/grubx64.efi", "Secure Boot"),
        ("standin/vmlinuz", "Secure Boot"),
    ):
        target = tmp_path / name.rpartition("/")[2]
        output(["mcopy", "-n", "-o", "-i", image, f"::/{name}", target])
        assert signer in output(["sbverify", "--list", target])


def test_secure_boot_disc_boots_the_same_kernel_from_disk(media: Media, tmp_path: Path) -> None:
    wim = extracted(media.secure_boot, "sources/install.wim", tmp_path)
    paths = output(["wimlib-imagex", "dir", wim, "2", "--path=/Windows/Boot"]).split()
    assert "/Windows/Boot/ESP/standin/vmlinuz" in paths
    assert "/Windows/Boot/EFI/grubx64.efi" in paths


def test_driver_disc(media: Media, tmp_path: Path) -> None:
    files = listed(media.drivers)
    for name in (
        *("viostor/w11/amd64/viostor.inf", "vioscsi/2k25/amd64/vioscsi.sys"),
        *("NetKVM/w10/x86/netkvm.cat", "vioserial/w11/ARM64/vioser.inf"),
        *("amd64/w11/viostor.inf", "amd64/2k22/vioscsi.inf", "virtio-win-gt-x64.msi"),
        *("guest-agent/qemu-ga-x86_64.msi", "cert/Virtio_Win_Red_Hat_CA.cer"),
    ):
        assert name in files
    text = output(["xorriso", "-indev", media.drivers, "-pvd_info"])
    assert f"Volume Id    : {drivers.LABEL}" in text
    described = json.loads(extracted(media.drivers, "data/info.json", tmp_path).read_text())
    assert all(item["inf_path"] in files for item in described["drivers"])
    dummy = extracted(media.drivers, "viostor/w11/amd64/viostor.sys", tmp_path).read_text()
    assert dummy.startswith("dummy of the stand-in")
