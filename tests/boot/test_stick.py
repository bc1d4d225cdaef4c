"""Sticks that start, and install: from emulated USB, under OVMF, by the stand-in for Setup."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from provisioner.errors import FailedError
from provisioner.usb.boot_test import boot_test
from tests.standin.build import Media
from tests.standin.qemu import machine
from tests.unit.usb.uefi_ntfs import grub, uefi_ntfs
from tests.unit.usb.windows_pe import FakeDisk, WindowsPE

PASSWORD = "Geheim-1234"
PROFILE = f"""\
extends: usb-laptop
name: laptop
windows:
  computer_name: METAL-PC
  users: [{{name: user, groups: [Administrators], password: {{plain: "{PASSWORD}"}}}}]
metal:
  firmware: uefi
  disk: {{bus: sata, size: 68 GB}}
  wipe: true
  drivers: [drivers/nic]
"""


COUNTED = "1-0"
"""Disk and stick as the stand-in counts them: by the PCI addresses of their controllers."""


@dataclass(frozen=True)
class Desk:
    """A folder with profiles and images, and the program."""

    folder: Path
    install: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "HOME": str(self.folder)}
        done = subprocess.run(
            [sys.executable, "-m", "provisioner", *arguments],
            cwd=self.folder,
            env={k: v for k, v in environment.items() if not k.startswith("XDG_")},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done
        return done

    def image(self, *options: str) -> Path:
        """A stick made of the stand-in's disc."""
        image = self.folder / "stick.img"
        self.run("usb", "image", str(self.install), str(image), "--force", *options)
        return image


@pytest.fixture
def desk(tmp_path: Path, media: Media) -> Iterator[Desk]:
    (tmp_path / "drivers/nic").mkdir(parents=True)
    (tmp_path / "drivers/nic/nic.inf").write_text("[Version]\n; standin-driver: nic w11 amd64\n")
    (tmp_path / "laptop.yaml").write_text(PROFILE)
    yield Desk(tmp_path, media.install)
    for image in tmp_path.glob("*.img"):
        image.unlink()


@pytest.mark.boot
def test_the_boot_proof(desk: Desk) -> None:
    """A composed stick starts; the same command says so, and nothing of the image changes."""
    image = desk.folder / "stick.img"
    done = desk.run("usb", "image", str(desk.install), str(image), "--boot-test")
    assert "boots under OVMF in" in done.stderr and "its loader says:" in done.stderr
    assert not list(desk.folder.glob(".stick.img*"))


@pytest.mark.boot
@pytest.mark.soak
@pytest.mark.parametrize("table", ["gpt", "mbr"])
def test_a_device_starts_from_a_snapshot(desk: Desk, table: str) -> None:
    """The written stick: a block device, of which not a byte changes."""
    image = desk.image("--table", table)
    before = hashlib.sha256(image.read_bytes()).hexdigest()
    argv = ["losetup", "--find", "--show", str(image)]
    device = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    try:
        proof = boot_test(Path(device), kvm=False)
    finally:
        subprocess.run(["losetup", "-d", device], check=True)
    assert proof.said and proof.seconds < 120
    assert hashlib.sha256(image.read_bytes()).hexdigest() == before


@pytest.mark.boot
@pytest.mark.soak
@pytest.mark.parametrize("damage", ["no loader", "a loader that is none", "no stick"])
def test_a_stick_that_does_not_start(desk: Desk, damage: str) -> None:
    image = desk.image()
    volume = f"{image}@@1M"
    if damage == "no stick":
        image.write_bytes(bytes(1 << 20))
    else:
        subprocess.run(["mdel", "-i", volume, "::/efi/boot/bootx64.efi"], check=True)
    if damage == "a loader that is none":
        (desk.folder / "bootx64.efi").write_bytes(b"MZ" + bytes(5000))
        subprocess.run(
            ["mcopy", "-i", volume, str(desk.folder / "bootx64.efi"), "::/efi/boot/"], check=True
        )
    with pytest.raises(FailedError, match=r"does not start under OVMF|started nothing within"):
        boot_test(image, kvm=False, within=60)


@pytest.mark.boot
@pytest.mark.soak
@pytest.mark.parametrize("table", ["gpt", "mbr"])
def test_ntfs_is_started_by_the_second_partition(desk: Desk, table: str) -> None:
    """GRUB plays UEFI:NTFS: the firmware starts it from the last partition, and with its own driver
    it starts from the NTFS volume what is there for UEFI; that finds kernel and ramdisk in it.
    There the stand-in ends: its Linux, unlike Windows PE, has no NTFS."""
    uefi_ntfs(desk.folder / "loader.img", grub(desk.folder))
    image = desk.image("--table", table, "--layout", "ntfs", "--uefi-ntfs", "loader.img")
    with machine(discs=[], stick=image) as running:
        running.wait_for("played by GRUB: reading NTFS")
        number = "gpt1" if table == "gpt" else "msdos1"
        running.wait_for(f"found it on hd0,{number}")
        running.wait_for("stand-in for Windows Setup: loading")
        running.wait_for("stand-in for Windows Setup: started after")


