"""Images that several tests read; each is made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.media.discs import CLIENT, PE, WINDOWS_FILES, make_bridge, make_tree, make_wim, run


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="session")
def install_wim(images: Path) -> Path:
    return make_wim(images / "install.wim", CLIENT, languages=("en-US", "de-DE"))


@pytest.fixture(scope="session")
def boot_wim(images: Path) -> Path:
    return make_wim(images / "boot.wim", PE, languages=("fr-FR",))


@pytest.fixture(scope="session")
def windows_iso(images: Path, install_wim: Path, boot_wim: Path) -> Path:
    """Windows 11 in Microsoft's shape: UDF with everything, BIOS and UEFI boot entries."""
    files: dict[str, bytes | Path] = {
        **WINDOWS_FILES,
        "sources/boot.wim": boot_wim,
        "sources/install.wim": install_wim,
    }
    return make_bridge(images / "windows.iso", files)


@pytest.fixture(scope="session")
def answer_iso(images: Path) -> Path:
    """Joliet and Rock Ridge by xorriso."""
    tree = make_tree(
        images / "answers",
        {
            "Autounattend.xml": b"<unattend/>",
            "$WinPEDriver$/viostor/viostor.inf": b"[Version]",
            "scripts/a very long name that ISO 9660 alone could never hold.ps1": b"exit 0",
            "deep/1/2/3/4/5/6/7/8/9/10/file.txt": b"deep",
            "empty.txt": b"",
        },
    )
    (tree / "link").symlink_to("empty.txt")
    path = images / "answers.iso"
    run(
        [
            "xorriso",
            "-as",
            "mkisofs",
            "-quiet",
            "-J",
            "-joliet-long",
            "-R",
            "-V",
            "ANSWERS",
            "-o",
            path,
            tree,
        ]
    )
    return path
