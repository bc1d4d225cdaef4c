"""Our discs under other people's systems: a Linux kernel's drivers, firmware, memtest86+.

The kernel and the discs that boot are the stand-in's; QEMU emulates, so this takes minutes.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from provisioner.disc.capacity import Until
from provisioner.disc.create import Order, create
from provisioner.disc.extract import extract
from provisioner.disc.remaster import (
    Changes,
    plan_remaster,
    write_overlay_remaster,
    write_remaster,
)
from provisioner.disc.rip import Options, rip
from provisioner.disc.view import opened_view
from provisioner.image.shapes import Shape
from provisioner.tree import Bytes, File, Tree
from tests.standin.build import build_media, default_outdir
from tests.standin.initramfs import Archive
from tests.standin.packages import Kernel, fetch_kernel, which
from tests.standin.qemu import machine
from tests.unit.disc.readers import made, run

pytestmark = [pytest.mark.integration, pytest.mark.boot, pytest.mark.timeout(900)]
soak = pytest.mark.soak  # a start of a machine under emulation each: too long for every run

MODULES = ("ahci", "sd_mod", "sr_mod", "isofs", "udf", "nls_utf8")
INIT = """\
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys
for module in $(cat /modules/order); do insmod /modules/$module; done
while [ ! -b /dev/sr0 ]; do sleep 0.1; done
for kind in udf iso9660; do
  mount -t $kind -o ro,iocharset=utf8 /dev/sr0 /mnt || continue
  echo "BEGIN $kind"
  cd /mnt
  find . -type d | sed "s/^/FOLDER /"
  find . -type f -exec sha256sum {} + | sed "s/^/FILE /"
  find . -type l -exec readlink -n {} ';' -exec echo " LINK {}" ';'
  find . -type f -exec stat -c 'STAT %a %Y %n' {} +
  cd /; umount /mnt
done
echo "RIPPED $(dd if=/dev/sr0 bs=2048 2>/dev/null | sha256sum)"
echo "THE END"
poweroff -f
"""

FILES: Mapping[str, bytes | None] = {
    "setup.exe": b"MZ" * 400,
    "Übung/日本語.txt": b"text",
    "n" * 200 + ".txt": b"long name",
    "deep/er/and/deeper/still/file": b"deep",
    "empty": b"",
    "folder": None,
    "sources/install.wim": bytes(range(256)) * 40_000,
    **{f"many/{n:04}.dll": f"{n}".encode() * 10 for n in range(1500)},
}


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    return fetch_kernel(default_outdir() / "cache")


@pytest.fixture(scope="module")
def ramdisk(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    archive = Archive()
    for folder in ("dev", "proc", "sys", "mnt", "bin"):
        archive.folder(folder)
    archive.file("init", INIT.encode(), mode=0o755)
    archive.file("bin/busybox", which("busybox").read_bytes(), mode=0o755)
    order: list[str] = []
    for module in MODULES:
        listing = run(
            which("modprobe"), "-d", kernel.modules_root, "-S", kernel.release, "-D", module
        )
        for path in re.findall(r"^insmod (\S+)", listing, re.MULTILINE):
            if Path(path).name not in order:
                order.append(Path(path).name)
                archive.file(f"modules/{order[-1]}", Path(path).read_bytes())
    archive.file("modules/order", "\n".join(order).encode())
    target = tmp_path_factory.mktemp("ramdisk") / "initrd"
    target.write_bytes(archive.packed())
    return target


def told_by_linux(kernel: Kernel, ramdisk: Path, disc: Path) -> dict[str, list[str]]:
    """What a guest's kernel sees: lines by file system, and the digest of its drive."""
    line = "console=ttyS0 quiet loglevel=0"
    direct = (str(kernel.image), str(ramdisk), line)
    with machine(firmware="bios", discs=[disc], direct=direct) as guest:
        guest.wait_for("^THE END", seconds=400)
        text = guest.serial
    found: dict[str, list[str]] = {}
    now = ""
    for each in text.splitlines():
        if each.startswith("BEGIN "):
            now = each.split()[1]
        elif each.startswith("RIPPED "):
            found["drive"] = [each.split()[1]]
        elif now:
            found.setdefault(now, []).append(each)
    return found


def files_of(lines: list[str]) -> dict[str, str]:
    return {
        each.split(maxsplit=2)[2].strip().removeprefix("./"): each.split()[1]
        for each in lines
        if each.startswith("FILE ")
    }


@pytest.mark.parametrize(
    "shape",
    # On a data disc both drivers see every file.
    [pytest.param(each, marks=() if each is Shape.DATA else soak) for each in Shape],
)
def test_a_linux_guest_reads_every_byte(
    tmp_path: Path, kernel: Kernel, ramdisk: Path, shape: Shape
) -> None:
    folder = made(tmp_path / "tree", FILES)
    if shape is not Shape.WINDOWS:
        (folder / "link").symlink_to("deep/er/and")
    (folder / "setup.exe").chmod(0o751)
    os.utime(folder / "setup.exe", (1_600_000_000, 1_600_000_000))
    disc = tmp_path / "disc.iso"
    create(folder, disc, Order(shape=shape))
    found = told_by_linux(kernel, ramdisk, disc)
    assert found["drive"] == [hashlib.sha256(disc.read_bytes()).hexdigest()]
    expected = {
        path: hashlib.sha256(data).hexdigest() for path, data in FILES.items() if data is not None
    }
    sides = {"windows": ["udf"], "portable": ["iso9660"], "data": ["udf", "iso9660"]}[shape]
    for side in sides:
        assert files_of(found[side]) == expected, side
        assert "FOLDER ./folder" in found[side]
        assert "STAT 751 1600000000 ./setup.exe" in found[side]
    if shape is Shape.WINDOWS:
        assert list(files_of(found["iso9660"])) == ["readme.txt"]
    else:
        assert "deep/er/and LINK ./link" in found["iso9660"]


