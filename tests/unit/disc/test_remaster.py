"""`iso remaster`: full images and overlays hold the same, and boot by the same files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from provisioner.disc.create import Order, create
from provisioner.disc.remaster import (
    Changes,
    Remastered,
    plan_remaster,
    write_overlay_remaster,
    write_remaster,
)
from provisioner.disc.structure import examine
from provisioner.disc.view import opened_view
from provisioner.errors import MediaError, ProvisionerError, RefusedError, Severity, UsageError
from provisioner.image.shapes import Shape
from provisioner.tree import Bytes, File, Tree
from tests.unit.disc import readers
from tests.unit.disc.readers import Contents, made, run, with_folders
from tests.unit.media.discs import make_bridge

EPOCH = 1_700_000_000
FILES: Mapping[str, bytes | None] = {
    "boot/etfsboot.com": b"B" * 4096,
    "boot/bootfix.bin": b"F" * 1024,
    "efi/microsoft/boot/efisys.bin": b"P" * 8192,
    "efi/microsoft/boot/efisys_noprompt.bin": b"S" * 8192,
    "sources/install.wim": os.urandom(2_500_001),
    "sources/boot.wim": os.urandom(50_000),
    "sources/ei.cfg": b"[Channel]\r\n",
    "empty": b"",
    "setup.exe": b"MZ",
}
LABEL = "CCCOMA_X64FRE_EN-US_DV9"


@pytest.fixture(params=["ours", "pycdlib"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    image = tmp_path / "base.iso"
    if request.param == "pycdlib":
        return make_bridge(image, {p: d for p, d in FILES.items() if d is not None}, label=LABEL)
    create(made(tmp_path / "tree", FILES), image, Order(shape=Shape.WINDOWS, label=LABEL))
    return image


def planned(base: Path, changes: Changes) -> Remastered:
    with opened_view(base) as view:
        return plan_remaster(view, changes)


def full(base: Path, changes: Changes, out: Path) -> Path:
    write_remaster(planned(base, changes), out, reveal=str, mode=0o644)
    return out


def overlay(base: Path, changes: Changes, out: Path) -> Path:
    """The overlay as a raw image, by qemu-img."""
    with opened_view(base) as view:
        remastered = plan_remaster(view, changes)
        write_overlay_remaster(view, remastered, out, reveal=str, mode=0o644)
    run("qemu-img", "check", out)
    raw = out.with_suffix(".raw.iso")  # 7-Zip looks for UDF first where the name ends so
    run("qemu-img", "convert", "-O", "raw", out, raw)
    return raw


def by_view(image: Path) -> Contents:
    from provisioner.media.window import Extents

    with opened_view(image) as view:
        assert [found for found in examine(view) if found.severity is Severity.ERROR] == []
        return {
            item.path: None
            if item.folder
            else Extents(view.window, item.extents).read(0, item.size)
            for item in view.items.values()
        }


def boots(image: Path) -> list[tuple[int, int, str | None]]:
    with opened_view(image) as view:
        return [(entry.platform_id, entry.load_sectors, entry.path) for entry in view.boot]


@pytest.mark.parametrize("write", [full, overlay])
def test_files_added_replaced_and_removed(base: Path, tmp_path: Path, write: object) -> None:
    before = base.read_bytes()
    wim = os.urandom(300_000)
    made(tmp_path / "new", {"tools/deep/a.txt": b"a", "tools/b.txt": b"b", "Auto.xml": b"<a/>"})
    made(tmp_path, {"boot.wim": wim, "disk.inf": b"inf", "drivers/net/x.inf": b"x"})
    changes = Changes(
        add=[(tmp_path / "new", ""), (tmp_path / "disk.inf", "SOURCES/drivers/")],
        replace=[(tmp_path / "boot.wim", "Sources/Boot.WIM")],
        remove=["*.cfg", "boot/bootfix.bin"],
        drivers=[tmp_path / "drivers"],
        answers=Tree([("provision/marker", File(content=(Bytes(data=b"1"),)))]),
        epoch=EPOCH,
    )
    image = write(base, changes, tmp_path / "out.iso")  # type: ignore[operator]
    expected = dict(FILES)
    del expected["sources/ei.cfg"], expected["boot/bootfix.bin"]
    expected |= {"tools/deep/a.txt": b"a", "tools/b.txt": b"b", "Auto.xml": b"<a/>"}
    expected |= {"sources/boot.wim": wim, "sources/drivers/disk.inf": b"inf"}
    expected |= {"$WinPEDriver$/drivers/net/x.inf": b"x", "provision/marker": b"1"}
    assert by_view(image) == with_folders(expected)
    assert readers.by_7z(image, tmp_path / "7z") == with_folders(expected)
    assert boots(image) == boots(base)
    facts = run("udfinfo", image)
    assert f"lvid={LABEL}" in facts and "integrity=closed" in facts
    assert base.read_bytes() == before
    remastered = planned(base, changes)
    assert remastered.replaced == ("sources/boot.wim",)
    assert remastered.removed == ("boot/bootfix.bin", "sources/ei.cfg")


@pytest.mark.parametrize("write", [full, overlay])
def test_no_prompt(base: Path, tmp_path: Path, write: object) -> None:
    changes = Changes(no_prompt=True, label="OTHER LABEL", epoch=EPOCH)
    image = write(base, changes, tmp_path / "out.iso")  # type: ignore[operator]
    assert boots(image) == [
        (0x00, 8, "boot/etfsboot.com"),
        (0xEF, 1, "efi/microsoft/boot/efisys_noprompt.bin"),
    ]
    assert "boot/bootfix.bin" not in by_view(image)
    assert "Volume id: OTHER LABEL\n" in run("isoinfo", "-d", "-i", image)
    assert "lvid=OTHER LABEL" in run("udfinfo", image)


def test_an_overlay_is_small_and_the_same_twice(base: Path, tmp_path: Path) -> None:
    changes = Changes(
        answers=Tree([("Autounattend.xml", File(content=(Bytes(data=b"<a/>"),)))]), epoch=EPOCH
    )
    overlay(base, changes, tmp_path / "one.qcow2")
    overlay(base, changes, tmp_path / "two.qcow2")
    assert (tmp_path / "one.qcow2").read_bytes() == (tmp_path / "two.qcow2").read_bytes()
    assert (tmp_path / "one.qcow2").stat().st_blocks * 512 < 160 * 1024
    full(base, changes, tmp_path / "one.iso")
    full(base, changes, tmp_path / "two.iso")
    assert (tmp_path / "one.iso").read_bytes() == (tmp_path / "two.iso").read_bytes()


def test_remastered_again(base: Path, tmp_path: Path) -> None:
    """Files stay stored once, nothing grows, and the catalog is no file of the disc."""
    image = base
    for number in range(3):
        image = full(image, Changes(epoch=EPOCH), tmp_path / f"{number}.iso")
        assert by_view(image) == with_folders(FILES)
    first, *_, last = (tmp_path / f"{number}.iso" for number in range(3))
    assert first.read_bytes() == last.read_bytes()


def test_a_portable_disc(tmp_path: Path) -> None:
    folder = made(tmp_path / "tree", {"isolinux/isolinux.bin": b"L" * 9001, "a": b"1", "b/c": b""})
    (folder / "link").symlink_to("b/c")
    (folder / "a").chmod(0o751)
    theirs = tmp_path / "theirs.iso"
    run(
        *("genisoimage", "-quiet", "-R", "-J", "-V", "LIVE", "-o", theirs),
        *("-b", "isolinux/isolinux.bin", "-c", "isolinux/boot.cat", "-no-emul-boot"),
        *("-boot-load-size", "4", "-boot-info-table", folder),
    )
    made(tmp_path, {"filler": b"f" * 70_000})
    image = full(theirs, Changes(add=[(tmp_path / "filler", "0")]), tmp_path / "ours.iso")
    with opened_view(image) as view:
        assert view.side == "Rock Ridge" and view.label == "LIVE"
        assert view.items["link"].link == "b/c"
        assert view.items["a"].mode == 0o751
        loader = view.items["isolinux/isolinux.bin"].extents[0].offset
        table = view.window.read(loader + 8, 56)
        assert int.from_bytes(table[4:8], "little") == loader // 2048
        assert view.boot[0].path == "isolinux/isolinux.bin"
    with opened_view(theirs) as view:
        old = view.items["isolinux/isolinux.bin"].extents[0].offset
        assert old != loader
        assert view.window.read(old + 16, 48) == table[8:], "length and checksum stay"
    found = readers.by_xorriso(image, tmp_path / "xorriso")
    assert "isolinux/boot.cat" not in found and found["0"] == b"f" * 70_000
    with pytest.raises(MediaError, match="not in UDF alone"):
        overlay(theirs, Changes(remove=["a"]), tmp_path / "x.qcow2")


def test_a_boot_image_without_a_file(tmp_path: Path) -> None:
    """As grub-mkrescue makes them: an appended FAT image that no path leads to."""
    run("mformat", "-C", "-f", "1440", "-i", tmp_path / "efi.img", "::")
    made(tmp_path / "tree", {"a": b"1"})
    theirs = tmp_path / "theirs.iso"
    run(
        *("xorriso", "-as", "mkisofs", "-quiet", "-o", theirs, "-append_partition", "2", "0xef"),
        *(tmp_path / "efi.img", "-e", "--interval:appended_partition_2:all::", "-no-emul-boot"),
        tmp_path / "tree",
    )
    image = full(theirs, Changes(), tmp_path / "ours.iso")
    with opened_view(image) as view:
        (entry,) = view.boot
        assert entry.platform_id == 0xEF
        data = view.window.read(entry.lba * 2048, 1_474_560)
    assert data == (tmp_path / "efi.img").read_bytes()
    assert "stick" in planned(theirs, Changes()).notes[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (Changes(remove=["nothing"]), "nothing in base.iso matches --remove"),
        (Changes(remove=["boot"]), "is what the disc boots by"),
        (Changes(replace=[(Path("setup.exe"), "missing")]), "has no missing to replace"),
        (Changes(add=[(Path("setup.exe"), "SETUP.exe")]), "has setup.exe already"),
        (Changes(add=[(Path("setup.exe"), "../x")]), "leads out of the disc"),
        (Changes(add=[(Path("nowhere"), "x")]), "cannot read"),
        (Changes(add=[(Path("setup.exe"), "sources")]), "would become a file"),
        (Changes(add=[(Path("sources"), "setup.exe")]), None),
    ],
)
def test_changes_that_make_no_sense(
    base: Path, tmp_path: Path, changes: Changes, message: str | None
) -> None:
    made(tmp_path / "tree", FILES)
    resolved = Changes(
        add=[(tmp_path / "tree" / source, path) for source, path in changes.add],
        replace=[(tmp_path / "tree" / source, path) for source, path in changes.replace],
        remove=changes.remove,
    )
    with pytest.raises(ProvisionerError) as caught:
        write_remaster(planned(base, resolved), tmp_path / "x.iso", reveal=str, mode=0o644)
    if message is not None:
        assert isinstance(caught.value, UsageError)
        assert message in caught.value.message
    assert not (tmp_path / "x.iso").exists()


def test_the_base_is_never_the_target(base: Path) -> None:
    before = base.read_bytes()
    for write in (full, overlay):
        with pytest.raises(RefusedError):
            write(base, Changes(no_prompt=True), base)
    assert base.read_bytes() == before


def test_a_base_that_changes_while_it_is_read(base: Path, tmp_path: Path) -> None:
    remastered = planned(base, Changes())

    def touch(done: int, total: int) -> None:
        os.utime(base, (done, done))

    with pytest.raises(ProvisionerError, match="changed while it was read"):
        write_remaster(remastered, tmp_path / "x.iso", reveal=str, mode=0o644, progress=touch)
    assert not (tmp_path / "x.iso").exists()
