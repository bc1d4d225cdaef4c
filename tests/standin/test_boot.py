"""Whole installations and starts with plain qemu-system; nothing of provisioner takes part.

The whole installations are soak tests: `tests/boot` carries out the same four with provisioner.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.standin.build import Media
from tests.standin.drivers import inf_text
from tests.standin.loaders import PROMPT, fat_image
from tests.standin.packages import which
from tests.standin.qemu import machine, without_prompt

pytestmark = pytest.mark.boot

DRIVERS = {
    f"$WinPEDriver$/{driver}/{stem}.inf": inf_text(driver, "w11", "amd64").encode()
    for driver, stem in (("viostor", "viostor"), ("NetKVM", "netkvm"), ("vioserial", "vioser"))
}
STAGES = [
    *("setup", "answers", "setup-drivers", "disks", "image"),
    *("first-boot", "specialize", "oobe", "first-logon", "agent"),
]
PASSWORD_SHA256 = hashlib.sha256(b"Passw0rd!").hexdigest()

BIOS_PARTITIONS = """\
<CreatePartitions>
  <CreatePartition wcm:action="add"><Order>1</Order><Type>Primary</Type><Size>100</Size>
  </CreatePartition>
  <CreatePartition wcm:action="add"><Order>2</Order><Type>Primary</Type><Extend>true</Extend>
  </CreatePartition>
</CreatePartitions>
<ModifyPartitions>
  <ModifyPartition wcm:action="add"><Order>1</Order><PartitionID>1</PartitionID>
    <Format>NTFS</Format><Label>System Reserved</Label><Active>true</Active></ModifyPartition>
  <ModifyPartition wcm:action="add"><Order>2</Order><PartitionID>2</PartitionID>
    <Format>NTFS</Format><Label>Windows</Label><Letter>C</Letter></ModifyPartition>
