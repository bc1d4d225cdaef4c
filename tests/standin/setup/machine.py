"""The Linux side: modules, drives, disks, firmware, commands. Runs only inside the guest."""

from __future__ import annotations

import os
import select
import struct
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.standin.setup.layout import Disk, Partition
from tests.standin.setup.outcome import SetupStopped
from tests.standin.setup.partition_table import read_table
from tests.standin.setup.search import Drive

LOG = Path("/tmp/setup.log")
SYS_BLOCK = Path("/sys/block")
USB_DEVICES = Path("/sys/bus/usb/devices")
EFI_VARIABLES = Path("/sys/firmware/efi/efivars")
EFI_GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
KEY_POWER = 116

DRIVER_MODULES = {
    "viostor.inf": "virtio_blk",
    "vioscsi.inf": "virtio_scsi",
    "netkvm.inf": "virtio_net",
    "vioser.inf": "virtio_console",
}
"""INF of the virtio-win disc -> the Linux module that plays it."""


def log(text: str) -> None:
    """Append to the log whose tail is printed on failure."""
    with LOG.open("a") as stream:
        stream.write(text.rstrip("\n") + "\n")


def run(argv: Sequence[str], *, allow_failure: bool = False, data: bytes | None = None) -> bytes:
    """Run a program; its output goes to the log and, without stderr, back to the caller."""
    done = subprocess.run(list(argv), capture_output=True, input=data, check=False)
    log(f"$ {' '.join(argv)} -> {done.returncode}")
    for output in (done.stdout[:4000], done.stderr):
        if output.strip() and argv[0] not in {"ntfscat"}:
            log(output.decode(errors="replace"))
    if done.returncode != 0 and not allow_failure:
        raise SetupStopped(f"{argv[0]} failed with {done.returncode}")
    return done.stdout


def kernel_switches() -> dict[str, str]:
    """The `standin.NAME=VALUE` words of the kernel command line; `_` in a value reads as blank."""
    words = Path("/proc/cmdline").read_text().split()
    pairs = (word.removeprefix("standin.").partition("=") for word in words if "standin." in word)
    return {name: value for name, _, value in pairs}


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll; false if it never became true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def wait_for_usb_storage() -> None:
    """Wait for USB sticks: unlike SATA's, their drivers return before they have looked around."""
    if not any(USB_DEVICES.glob("usb*")):
        return
    seen, since, start = -1, time.monotonic(), time.monotonic()
    while time.monotonic() - since < 1 and time.monotonic() - start < 20:
        interfaces = [path for path in USB_DEVICES.iterdir() if ":" in path.name]
        sticks = [i for i in interfaces if (i / "bInterfaceClass").read_text().strip() == "08"]
        if len(interfaces) != seen or not all(any(i.glob("host*/*/*/block")) for i in sticks):
            seen, since = len(interfaces), time.monotonic()
        time.sleep(0.05)


def load_modules(group: str) -> None:
    """Load a group of modules (see initramfs._add_modules) in its order."""
    for name in Path(f"/lib/modules/{group}.order").read_text().split():
        run(["insmod", f"/lib/modules/{name}"], allow_failure=True)


def firmware() -> str:
    """`uefi` or `bios`: how this machine was started."""
    return "uefi" if Path("/sys/firmware/efi").is_dir() else "bios"


def secure_boot() -> bool:
    """Whether the firmware checks signatures; needs efivarfs."""
    variable = EFI_VARIABLES / f"SecureBoot-{EFI_GLOBAL}"
    if firmware() != "uefi":
        return False
    if not variable.exists():
        EFI_VARIABLES.mkdir(parents=True, exist_ok=True)
        run(["mount", "-t", "efivarfs", "efivarfs", str(EFI_VARIABLES)], allow_failure=True)
    return variable.exists() and variable.read_bytes()[-1:] == b"\x01"


def memory_mib() -> int:
    """The memory the kernel has."""
    first = Path("/proc/meminfo").read_text().splitlines()[0]
    return int(first.split()[1]) // 1024


def mount_drives() -> tuple[Drive, ...]:
    """Mount every CD-ROM and every partition of USB sticks, with letters from D: on.

    Only what Windows would see: UDF, else Joliet, never Rock Ridge names.
    """
    drives = []
    letters = iter("DEFGHIJKLMNOPQRSTUVW")
    for device in sorted(SYS_BLOCK.iterdir()):
        if device.name.startswith("sr"):
            root = _mount_disc(device.name)
            if root is not None:
                drives.append(Drive(letter=next(letters), root=root, writable=False))
    for device in sorted(SYS_BLOCK.iterdir()):
        if _bus(device) != "usb" or device.name.startswith("sr"):
            continue
        for name in [*_partition_names(device), device.name]:
            root = Path("/mnt", name)
            root.mkdir(parents=True, exist_ok=True)
            argv = ["mount", "-t", "vfat", "-o", "ro", f"/dev/{name}", str(root)]
            if _mounted(argv):
                drives.append(Drive(letter=next(letters), root=root, writable=True))
    return tuple(drives)


def unmount_drives(drives: Sequence[Drive]) -> None:
    """Release the discs: a mounted one locks its tray."""
    for drive in drives:
        run(["umount", str(drive.root)], allow_failure=True)


def disks() -> tuple[Disk, ...]:
    """The disks in the order of their controllers' PCI addresses; CD-ROMs do not count."""
    devices = [
        device
        for device in SYS_BLOCK.iterdir()
        if device.name.startswith(("sd", "vd", "nvme")) and _size_mib(device) > 0
    ]
    ordered = sorted(devices, key=lambda device: str(device.resolve()))
    return tuple(_disk(number, device) for number, device in enumerate(ordered))


def _disk(number: int, device: Path) -> Disk:
    with Path("/dev", device.name).open("rb") as stream:
        table, partitions = read_table(stream)
    return Disk(
        disk_id=number,
        device=device.name,
        bus=_bus(device),
        size_mib=_size_mib(device),
        table=table,
        existing=tuple(
            Partition(
                number=found.number,
                kind=found.kind,
                start_mib=found.start_mib,
                size_mib=found.size_mib,
                type_id=found.type_id,
                file_system=found.file_system,
                label=found.label,
                active=found.active,
            )
            for found in partitions
        ),
    )


def partition_device(disk: str, number: int) -> str:
    """/dev/vda1, /dev/nvme0n1p1."""
    separator = "p" if disk[-1].isdigit() else ""
    return f"/dev/{disk}{separator}{number}"


def sync(descriptor: int) -> None:
    """Waits until what was written is on the disk."""
    os.fsync(descriptor)


def power_off() -> None:
    """Turn the machine off after the last serial line has left the UART."""
    _last_words("poweroff")


def reboot() -> None:
    """Restart the machine."""
    _last_words("reboot")


def wait_for_power_button() -> None:
    """Block until the ACPI power button is pressed, which a hypervisor's shutdown does."""
    event = struct.Struct("llHHi")
    streams = [os.open(path, os.O_RDONLY) for path in sorted(Path("/dev/input").glob("event*"))]
    while True:
        readable = select.select(streams, [], [], 3600)[0] if streams else []
        if not streams:
            time.sleep(3600)
        for stream in readable:
            for _, _, _, code, value in event.iter_unpack(os.read(stream, event.size)):
                if code == KEY_POWER and value == 1:
                    return


def _last_words(verb: str) -> None:
    os.sync()
    time.sleep(0.3)
    subprocess.run([verb, "-f"], check=False)
    time.sleep(30)


def _mount_disc(name: str) -> Path | None:
    root = Path("/mnt", name)
    root.mkdir(parents=True, exist_ok=True)
    for options in (["-t", "udf", "-o", "ro"], ["-t", "iso9660", "-o", "ro,norock,map=off"]) * 2:
        # Twice: the first mount after a media change fails once (docs/facts/libvirt.md, trap 9).
        if _mounted(["mount", *options, f"/dev/{name}", str(root)]):
            return root
    return None


def _mounted(argv: Sequence[str]) -> bool:
    return subprocess.run(list(argv), capture_output=True, check=False).returncode == 0


def _bus(device: Path) -> str:
    path = str(device.resolve())
    for mark, bus in (("/usb", "usb"), ("/nvme", "nvme"), ("/ata", "sata")):
        if mark in path:
            return bus
    return "virtio" if device.name.startswith("vd") else "scsi"


def _size_mib(device: Path) -> int:
    return int((device / "size").read_text()) // 2048


def _partition_names(device: Path) -> list[str]:
    return sorted(path.name for path in device.iterdir() if (path / "partition").exists())
