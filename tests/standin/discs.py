"""Writes the two discs with pycdlib: the install disc in the shape of Microsoft's, the drivers'.

Shape of the install disc (docs/facts/iso-usb.md §2.1): all files in UDF, one README on the ISO 9660
side, a BIOS boot entry of 8 sectors and a UEFI one of 1 sector.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import pycdlib

LABEL = "STANDIN_X64FRE_EN-US_DV9"
"""Like Microsoft's CCCOMA_X64FRE_EN-US_DV9, but it does not claim to be that."""

README = (
    b"This is the stand-in for Windows Setup, a test disc. It holds no Windows.\r\n"
    b"Its files are in the UDF file system of this disc.\r\n"
)

BIOS_LOADER = "boot/etfsboot.com"
UEFI_LOADER = "efi/microsoft/boot/efisys.bin"
UEFI_LOADER_NOPROMPT = "efi/microsoft/boot/efisys_noprompt.bin"
_BLOCK = 4 * 2**20


def write_install_disc(
    target: Path, files: Mapping[str, bytes | Path], *, efi_partition: bool = False
) -> None:
    """Write the disc. `files` maps paths to content; both boot loaders must be among them.

    `efi_partition` adds an MBR entry for the UEFI boot image: Debian's signed GRUB sees the disc
    and its partitions, but not an El Torito image, and finds its grub.cfg there.
    """
    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, udf="2.60", vol_ident=LABEL, pub_ident_str="PROVISIONER PROJECT")
    boot_names = {BIOS_LOADER: "/ETFSBOOT.COM;1", UEFI_LOADER: "/EFISYS.BIN;1"}
    with ExitStack() as opened:
        made: set[str] = set()
        # Boot files first, as on Microsoft's media (docs/facts/iso-usb.md §2.1, `-yo`).
        for path in sorted(files, key=lambda name: (name not in boot_names, name)):
            for parent in _parents(path):
                if parent not in made:
                    iso.add_directory(udf_path=f"/{parent}")
                    made.add(parent)
            content = files[path]
            if isinstance(content, Path):
                stream: BinaryIO = opened.enter_context(content.open("rb"))
                length = content.stat().st_size
            else:
                stream, length = io.BytesIO(content), len(content)
            iso.add_fp(stream, length, udf_path=f"/{path}")
            if path in boot_names:
                iso.add_hard_link(udf_old_path=f"/{path}", iso_new_path=boot_names[path])
        iso.add_fp(io.BytesIO(README), len(README), "/README.TXT;1")
        iso.add_eltorito(
            boot_names[BIOS_LOADER],
            bootcatfile="/BOOT.CAT;1",
            boot_load_size=8,
            platform_id=0,
            boot_info_table=True,
        )
        iso.add_eltorito(boot_names[UEFI_LOADER], boot_load_size=1, platform_id=0xEF, efi=True)
        for name in (*boot_names.values(), "/BOOT.CAT;1"):
            iso.rm_hard_link(iso_path=name)
        iso.rm_hard_link(udf_path="/boot.cat")
        _write(iso, target)
    if efi_partition:
        _add_efi_partition(target)


def write_joliet_disc(target: Path, files: Iterable[tuple[str, bytes]], *, label: str) -> None:
    """Write an ISO 9660 (level 4) + Joliet disc, as virtio-win's is and an answer disc may be."""
    iso = pycdlib.PyCdlib()
    # Joliet's label has room for 16 characters; mkisofs cuts it there and keeps the long one in
    # the primary descriptor, which pycdlib refuses to do.
    short = label[:16]
    iso.new(interchange_level=4, joliet=3, vol_ident=short, pub_ident_str="PROVISIONER PROJECT")
    made: set[str] = set()
    for path, content in sorted(files):
        for parent in _parents(path):
            if parent not in made:
                iso.add_directory(f"/{parent}", joliet_path=f"/{parent}")
                made.add(parent)
        iso.add_fp(io.BytesIO(content), len(content), f"/{path}", joliet_path=f"/{path}")
    _write(iso, target, label=label)


def boot_entries(path: Path) -> tuple[tuple[int, int, int], ...]:
    """The El Torito entries as (platform, sector count, block), read by the standard's layout."""
    with path.open("rb") as stream:
        stream.seek(17 * 2048)
        record = stream.read(2048)
        stream.seek(int.from_bytes(record[71:75], "little") * 2048)
        catalog = stream.read(2048)
    entries = [(catalog[1], *_count_and_block(catalog[32:64]))]
    offset = 64
    while catalog[offset] in (0x90, 0x91):
        entries.append((catalog[offset + 1], *_count_and_block(catalog[offset + 32 : offset + 64])))
        offset += 64
    return tuple(entries)


def _count_and_block(entry: bytes) -> tuple[int, int]:
    count, block = struct.unpack_from("<HI", entry, 6)
    return count, block


def _parents(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: end + 1]) for end in range(len(parts))]


def _write(iso: pycdlib.PyCdlib, target: Path, *, label: str | None = None) -> None:
    """Write under a temporary name and rename: a build that is killed leaves no half disc."""
    partial = target.with_name(target.name + ".partial")
    with partial.open("wb") as stream:
        iso.write_fp(stream, blocksize=_BLOCK)
        if label is not None:
            stream.seek(16 * 2048 + 40)
            stream.write(label.encode("ascii").ljust(32))
        stream.flush()
        os.fsync(stream.fileno())
    iso.close()
    partial.rename(target)


def _add_efi_partition(path: Path) -> None:
    """Fill one MBR entry, type 0xEF, over the UEFI boot image.

    In units of 2048 bytes, the disc's own block: so counts GRUB, whereas a hybrid image for USB
    sticks would need 512.
    """
    block = next(block for platform, _, block in boot_entries(path) if platform == 0xEF)
    with path.open("r+b") as stream:
        stream.seek(block * 2048)
        boot_sector = stream.read(512)
        sectors = int.from_bytes(boot_sector[19:21], "little") or int.from_bytes(
            boot_sector[32:36], "little"
        )
        beyond = b"\xfe\xff\xff"
        entry = struct.pack("<B3sB3sII", 0, beyond, 0xEF, beyond, block, sectors // 4)
        stream.seek(446)
        stream.write(entry)
        stream.seek(510)
        stream.write(b"\x55\xaa")