@soak
def test_a_linux_guest_reads_an_overlay(tmp_path: Path, kernel: Kernel, ramdisk: Path) -> None:
    made(tmp_path / "tree", FILES)
    create(tmp_path / "tree", tmp_path / "base.iso", Order(shape=Shape.WINDOWS))
    answers = Tree([("Autounattend.xml", File(content=(Bytes(data=b"<a/>"),)))])
    with opened_view(tmp_path / "base.iso") as view:
        changed = plan_remaster(view, Changes(answers=answers, remove=["many/00*"]))
        write_overlay_remaster(view, changed, tmp_path / "x.qcow2", reveal=str, mode=0o644)
    found = told_by_linux(kernel, ramdisk, tmp_path / "x.qcow2")
    expected = {
        path: hashlib.sha256(data).hexdigest()
        for path, data in FILES.items()
        if data is not None and not path.startswith("many/00")
    }
    expected["Autounattend.xml"] = hashlib.sha256(b"<a/>").hexdigest()
    assert files_of(found["udf"]) == expected


@pytest.fixture(scope="module")
def setup_disc() -> Path:
    return build_media(default_outdir()).install


@soak
@pytest.mark.parametrize("firmware", ["uefi", "bios"])
def test_a_created_disc_boots(tmp_path: Path, setup_disc: Path, firmware: str) -> None:
    """The stand-in's files, taken off its disc and made into one again: Setup starts from it."""
    with opened_view(setup_disc) as view:
        extract(view, list(view.items.values()), tmp_path / "tree", writable=True)
    (tmp_path / "tree/boot.cat").unlink(missing_ok=True)
    disc = tmp_path / "disc.iso"
    create(
        tmp_path / "tree", disc, Order(shape=Shape.WINDOWS, no_prompt=True, exclude=["bootfix*"])
    )
    with machine(firmware=firmware, discs=[disc]) as guest:
        guest.wait_for(r"FAILED .*language page shown: no answer file is used", seconds=400)


@soak
@pytest.mark.parametrize("overlay", [False, True])
@pytest.mark.parametrize("firmware", ["uefi", "bios"])
def test_a_remastered_disc_boots_and_is_answered(
    tmp_path: Path, setup_disc: Path, firmware: str, overlay: bool
) -> None:
    """Broken answers at the root of the disc are found, which shows whose disc it is."""
    answers = Tree([("Autounattend.xml", File(content=(Bytes(data=b"<broken"),)))])
    target = tmp_path / ("x.qcow2" if overlay else "x.iso")
    with opened_view(setup_disc) as view:
        changed = plan_remaster(view, Changes(answers=answers, no_prompt=True))
        if overlay:
            write_overlay_remaster(view, changed, target, reveal=str, mode=0o644)
        else:
            write_remaster(changed, target, reveal=str, mode=0o644)
    with machine(firmware=firmware, discs=[target]) as guest:
        guest.wait_for(r"FAILED .*", seconds=400)
        assert "Autounattend.xml" in guest.serial


def test_memtest_ripped_remastered_and_booted(tmp_path: Path) -> None:
    source = Path("/usr/lib/memtest86+/memtest86+x64.iso")
    assert source.exists(), "apt install memtest86+"
    device = run("losetup", "-f", "--show", "-r", source).strip()
    try:
        rip(Path(device), tmp_path / "ripped.iso", Options(until=Until.CAPACITY))
    finally:
        run("losetup", "-d", device)
    assert (tmp_path / "ripped.iso").read_bytes() == source.read_bytes()
    made(tmp_path / "more", {"a note.txt": b"1", "0": os.urandom(100_000)})
    with opened_view(tmp_path / "ripped.iso") as view:
        changed = plan_remaster(view, Changes(add=[(tmp_path / "more", "")]))
        write_remaster(changed, tmp_path / "remastered.iso", reveal=str, mode=0o644)
    for disc in (tmp_path / "ripped.iso", tmp_path / "remastered.iso"):
        with machine(firmware="bios", discs=[disc]) as guest:
            deadline = time.monotonic() + 120
            text = ""
            while "Memtest86+" not in text:
                assert time.monotonic() < deadline, text
                time.sleep(1)
                guest.monitor(f'pmemsave 0xb8000 4000 "{tmp_path}/screen"')
                time.sleep(0.5)
                if (tmp_path / "screen").exists():  # text mode: characters and attributes
                    text = (tmp_path / "screen").read_bytes()[::2].decode("cp437")
