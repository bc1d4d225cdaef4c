"""Disks as sysfs shows them, whatever is stacked on them; gates on such machines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.usb.devices import Disk, Transport, UseKind
from provisioner.usb.gates import GateError, Request, find, refusals
from tests.unit.usb.trees import CARD, NVME, SATA, USB, Tree


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def named(tree: Tree, name: str) -> Disk:
    return next(disk for disk in tree.system.disks() if disk.name == name)


def rules(tree: Tree, name: str, request: Request | None = None) -> list[str]:
    found = refusals(named(tree, name), request or Request(), tree.system.kernel())
    return [refusal.rule for refusal in found]


def test_a_stick(tree: Tree) -> None:
    tree.usb("sdc")
    number = tree.part("sdc", "sdc1", 1, filesystem="vfat", label=r"MY\x20HOLIDAY")
    tree.mount(number, "/media/my holiday", "/dev/sdc1")
    disk = named(tree, "sdc")
    assert (disk.transport, disk.vendor, disk.model) == (Transport.USB, "SanDisk", "Ultra")
    assert (disk.serial, disk.size, disk.removable) == ("4C530001", 30_720_000_000, True)
    assert disk.ids == ("usb-SanDisk_Ultra_4C530001",)
    [part] = disk.partitions
    assert (part.number, part.filesystem, part.label) == (1, "FAT", "MY HOLIDAY")
    [use] = disk.uses
    assert (use.kind, use.where, use.system) == (UseKind.MOUNT, "/media/my holiday", False)
    assert rules(tree, "sdc") == ["usb.mounted"]
    assert rules(tree, "sdc", Request(unmount=True)) == []


def test_udevs_names_come_first(tree: Tree) -> None:
    tree.usb("sdc")
    tree.link("usb-SanDisk_Ultra_4C530001-0:0", "sdc")
    tree.link("wwn-0x5000", "sdc")
    disk = named(tree, "sdc")
    assert disk.ids[:2] == ("usb-SanDisk_Ultra_4C530001-0:0", "wwn-0x5000")
    for name in (
        *disk.ids,
        "4C530001",
        f"diskseq-{disk.diskseq}",
        f"/dev/disk/by-id/{disk.ids[0]}",
    ):
        assert find(tree.system.disks(), name, interactive=False).name == "sdc"
    with pytest.raises(GateError, match="partition of"):
        find(
            [named(tree, "sdc")], "/dev/disk/by-id/usb-SanDisk_Ultra_4C530001-0:0-part1",
            interactive=False,
        ) if tree.part("sdc", "sdc1", 1) else None  # fmt: skip


@pytest.mark.parametrize("node", ["sdc", "mmcblk0", "nvme0n1"])
def test_partitions_by_sysfs_and_not_by_name(tree: Tree, node: str) -> None:
    """WoeUSB built names as device + 1, and took a digit at the end for a partition."""
    tree.disk(node, {"sdc": USB, "mmcblk0": CARD, "nvme0n1": NVME}[node], **{"device/serial": "S1"})
    part = node + ("1" if node == "sdc" else "p1")
    tree.part(node, part, 1)
    disk = named(tree, node)
    assert [one.name for one in disk.partitions] == [part]
    assert find([disk], f"/dev/{node}", interactive=True) is disk
    with pytest.raises(GateError, match="is a partition"):
        find([disk], f"/dev/{part}", interactive=True)


def lvm(tree: Tree) -> None:
    tree.stacked("dm-0", "sdc1", **{"dm/name": "vg-data", "dm/uuid": "LVM-abc"})
    tree.mapped("dm-0", "vg-data")
    tree.mount("253:99", "/data", "/dev/mapper/vg-data")


def crypt_in_raid(tree: Tree) -> None:
    tree.stacked("md0", "sdc1", **{"md/level": "raid1"})
    number = tree.stacked("dm-0", "md0", **{"dm/name": "luks", "dm/uuid": "CRYPT-LUKS2-x"})
    tree.mount(number, "/secret", "/dev/mapper/luks")


def raid(tree: Tree) -> None:
    tree.stacked("md0", "sdc1", **{"md/level": "raid1"})


def btrfs(tree: Tree) -> None:
    """Its mounts have numbers that no block device has, and name one of the members."""
    folder = tree.folder / "sys/fs/btrfs/uuid/devices"
    folder.mkdir(parents=True)
    (folder / "sdc1").write_text("")
    tree.disk("sdd", USB)
    (folder / "sdd").write_text("")
    tree.mount("0:44", "/pool", "/dev/sdd")


def loop_on_it(tree: Tree) -> None:
    number = (tree.folder / "sys/class/block/sdc1/dev").read_text().strip()
    tree.mount("259:1", "/", "/dev/sda")
    tree.mount(number, "/media/stick", "/dev/sdc1")
    tree.disk("loop0", "virtual/block", **{"loop/backing_file": "/media/stick/disk.img"})
    tree.mount("7:0", "/inner", "/dev/loop0")


def loop_of_it(tree: Tree) -> None:
    tree.disk("loop0", "virtual/block", **{"loop/backing_file": "/dev/sdc1"})


def zram_of_it(tree: Tree) -> None:
    tree.disk("zram0", "virtual/block", backing_dev="/dev/sdc1")


def swap(tree: Tree) -> None:
    tree.write("proc/swaps", "Filename\tType\n/dev/sdc1 partition 1 0 -2\n")


def swap_in_lvm(tree: Tree) -> None:
    tree.stacked("dm-0", "sdc1", **{"dm/name": "vg-swap", "dm/uuid": "LVM-abc"})
    tree.mapped("dm-0", "vg-swap")
    tree.write("proc/swaps", "Filename\tType\n/dev/mapper/vg-swap partition 1 0 -2\n")


def root(tree: Tree) -> None:
    tree.mount((tree.folder / "sys/class/block/sdc1/dev").read_text().strip(), "/", "/dev/root")


def efi(tree: Tree) -> None:
    tree.mount("8:999", "/boot/efi", "/dev/sdc1")


def root_in_crypt_in_lvm(tree: Tree) -> None:
    tree.stacked("dm-0", "sdc1", **{"dm/name": "luks", "dm/uuid": "CRYPT-LUKS2-x"})
    number = tree.stacked("dm-1", "dm-0", **{"dm/name": "vg-root", "dm/uuid": "LVM-abc"})
    tree.mount(number, "/", "/dev/mapper/vg-root")


CHAINS = [
    (lvm, "usb.held", "sdc1 → dm-0 is mounted at /data"),
    (crypt_in_raid, "usb.held", "sdc1 → md0 → dm-0 is mounted at /secret"),
    (raid, "usb.held", "sdc1 is held by RAID array md0"),
    (btrfs, "usb.mounted", "sdc1 is mounted at /pool"),
    (loop_on_it, "usb.held", "sdc1 → loop0 is mounted at /inner"),
    (loop_of_it, "usb.held", "sdc1 → loop0 serves a file on it, /dev/sdc1"),
    (zram_of_it, "usb.held", "zram0"),
    (swap, "usb.system-disk", "sdc1 is swap space in use"),
    (swap_in_lvm, "usb.system-disk", "sdc1 → dm-0 is swap space in use"),
    (root, "usb.system-disk", "sdc1 is mounted at /"),
    (efi, "usb.system-disk", "sdc1 is mounted at /boot/efi"),
    (root_in_crypt_in_lvm, "usb.system-disk", "sdc1 → dm-0 → dm-1 is mounted at /"),
]


@pytest.mark.parametrize(
    ("arrange", "rule", "says"), CHAINS, ids=lambda v: getattr(v, "__name__", "")
)
def test_what_stands_on_it(
    tree: Tree, arrange: Callable[[Tree], None], rule: str, says: str
) -> None:
    tree.usb("sdc")
    tree.part("sdc", "sdc1", 1)
    assert rules(tree, "sdc") == []
    arrange(tree)
    found = refusals(
        named(tree, "sdc"), Request(unmount=rule != "usb.mounted"), tree.system.kernel()
    )
    assert found[0].rule == rule
    assert says in found[0].message
    if rule != "usb.mounted":
        assert not any(refusal.consent for refusal in found), "nothing opens this gate"


def test_another_disk_is_not_blamed(tree: Tree) -> None:
    tree.usb("sdc")
    tree.part("sdc", "sdc1", 1)
    tree.disk("sda", SATA, **{"device/model": "Disk", "device/serial": "A"})
    number = tree.part("sda", "sda1", 1)
    tree.stacked("dm-0", "sda1", **{"dm/name": "x"})
    tree.mount(number, "/", "/dev/sda1")
    assert rules(tree, "sdc") == []
    assert rules(tree, "sda") == ["usb.transport", "usb.system-disk"]
    assert rules(tree, "sda", Request(fixed=True)) == ["usb.system-disk"]
    assert rules(tree, "dm-0") == ["usb.virtual"]


def test_the_source_on_the_stick(tree: Tree, tmp_path: Path) -> None:
    tree.usb("sdc")
    number = tree.part("sdc", "sdc1", 1)
    tree.mount("259:1", "/", "/dev/sda1")
    tree.mount(number, str(tmp_path / "stick"), "/dev/sdc1")
    inside, outside = tmp_path / "stick/a.img", tmp_path / "a.img"
    (tmp_path / "link.img").symlink_to(inside)
    for source, refused in ((inside, True), (outside, False), (tmp_path / "link.img", True)):
        found = rules(tree, "sdc", Request(unmount=True, sources=(source,)))
        assert found == (["usb.source-on-target"] if refused else [])
    for device in ("/dev/sdc", "/dev/sdc1"):
        request = Request(unmount=True, sources=(Path(device),))
        assert rules(tree, "sdc", request) == ["usb.source-on-target"]


def test_kinds_of_disks(tree: Tree) -> None:
    tree.disk("mmcblk0", CARD, **{"device/name": "SD64G", "device/serial": "0x1234"})
    tree.disk("nvme0n1", NVME, **{"device/model": "SSD", "device/serial": "N"})
    tree.disk("loop0", "virtual/block", **{"loop/backing_file": "/a.img"})
    tree.disk("zram0", "virtual/block")
    tree.disk("nbd0", "virtual/block")
    tree.disk("sdr", USB, size=0)
    found = {disk.name: disk.transport for disk in tree.system.disks()}
    assert found == {
        "mmcblk0": Transport.MMC,
        "nvme0n1": Transport.NVME,
        "loop0": Transport.LOOP,
        "zram0": Transport.VIRTUAL,
        "nbd0": Transport.VIRTUAL,
        "sdr": Transport.USB,
    }
    assert named(tree, "mmcblk0").ids == ("mmc-SD64G_0x1234",)
    assert rules(tree, "mmcblk0") == []
    assert rules(tree, "nvme0n1") == ["usb.transport"]
    assert rules(tree, "loop0") == ["usb.loop"]
    assert rules(tree, "zram0") == rules(tree, "nbd0") == ["usb.virtual"]
    assert rules(tree, "sdr") == ["usb.no-medium"]
    assert rules(tree, "loop0", Request(fixed=True, unmount=True)) == ["usb.loop"]


def test_a_disk_without_a_serial_is_named_by_its_sequence(tree: Tree) -> None:
    tree.usb("sdc", serial="")
    disk = named(tree, "sdc")
    assert disk.ids == ()
    assert disk.proof == disk.stable_id == f"diskseq-{disk.diskseq}"
    assert find([disk], disk.stable_id, interactive=False) is disk


def test_hostile_and_missing_files(tree: Tree) -> None:
    """Attributes that are not there, are no numbers, or have control characters."""
    tree.usb("sdc", size=0, **{"device/model": "\x1b[2J", "diskseq": "x"})  # type: ignore[arg-type]
    tree.write("proc/self/mountinfo", "nonsense\n1 2 3\n - \n")
    tree.write("proc/swaps", "")
    (tree.folder / "sys/class/block/ghost").symlink_to("/nowhere")
    disk = named(tree, "sdc")
    assert (disk.size, disk.diskseq) == (0, None)
    assert "ghost" not in [one.name for one in tree.system.disks()]
