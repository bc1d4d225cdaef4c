"""The boot catalog, compared with xorriso, and the patch that removes the prompt."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.media.boot import (
    NoPromptImpossible,
    NoPromptNeeded,
    NoPromptPatch,
    noprompt_patch,
    read_catalog,
)
from provisioner.media.facts import BootEntry, Extent, Platform
from provisioner.media.inspect import inspect
from provisioner.media.window import opened
from tests.unit.media.discs import (
    EFISYS,
    NOPROMPT,
    WINDOWS_FILES,
    make_bridge,
    make_facts,
    make_tree,
    run,
)

EFISYS_PATH = "efi/microsoft/boot/efisys.bin"
NOPROMPT_PATH = "efi/microsoft/boot/efisys_noprompt.bin"


def by_xorriso(image: Path) -> list[tuple[str, int, int]]:
    """(platform, load size, block) of each entry, as xorriso reports them."""
    report = run(["xorriso", "-indev", image, "-report_el_torito", "plain"])
    row = r"^El Torito boot img :\s+\d+\s+(\w+)\s+y\s+none\s+\w+\s+\w+\s+(\d+)\s+(\d+)"
    return [(p, int(size), int(lba)) for p, size, lba in re.findall(row, report, re.MULTILINE)]


def entries(image: Path) -> list[tuple[str, int, int]]:
    return [(e.platform.name, e.load_sectors, e.lba) for e in inspect(image).boot]


def test_entries_of_a_windows_disc(windows_iso: Path) -> None:
    facts = inspect(windows_iso)
    assert [(e.platform, e.platform_id, e.load_sectors, e.path) for e in facts.boot] == [
        (Platform.BIOS, 0x00, 8, "boot/etfsboot.com"),
        (Platform.UEFI, 0xEF, 1, EFISYS_PATH),
    ]
    assert all(e.bootable and e.media_type == 0 for e in facts.boot)
    assert entries(windows_iso) == by_xorriso(windows_iso)


def test_entries_by_xorriso(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", {"bios.img": b"b" * 4096, "efi.img": b"e" * 8192})
    image = tmp_path / "boot.iso"
    boot = ["-b", "bios.img", "-no-emul-boot", "-boot-load-size", "4"]
    boot += ["-eltorito-alt-boot", "-e", "efi.img", "-no-emul-boot"]
    run(["xorriso", "-as", "mkisofs", "-quiet", "-R", *boot, "-o", image, tree])
    assert entries(image) == by_xorriso(image)
    assert [e.path for e in inspect(image).boot] == ["bios.img", "efi.img"]


def test_uefi_only_disc_takes_the_platform_of_the_validation_entry(tmp_path: Path) -> None:
    image = make_bridge(tmp_path / "d.iso", WINDOWS_FILES, boot=((EFISYS_PATH, 0xEF, 1),))
    assert [(e.platform, e.path) for e in inspect(image).boot] == [(Platform.UEFI, EFISYS_PATH)]


def test_a_disc_without_a_catalog(answer_iso: Path) -> None:
    assert inspect(answer_iso).boot == ()


def test_the_patch_changes_the_entry_to_the_silent_file(windows_iso: Path, tmp_path: Path) -> None:
    facts = inspect(windows_iso)
    patch = noprompt_patch(facts)
    assert isinstance(patch, NoPromptPatch)
    data = bytearray(windows_iso.read_bytes())
    assert data[patch.offset : patch.offset + 4] == patch.old
    block = int.from_bytes(patch.data, "little") * 2048
    assert data[block : block + len(NOPROMPT)] == NOPROMPT
    data[patch.offset : patch.offset + 4] = patch.data
    patched = tmp_path / "patched.iso"
    patched.write_bytes(data)
    assert by_xorriso(patched)[1][2] * 2048 == block
    after = inspect(patched)
    assert after.boot[1].path == NOPROMPT_PATH
    again = noprompt_patch(after)
    assert isinstance(again, NoPromptNeeded)
    assert NOPROMPT_PATH in again.reason


ENTRY = BootEntry(
    platform=Platform.UEFI,
    platform_id=0xEF,
    bootable=True,
    media_type=0,
    load_sectors=1,
    lba=300,
    entry_offset=5000,
    path=EFISYS_PATH,
)
FILES = {
    "EFI/Microsoft/Boot/efisys.bin": (Extent(offset=300 * 2048, length=len(EFISYS)),),
    "EFI/Microsoft/Boot/efisys_noprompt.bin": (Extent(offset=400 * 2048, length=len(NOPROMPT)),),
}
PROMPT, SILENT = FILES


@pytest.mark.parametrize(
    ("boot", "files", "reason"),
    [
        ((), FILES, "0 UEFI boot entries"),
        ((ENTRY, ENTRY), FILES, "2 UEFI boot entries"),
        ((replace(ENTRY, bootable=False),), FILES, "0 UEFI boot entries"),
        ((ENTRY,), {PROMPT: FILES[PROMPT]}, f"no {NOPROMPT_PATH}"),
        ((ENTRY,), {SILENT: FILES[SILENT]}, f"no {EFISYS_PATH}"),
        ((ENTRY,), {**FILES, SILENT: FILES[SILENT] * 2}, "one run"),
        ((ENTRY,), {**FILES, SILENT: (Extent(offset=400 * 2048 + 512, length=8192),)}, "one run"),
        (
            (ENTRY,),
            {**FILES, SILENT: (Extent(offset=400 * 2048, length=4096),)},
            "differ in length",
        ),
        ((replace(ENTRY, lba=299, path=None),), FILES, "no file of the disc"),
    ],
)
def test_where_the_patch_is_not_safe(
    boot: tuple[BootEntry, ...], files: dict[str, tuple[Extent, ...]], reason: str
) -> None:
    found = noprompt_patch(make_facts(boot=boot, files=files))
    assert isinstance(found, NoPromptImpossible)
    assert reason in found.reason


def test_spelling_of_the_disc_does_not_matter() -> None:
    assert noprompt_patch(make_facts(boot=(ENTRY,), files=FILES)) == NoPromptPatch(
        offset=5008, data=(400).to_bytes(4, "little"), old=(300).to_bytes(4, "little")
    )


def catalog(path: Path, *records: bytes) -> Path:
    """Nothing but a boot record and a catalog at block 20."""
    data = bytearray(32 * 2048)
    data[17 * 2048 : 17 * 2048 + 39] = b"\0CD001\x01" + b"EL TORITO SPECIFICATION".ljust(32, b"\0")
    data[17 * 2048 + 71] = 20
    body = b"".join(record.ljust(32, b"\0") for record in records)
    data[20 * 2048 : 20 * 2048 + len(body)] = body
    path.write_bytes(data)
    return path


def validation(platform: int = 0) -> bytes:
    data = bytearray(bytes([1, platform]) + bytes(28) + b"\x55\xaa")
    total = sum(int.from_bytes(data[at : at + 2], "little") for at in range(0, 32, 2))
    data[28:30] = (-total & 0xFFFF).to_bytes(2, "little")
    return bytes(data)


def test_sections_and_extension_entries(tmp_path: Path) -> None:
    entry = bytes.fromhex("8800000000000100") + (25).to_bytes(4, "little")
    with_criteria = b"\x88\x20" + entry[2:4] + b"\x20" + entry[5:]
    path = catalog(
        tmp_path / "c.img",
        validation(),
        entry,
        b"\x90\xef\x01\x00",
        with_criteria,
        b"\x44\x20",
        b"\x44\x00",
        b"\x91\x01\x02\x00",
        entry,
        b"\x00" + entry[1:],
        entry,  # after the last section: not an entry
    )
    with opened(path) as window:
        found = read_catalog(window, {25 * 2048: "boot.img"})
    assert [(e.platform, e.bootable, (e.entry_offset - 40960) // 32) for e in found.entries] == [
        (Platform.BIOS, True, 1),
        (Platform.UEFI, True, 3),
        (Platform.OTHER, True, 7),
        (Platform.OTHER, False, 8),
    ]
    assert {e.path for e in found.entries} == {"boot.img"}


def test_a_wrong_checksum_gives_no_entries(tmp_path: Path) -> None:
    with opened(catalog(tmp_path / "c.img", b"\x01\x00\x01" + validation()[3:])) as window:
        found = read_catalog(window, {})
    assert (found.entries, found.remarks) == ((), ("the boot catalog's validation entry is wrong",))


def test_absurd_counts_end_with_the_catalog(tmp_path: Path) -> None:
    with opened(catalog(tmp_path / "c.img", validation(), b"\x88", b"\x90\xef\xff\xff")) as window:
        assert len(read_catalog(window, {}).entries) < 1100
