"""A sparse disc of Windows' real size and shape: gigabytes long, a few megabytes on the disk."""

from __future__ import annotations

import struct
from pathlib import Path

from tests.unit.media.discs import CLIENT, EFISYS, LANG_INI, PE, make_wim, run
from tests.unit.media.udf_image import UdfImage

GIB = 1 << 30


def make_big_disc(
    folder: Path,
    *,
    loader: Path,
    size: int = 6 * GIB,
    files: int = 1000,
    in_boot_wim: int = 3000,
) -> Path:
    """`Win11.iso` with `files` files, an install.wim that fills the rest, and a boot.wim whose two
    images have `in_boot_wim` files each and an answer file at the root of the second."""
    install = make_wim(folder / "install.wim", CLIENT).read_bytes()
    boot = make_boot_wim(folder, in_boot_wim).read_bytes()
    image = UdfImage(label="CCCOMA_X64FRE_EN-US_DV9", gap=0)
    made = [f"file-{number:05}.dll" for number in range(files - 8)]
    drivers = {name: (image.file(b"x"), False) for name in made}
    boot_folder = image.directory({"bootx64.efi": (image.file(loader.read_bytes()), False)})
    microsoft = image.directory({"efisys.bin": (image.file(EFISYS), False)})
    efi = image.directory({"boot": (boot_folder, True), "microsoft": (microsoft, True)})
    sources = {
        "boot.wim": (image.file(boot), False),
        "lang.ini": (image.file(LANG_INI), False),
        "install.wim": (image.file(install, size=size - (64 << 20)), False),
        "x": (image.directory(drivers), True),
    }
    root = image.directory(
        {
            "setup.exe": (image.file(b"MZ"), False),
            "sources": (image.directory(sources), True),
            "efi": (efi, True),
        }
    )
    path = folder / "Win11.iso"
    image.write(path, root)
    return path


def make_boot_wim(folder: Path, count: int) -> Path:
    """A boot.wim that boots its second image, with directories as full as Windows PE's."""
    tree = folder / "boot.wim.tree"
    path = folder / "boot.wim"
    for number in range(count):
        place = tree / "Windows" / f"{number % 40:02}" / f"a file of Windows {number}.dll"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(struct.pack("<I", number))
    (tree / "sources").mkdir()
    for number, (name, edition, _) in enumerate(PE):
        properties = {
            "WINDOWS/ARCH": 9,
            "WINDOWS/EDITIONID": edition,
            "WINDOWS/INSTALLATIONTYPE": "WindowsPE",
            "WINDOWS/LANGUAGES/LANGUAGE": "en-US",
            "WINDOWS/VERSION/BUILD": 26100,
        }
        options = [f"--image-property={key}={value}" for key, value in properties.items()]
        if number:
            (tree / "Autounattend.xml").write_text(ANSWERS)
        verb = "append" if number else "capture"
        run(["wimlib-imagex", verb, tree, path, name, *options])
    run(["wimlib-imagex", "info", path, "2", "--boot"])
    return path


ANSWERS = (
    '<?xml version="1.0" encoding="utf-8"?>\n'
    '<unattend xmlns="urn:schemas-microsoft-com:unattend">'
    '<settings pass="windowsPE"><component name="Microsoft-Windows-Setup"/></settings>'
    '<settings pass="oobeSystem"><component name="Microsoft-Windows-Shell-Setup"/></settings>'
    "</unattend>\n"
)