@pytest.mark.boot
@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("table", ["gpt", "mbr"])
def test_the_standin_installs_itself_from_the_stick(desk: Desk, table: str) -> None:
    """The whole way: the stick asks, the script under Wine finds the disk, Setup takes the answers
    from the stick by its own search and the image from a split set, and Windows' stand-in starts.
    """
    image = desk.image("--profile", "laptop.yaml", "--table", table, "--part-size", "16 MiB")
    volume = f"{image}@@1M"
    _choose(desk, volume, COUNTED)
    with machine(discs=[], stick=image, disk_bus="sata") as running:
        running.wait_for("stand-in for Windows Setup: setup is done", seconds=900)
        running.wait_for(r"idle, nobody reports ready|\"ready\"", seconds=600)
        report = running.report()
    target, stick = (int(part) for part in COUNTED.split("-"))
    assert report["answer_file"]["path"].endswith(":\\Autounattend.xml")
    assert report["relabelled"] == [{"disk_id": stick, "partition_id": 1, "label": _label(volume)}]
    assert report["install_to"]["disk_id"] == target
    seen = {disk["disk_id"]: disk["bus"] for disk in report["disks_seen"]}
    assert (seen[target], seen[stick]) == ("sata", "usb")
    assert [disk["bus"] for disk in report["disks"]] == ["sata"]
    assert report["computer_name"] == "METAL-PC"
    user = next(user for user in report["users"] if user["name"] == "user")
    assert user["password_sha256"] == hashlib.sha256(PASSWORD.encode()).hexdigest()
    assert [driver["inf"] for driver in report["drivers"]] == ["nic.inf"]
    assert any("select-disk.cmd" in command for command in report["windows_pe_commands"])


@pytest.mark.boot
@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_the_tripwire(desk: Desk) -> None:
    """Answers for disks that are counted otherwise: Setup stops, and nothing is erased."""
    image = desk.image("--profile", "laptop.yaml")
    wrong = "-".join(reversed(COUNTED.split("-")))
    _choose(desk, f"{image}@@1M", wrong)
    with machine(discs=[], stick=image, disk_bus="sata") as running:
        running.wait_for("FAILED stand-in for Windows Setup, disks: ModifyPartition", seconds=900)
        report = running.report()
        size = (running.folder / "disk.qcow2").stat().st_size
    assert "has no partition 1" in report["failure"]["message"]
    assert "disks" not in report and size < 1 << 20


def _choose(desk: Desk, volume: str, number: str) -> None:
    """Runs the script of the stick in Wine for both orders of the disks, and puts answers for one
    of them onto the stick."""
    root = desk.folder / "root"
    root.mkdir()
    for path in ("provision", "Autounattend.xml", "$WinPEDriver$"):
        subprocess.run(["mcopy", "-s", "-i", volume, f"::/{path}", str(root)], check=True)
    (desk.folder / "pe").mkdir()
    disks = (
        FakeDisk(model="QEMU HARDDISK", bus="SATA", gib=64),
        FakeDisk(model="QEMU QEMU HARDDISK", bus="USB", gib=0, volume=_label(volume)),
    )
    pe = WindowsPE(desk.folder / "pe")
    for found in ("0-1", "1-0"):
        order = disks if found == "0-1" else disks[::-1]
        asks = (root / "provision/disk/ask.xml").read_text()
        (root / "Autounattend.xml").write_text(asks)
        done = pe.run(root, order)
        assert done.rebooted and not done.allowed, done
        assert "<DiskConfiguration>" in done.answers and "<DiskConfiguration>" not in asks
        assert f"<DiskID>{found[0]}</DiskID>\n          <WillWipeDisk>true" in done.answers
    shutil.rmtree(desk.folder / "pe")
    chosen = root / f"provision/disk/{number}.xml"
    subprocess.run(["mcopy", "-o", "-i", volume, str(chosen), "::/Autounattend.xml"], check=True)


def _label(volume: str) -> str:
    told = subprocess.run(
        ["mlabel", "-s", "-i", volume, "::"], capture_output=True, text=True, check=True
    ).stdout
    return told.partition(" is ")[2].split()[0]
