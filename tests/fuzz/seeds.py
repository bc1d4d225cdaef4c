"""Sound inputs to start from, made by other people's tools wherever there is one."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

from tests.fuzz import serial_line
from tests.unit.media import wimlib
from tests.unit.media.big_disc import ANSWERS
from tests.unit.media.certificates import GRUB, SIGNED, UNSIGNED, WINDOWS_2011, make_loader
from tests.unit.media.discs import CLIENT, PE, WINDOWS_FILES, make_bridge, make_tree, make_wim, run
from tests.unit.media.sticks import make_boot_image, make_gpt_stick, make_mbr_stick, make_volumes
from tests.unit.media.udf_image import UdfImage

CHUNK = 32768


def make_seeds(folder: Path) -> Mapping[str, list[bytes]]:
    """Inputs by the name of the target they are for."""
    wims = _wims(folder)
    loader = _small_loader(make_loader(folder / "certificates", WINDOWS_2011))
    discs = _discs(folder, wims[0], loader)
    program = Path("/bin/sh").read_bytes()
    content = [program[4096:][:CHUNK], b"abcabcabd" * 4000, program[:CHUNK]]
    content = [data[:CHUNK].ljust(CHUNK, b"\xe8") for data in content]
    return {
        "medium": [
            *discs,
            *wims,
            make_gpt_stick(folder),
            make_mbr_stick(folder),
            make_volumes(folder).read_bytes(),
        ],
        "wim": wims,
        "lzx": [c for d in content if (c := wimlib.compress(wimlib.LZX, d))],
        "xpress": [c for d in content if (c := wimlib.compress(wimlib.XPRESS, d))],
        "loader": [loader, _small_loader(SIGNED), _small_loader(GRUB), _small_loader(UNSIGNED)],
        "signature": [_signature(path) for path in (SIGNED, GRUB)],
        "answers": [
            ANSWERS.encode(),
            ANSWERS.replace("utf-8", "utf-16").encode("utf-16"),
            b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><unattend>&b;</unattend>",
            b"\xef\xbb\xbf" + ANSWERS.encode(),
        ],
        "serial": serial_line.SEEDS,
    }


def _wims(folder: Path) -> list[bytes]:
    tree = make_tree(
        folder / "tree",
        {
            "Autounattend.xml": ANSWERS.encode(),
            "empty": b"",
            "sub/one": b"one" * 5000,
            "sub/two": b"two",
        },
    )
    made = []
    for number, options in enumerate(
        (
            ["--compress=LZX"],
            ["--compress=XPRESS"],
            ["--compress=none", "--check"],
            ["--compress=LZX", "--pipable"],
            ["--solid"],
        )
    ):
        path = make_wim(folder / f"seed{number}.wim", PE if number < 4 else CLIENT)
        run(["wimlib-imagex", "append", tree, path, "tree", "--image-property=WINDOWS/ARCH=9"])
        run(["wimlib-imagex", "export", path, "all", folder / f"out{number}.wim", *options])
        made.append((folder / f"out{number}.wim").read_bytes())
    return made


def _discs(folder: Path, boot_wim: bytes, loader: bytes) -> list[bytes]:
    files: dict[str, bytes | Path] = {
        **WINDOWS_FILES,
        "efi/boot/bootx64.efi": loader,
        "sources/boot.wim": boot_wim,
        "sources/install.wim": make_wim(folder / "i.wim", CLIENT),
        "boot/bootfix.bin": b"ask",
        "efi/microsoft/boot/efisys.bin": make_boot_image(folder, loader),
        "sources/pid.txt": b"[PID]\r\nValue=AAAAA-BBBBB-CCCCC-DDDDD-EEEEE\r\n",
        "Autounattend.xml": ANSWERS.encode(),
    }
    bridge = make_bridge(folder / "bridge.iso", files).read_bytes()
    tree = make_tree(
        folder / "answers",
        {
            "Autounattend.xml": ANSWERS.encode(),
            "scripts/a very long name that ISO 9660 alone could never hold.ps1": b"exit 0",
            "deep/1/2/3/4/5/6/7/8/9/10/file.txt": b"deep",
            "$OEM$/$$/Panther/unattend.xml": ANSWERS.encode(),
        },
    )
    (tree / "link").symlink_to("Autounattend.xml")
    plain = folder / "answers.iso"
    options = "-quiet -J -joliet-long -R -no-pad -V ANSWERS"
    run(["xorriso", "-as", "mkisofs", *options.split(), "-o", plain, tree])
    image = UdfImage(extent=2048, gap=1)
    entries = {f"file{n}": (image.file(b"x" * 3000 * n), False) for n in range(1, 30, 7)}
    sub = image.directory(entries)
    image.write(folder / "pure.udf", image.directory({"sub": (sub, True), **entries}))
    return [bridge, plain.read_bytes(), (folder / "pure.udf").read_bytes()]


def _small_loader(path: Path) -> bytes:
    """A loader whose sections are cut out: headers, then its certificate table."""
    data = path.read_bytes()
    (place,) = struct.unpack_from("<I", data, 60)
    entry = place + 24 + 112 + 8 * 4
    table, size = struct.unpack_from("<II", data, entry)
    head = bytearray(data[:2048])
    struct.pack_into("<II", head, entry, 2048 if size else 0, size)
    return bytes(head) + data[table : table + size] * bool(size)


def _signature(path: Path) -> bytes:
    data = path.read_bytes()
    (place,) = struct.unpack_from("<I", data, 60)
    table, size = struct.unpack_from("<II", data, place + 24 + 112 + 8 * 4)
    (length,) = struct.unpack_from("<I", data, table)
    assert length <= size
    return data[table + 8 : table + length]