</ModifyPartitions>
"""

MakeDisc = Callable[[Mapping[str, bytes]], Path]


def bios_sample(sample: str) -> str:
    """The sample for MBR disks."""
    text = re.sub(
        r"<CreatePartitions>.*</ModifyPartitions>", BIOS_PARTITIONS, sample, flags=re.DOTALL
    )
    return re.sub(r"(<InstallTo>.*?<PartitionID>)3", r"\g<1>2", text, flags=re.DOTALL)


@pytest.mark.soak
def test_uefi_install(media: Media, sample: str, answer_disc: MakeDisc, tmp_path: Path) -> None:
    disc = answer_disc({"Autounattend.xml": sample.encode(), **DRIVERS})
    with machine(discs=[without_prompt(media.install, tmp_path), disc]) as guest:
        guest.wait_for(r'"event":"ready"')

        assert [e["stage"] for e in guest.events() if e["event"] == "stage"] == STAGES
        report = guest.report()
        assert report["outcome"] == "ready"
        assert report["notes"] == []
        assert (report["firmware"], report["secure_boot"]) == ("uefi", False)
        assert report["boot_medium"] == {"drive": "D:", "prompted": False}
        assert report["answer_file"] == {
            "path": "E:\\Autounattend.xml",
            "sha256": hashlib.sha256(sample.encode()).hexdigest(),
        }
        (disk,) = report["disks"]
        assert (disk["disk_id"], disk["bus"], disk["table"]) == (0, "virtio", "gpt")
        columns = ("number", "type", "size_mib", "filesystem", "label", "letter")
        assert [tuple(p[name] for name in columns) for p in disk["partitions"]] == [
            (1, "EFI", 100, "FAT32", "SYSTEM", None),
            (2, "MSR", 16, None, None, None),
            (3, "Primary", 65418, "NTFS", "Windows", "C"),
        ]
        assert report["install_to"] == {"disk_id": 0, "partition_id": 3}
        assert (report["image"]["index"], report["image"]["name"]) == (2, "Windows 11 Pro")
        assert report["product_key"] == "XXXXX-XXXXX-XXXXX-XXXXX-3V66T"
        assert report["computer_name"] == "STAND-01"
        assert report["time_zone"] == "W. Europe Standard Time"
        assert report["rdp"] == {"enabled": True, "network_level_authentication": True}
        assert report["device_encryption_prevented"] is True
        assert report["bypasses"] == ["BypassRAMCheck"]
        (user,) = report["users"]
        assert (user["name"], user["groups"]) == ("erika", ["Administrators"])
        assert user["display_name"] == "Erika M\u00fcller & Co"
        assert user["password_sha256"] == PASSWORD_SHA256
        assert report["administrator"]["password_sha256"] == PASSWORD_SHA256
        assert report["autologon"] == {"username": "erika", "count": 1}
        assert len(report["first_logon_commands"]) == 1
        assert {d["inf"] for d in report["drivers"]} == {"viostor.inf", "netkvm.inf", "vioser.inf"}

        assert guest.agent("guest-get-host-name") == {"host-name": "STAND-01"}
        handle = guest.agent("guest-file-open", path="/report.json")
        content = guest.agent("guest-file-read", handle=handle, count=65536)
        assert json.loads(base64.b64decode(content["buf-b64"])) == report

        guest.screenshot(tmp_path / "screen.ppm")
        pixels = (tmp_path / "screen.ppm").read_bytes()
        assert pixels[1000:].count(b"\xff\xff\xff") > 500  # bold text is white

        # A second start: nothing is set up again, the agent answers.
        guest.monitor("system_reset")
        guest.wait_for("started again")
        guest.wait_for("STANDIN-REPORT")
        assert guest.agent("guest-get-host-name") == {"host-name": "STAND-01"}
        guest.monitor("system_powerdown")
        guest.wait_until_off()


@pytest.mark.soak
def test_bios_install(media: Media, sample: str, answer_disc: MakeDisc) -> None:
    disc = answer_disc({"Autounattend.xml": bios_sample(sample).encode()})
    with machine(firmware="bios", disk_bus="sata", discs=[media.install, disc]) as guest:
        guest.wait_for(re.escape(PROMPT))
        guest.monitor("sendkey spc")
        guest.wait_for(r'"event":"ready"')
        report = guest.report()
        assert (report["firmware"], report["boot_medium"]["prompted"]) == ("bios", True)
        (disk,) = report["disks"]
        assert disk["table"] == "mbr"
        assert [(p["type"], p["active"], p["label"]) for p in disk["partitions"]] == [
            ("Primary", True, "System Reserved"),
            ("Primary", False, "Windows"),
        ]
        assert report["agent"]["installed"] is False


@pytest.mark.soak
def test_secure_boot_install(
    media: Media, sample: str, answer_disc: MakeDisc, tmp_path: Path
) -> None:
    disc = answer_disc({"Autounattend.xml": sample.encode(), **DRIVERS})
    boot = without_prompt(media.secure_boot, tmp_path)
    with machine(firmware="secure-boot", discs=[boot, disc]) as guest:
        guest.wait_for(r'"event":"ready"')
        report = guest.report()
        assert (report["secure_boot"], report["boot_medium"]["prompted"]) == (True, False)


@pytest.mark.soak
def test_unsigned_disc_under_secure_boot(media: Media) -> None:
    with machine(firmware="secure-boot", discs=[media.install]) as guest:
        guest.wait_for(r"Access Denied|Security Violation", seconds=60)


@pytest.mark.parametrize("variant", ["prompt_only", "secure_boot"])
def test_prompt_without_a_key(media: Media, variant: str) -> None:
    firmware = "secure-boot" if variant == "secure_boot" else "uefi"
    with machine(firmware=firmware, discs=[getattr(media, variant)]) as guest:
        guest.wait_for(re.escape(PROMPT), seconds=60)
        guest.wait_for("no key was pressed", seconds=30)


def test_prompt_with_enter(media: Media) -> None:
    with machine(discs=[media.prompt_only]) as guest:
        guest.wait_for(re.escape(PROMPT), seconds=60)
        guest.monitor("sendkey ret")
        # No answer disc: the language page, which nobody answers.
        guest.wait_for(r"FAILED .*language page shown: no answer file is used", seconds=90)
        failure = guest.events()[-1]
        assert (failure["event"], failure["stage"]) == ("failed", "answers")
        guest.wait_until_off()


@pytest.mark.soak
def test_virtio_disk_without_driver(
    media: Media, sample: str, answer_disc: MakeDisc, tmp_path: Path
) -> None:
    """And a stick's answer file beats a disc's; the stick itself counts as a disk."""
    disc = answer_disc({"Autounattend.xml": b"broken"})
    stick = tmp_path / "stick.img"
    stick.write_bytes(fat_image({"Autounattend.xml": sample.encode()}, size=8 * 2**20))
    boot = without_prompt(media.install, tmp_path)
    with machine(discs=[boot, disc], stick=stick) as guest:
        guest.wait_for(r"FAILED .*disk 0", seconds=120)
        report = guest.report()
        assert report["failure"]["stage"] == "disks"
        assert report["answer_file"]["path"] == "F:\\Autounattend.xml"
        assert [disk["bus"] for disk in report["disks_seen"]] == ["usb"]
        guest.wait_until_off()


@pytest.mark.soak
def test_no_disk_at_all(media: Media, sample: str, answer_disc: MakeDisc, tmp_path: Path) -> None:
    disc = answer_disc({"Autounattend.xml": sample.encode()})
    with machine(discs=[without_prompt(media.install, tmp_path), disc]) as guest:
        guest.wait_for(r"FAILED .*no disks found; a driver is missing", seconds=120)
        guest.wait_until_off()


@pytest.mark.parametrize(
    ("switch", "end"),
    [
        ("", r'"event":"ready"'),
        ("standin.fail=disk_is_on_fire", r'"message":"disk is on fire"'),
        # `up` waits for it in tests/integration/test_guest.py.
        pytest.param("standin.poweroff=1", "turning off", marks=pytest.mark.soak),
    ],
)
def test_direct_guest(media: Media, switch: str, end: str) -> None:
    line = f"console=ttyS0 quiet standin.phase=direct {switch}"
    direct = (str(media.kernel), str(media.initrd), line)
    with machine(firmware="bios", discs=[], direct=direct) as guest:
        guest.wait_for(end, seconds=90)
        if not switch:
            assert guest.agent("guest-ping") == {}
            guest.shut_down_by_agent()
        guest.wait_until_off()


@pytest.mark.soak
@pytest.mark.parametrize("formatted", [True, False])
def test_a_kept_disk(
    media: Media, sample: str, answer_disc: MakeDisc, tmp_path: Path, formatted: bool
) -> None:
    """WillWipeDisk false: Windows goes on partition 3, formatted or beside the Windows.old that its
    old Windows becomes; the other partitions keep their bytes."""
    whole = r"<DiskConfiguration>.*</DiskConfiguration>"
    kept = re.sub(whole, KEPT if formatted else "", sample, flags=re.DOTALL)
    disc = answer_disc({"Autounattend.xml": kept.encode()})
    used = used_disk(tmp_path)
    start = without_prompt(media.install, tmp_path)
    with machine(discs=[start, disc], disk=used, disk_bus="sata") as guest:
        guest.wait_for(r"idle, nobody reports ready|\"event\":\"ready\"")
        report = guest.report()
        guest.process.terminate()  # QEMU writes everything before it ends
        raw = tmp_path / "after.img"
        guest.process.wait(60)
        argv = ["qemu-img", "convert", "-O", "raw", f"{guest.folder}/disk.qcow2", str(raw)]
        subprocess.run(argv, check=True)
    assert report["notes"] == []
    assert report["old_windows"] == ([] if formatted else ["Users", "Windows"])
    (disk,) = report["disks"]
    assert [(p["number"], p["type"], p["label"]) for p in disk["partitions"]] == [
        (1, "EFI", "ESP"),
        (2, "MSR", None),
        (3, "Primary", "New" if formatted else "Old"),
        (4, "Primary", "Data"),
    ]
    windows, data = (partition_of(raw, number, tmp_path) for number in (3, 4))
    assert ntfs("ntfscat", data, "letter.txt") == "dear me"
    assert "Panther" in ntfs("ntfsls", "-p", "/Windows", windows)
    if not formatted:
        assert ntfs("ntfscat", windows, "Windows.old/Windows/old.txt") == "the old one"
        assert ntfs("ntfscat", windows, "photo.jpg") == "mine"


KEPT = """\
<DiskConfiguration>
  <Disk wcm:action="add"><DiskID>0</DiskID><WillWipeDisk>false</WillWipeDisk>
    <ModifyPartitions><ModifyPartition wcm:action="add"><Order>1</Order>
      <PartitionID>3</PartitionID><Format>NTFS</Format><Label>New</Label><Letter>C</Letter>
    </ModifyPartition></ModifyPartitions>
  </Disk>
</DiskConfiguration>
"""
SIZES = {1: 260, 2: 16, 3: 40_000, 4: 2_000}
"""MiB of the partitions of a disk that has been used, from the first MiB on."""


def used_disk(folder: Path) -> Path:
    """A GPT disk with a Windows on partition 3 and data on partition 4, as a sparse raw file."""
    disk = folder / "used.img"
    with disk.open("wb") as stream:
        stream.truncate(64 << 30)
    kinds = {1: "EF00", 2: "0C01", 3: "0700", 4: "0700"}
    make = [argument for number, size in SIZES.items()
            for argument in (f"-n{number}:0:+{size}M", f"-t{number}:{kinds[number]}")]  # fmt: skip
    subprocess.run([str(which("sgdisk")), *make, str(disk)], check=True, capture_output=True)
    old = {"Windows/old.txt": "the old one", "Users/dev/x": "x", "photo.jpg": "mine"}
    for number, label, files in ((1, "ESP", {}), (3, "Old", old), (4, "Data", DATA)):
        part = folder / f"part{number}.img"
        with part.open("wb") as stream:
            stream.truncate(SIZES[number] << 20)
        fat = ["mkfs.fat", "-F32", "-n", label]
        argv = fat if number == 1 else ["mkntfs", "-qFQ", "-L", label]
        subprocess.run([str(which(argv[0])), *argv[1:], str(part)], check=True, capture_output=True)
        if files:
            root = folder / "root"
            root.mkdir(exist_ok=True)
            subprocess.run(["ntfs-3g", str(part), str(root)], check=True)
            for name, text in files.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
            subprocess.run(["umount", str(root)], check=True)
        argv = ["dd", f"if={part}", f"of={disk}", f"seek={_start(number)}"]
        argv += ["bs=1M", "conv=notrunc,sparse"]
        subprocess.run(argv, check=True, capture_output=True)
        part.unlink()
    return disk


DATA = {"letter.txt": "dear me"}


def partition_of(disk: Path, number: int, folder: Path) -> Path:
    """One partition of a raw disk as a file."""
    part = folder / f"after{number}.img"
    argv = ["dd", f"if={disk}", f"of={part}", f"skip={_start(number)}", f"count={SIZES[number]}"]
    subprocess.run([*argv, "bs=1M", "conv=sparse"], check=True, capture_output=True)
    return part


def _start(number: int) -> int:
    return 1 + sum(size for one, size in SIZES.items() if one < number)


def ntfs(program: str, *arguments: str | Path) -> str:
    """What one of ntfs-3g's tools prints about a partition."""
    argv = [str(which(program)), *map(str, arguments)]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout
