"""Runs one machine with plain qemu-system, for the stand-in's own boot tests.

It stops early: at a failure on the serial line, a boot loader's prompt or silence, never only at
the end of a long limit (docs/facts/standin.md, "a test harness must fail fast").
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.standin.discs import boot_entries
from tests.standin.setup.serial_report import parse_report, read_events

OVMF = Path("/usr/share/OVMF")
FIRMWARE = {
    "uefi": ("OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"),
    "secure-boot": ("OVMF_CODE_4M.ms.fd", "OVMF_VARS_4M.ms.fd"),
}
DEAD_ENDS = (
    r"grub> ?$|grub rescue>",
    r"FAILED stand-in.*\n",
    r"Kernel panic",
    r"UEFI Interactive Shell",
    r"No bootable device",
    r"Security Violation",
    r"BdsDxe: starting Boot\d+ \"UiApp\"",
)
SILENCE_SECONDS = 90.0
_ESCAPES = re.compile(r"\x1b\[[0-9;?=]*[A-Za-z]")


class MachineError(AssertionError):
    """The machine did not get where the test wanted it; the message ends with its serial log."""


@dataclass(slots=True, kw_only=True)
class Machine:
    """A running machine."""

    folder: Path
    process: subprocess.Popen[bytes]
    _position: int = field(default=0)

    @property
    def serial(self) -> str:
        """Everything on the first serial port so far, without terminal escapes."""
        text = (self.folder / "serial.log").read_bytes().decode("utf-8", "replace")
        return _ESCAPES.sub("", text).replace("\r", "")

    def wait_for(self, pattern: str, *, seconds: float = 240) -> str:
        """Wait for a pattern in the text after the last match; raises `MachineError` early."""
        deadline = time.monotonic() + seconds
        quiet_since, length = time.monotonic(), -1
        while True:
            text = self.serial
            found = re.compile(pattern, re.MULTILINE).search(text, self._position)
            if found is not None:
                self._position = found.end()
                return found[0]
            now = time.monotonic()
            if len(text) != length:
                quiet_since, length = now, len(text)
            rest = text[self._position :]
            dead = next((end for end in DEAD_ENDS if re.search(end, rest, re.MULTILINE)), None)
            if dead is not None:
                raise self._error(f"{dead!r} instead of {pattern!r}")
            if self.process.poll() is not None:
                raise self._error(f"the machine is off, waiting for {pattern!r}")
            if now > deadline or now - quiet_since > SILENCE_SECONDS:
                raise self._error(f"nothing more on the way to {pattern!r}")
            time.sleep(0.1)

    def wait_until_off(self, *, seconds: float = 60) -> None:
        """Wait for the process to end by itself."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise self._error("the machine does not turn off") from error

    def events(self) -> list[dict[str, Any]]:
        """The protocol's events so far."""
        return [payload for _, payload in read_events(self.serial)]

    def report(self) -> dict[str, Any]:
        """The stand-in's report."""
        report = parse_report(self.serial)
        if report is None:
            raise self._error("there is no whole report")
        return report

    def monitor(self, command: str) -> None:
        """Say something to QEMU's monitor, such as `sendkey ret` or `system_powerdown`."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.folder / "monitor"))
            connection.settimeout(5)
            self._until_prompt(connection)
            connection.sendall(command.encode() + b"\n")
            self._until_prompt(connection)

    def agent(self, command: str, **arguments: Any) -> Any:
        """Call the guest agent and return what it returned."""
        request = {"execute": command, "arguments": arguments}
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.folder / "agent"))
            connection.settimeout(20)
            connection.sendall(json.dumps(request).encode() + b"\n")
            answer = json.loads(connection.makefile("rb").readline())
        if "return" not in answer:
            raise self._error(f"the agent answered {answer}")
        return answer["return"]

    def shut_down_by_agent(self) -> None:
        """Ask the agent to turn the machine off; it answers only when it cannot."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.folder / "agent"))
            connection.sendall(b'{"execute": "guest-shutdown"}\n')

    def screenshot(self, target: Path) -> None:
        """Write what the display shows as PPM."""
        self.monitor(f"screendump {target}")

    @staticmethod
    def _until_prompt(connection: socket.socket) -> None:
        received = b""
        while not received.rstrip().endswith(b"(qemu)"):
            received += connection.recv(4096)

    def _error(self, message: str) -> MachineError:
        return MachineError(f"{message}\n--- serial log ---\n{self.serial[-4000:]}")


@contextmanager
def machine(
    *,
    discs: Sequence[Path],
    firmware: str = "uefi",
    disk_bus: str = "virtio",
    disk: Path | None = None,
    stick: Path | None = None,
    direct: Sequence[str] = (),
) -> Iterator[Machine]:
    """Start a machine with a 64 GB disk, empty or as the raw image `disk`, which is not written to;
    the first disc is the one to start from.

    `firmware` is uefi, secure-boot or bios, `stick` an image of a USB stick, `direct` is
    (kernel, ramdisk, command line) for a direct-kernel guest. It is killed at the end.
    """
    with ExitStack() as stack:
        # Short: a UNIX socket's path has room for 107 bytes (docs/facts/libvirt.md, trap 10).
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="standin-")))
        (folder / "serial.log").touch()
        base = ["-b", str(disk), "-F", "raw"] if disk is not None else []
        create = ["qemu-img", "create", "-q", "-f", "qcow2", *base, f"{folder}/disk.qcow2", "64G"]
        subprocess.run(create, check=True)
        argv = _arguments(folder, firmware=firmware, disk_bus=disk_bus, discs=discs)
        if stick is not None:
            argv += ["-device", "qemu-xhci", "-drive", f"if=none,id=stick,format=raw,file={stick}"]
            # Without discs it is what the machine starts from, behind the disk as they would be.
            boot = "" if discs else ",bootindex=2"
            argv += ["-device", f"usb-storage,drive=stick,removable=on{boot}"]
        if direct:
            kernel, ramdisk, line = direct
            argv += ["-kernel", kernel, "-initrd", ramdisk, "-append", line]
        process = subprocess.Popen(argv)
        stack.callback(process.wait)
        stack.callback(process.kill)
        running = Machine(folder=folder, process=process)
        _wait_for_socket(running, folder / "monitor")
        yield running


def without_prompt(install_disc: Path, folder: Path) -> Path:
    """An overlay over the disc whose UEFI boot entry is efisys_noprompt.bin (iso-usb.md §3).

    The image is found by its content, since all readers of UDF are suspects here.
    """
    image = subprocess.run(
        ["7z", "e", "-so", str(install_disc), "efi/microsoft/boot/efisys_noprompt.bin"],
        capture_output=True,
        check=True,
    ).stdout
    data = install_disc.read_bytes()
    place = data.find(image)
    if place < 0 or place % 2048:
        message = f"efisys_noprompt.bin is not found in one piece in {install_disc}"
        raise MachineError(message)
    catalog = int.from_bytes(data[17 * 2048 + 71 : 17 * 2048 + 75], "little") * 2048
    entry = catalog + 96  # validation, BIOS entry, section header, UEFI entry
    assert len(boot_entries(install_disc)) == 2
    overlay, patch = folder / "noprompt.qcow2", folder / "patch.bin"
    patch.write_bytes((place // 2048).to_bytes(4, "little"))
    base = str(install_disc.resolve())
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, str(overlay)],
        check=True,
    )
    subprocess.run(
        ["qemu-io", "-f", "qcow2", "-c", f"write -q -s {patch} {entry + 8} 4", str(overlay)],
        check=True,
        capture_output=True,
    )
    return overlay


def _arguments(folder: Path, *, firmware: str, disk_bus: str, discs: Sequence[Path]) -> list[str]:
    disk = folder / "disk.qcow2"
    secure = firmware == "secure-boot"
    argv = ["qemu-system-x86_64", "-machine", "q35,smm=on" if secure else "q35"]
    argv += ["-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max", "-smp", "2", "-m", "1024"]
    argv += ["-display", "none", "-vga", "std", "-serial", f"file:{folder}/serial.log"]
    argv += ["-monitor", f"unix:{folder}/monitor,server=on,wait=off"]
    if firmware in FIRMWARE:
        code, variables = FIRMWARE[firmware]
        shutil.copy(OVMF / variables, folder / "variables.fd")
        argv += ["-drive", f"if=pflash,format=raw,readonly=on,file={OVMF / code}"]
        argv += ["-drive", f"if=pflash,format=raw,file={folder}/variables.fd"]
    if secure:
        argv += ["-global", "driver=cfi.pflash01,property=secure,value=on"]
    controller = {"virtio": "virtio-blk-pci", "sata": "ide-hd,bus=ide.5"}[disk_bus]
    argv += ["-drive", f"if=none,id=disk,format=qcow2,cache=unsafe,file={disk}"]
    argv += ["-device", f"{controller},drive=disk,bootindex=1"]
    for number, disc in enumerate(discs):
        form = "qcow2" if disc.suffix == ".qcow2" else "raw"
        argv += [
            "-drive",
            f"if=none,id=cd{number},media=cdrom,readonly=on,format={form},file={disc}",
        ]
        boot = ",bootindex=2" if number == 0 else ""
        argv += ["-device", f"ide-cd,bus=ide.{number},drive=cd{number}{boot}"]
    argv += ["-netdev", "user,id=net,restrict=on", "-device", "virtio-net-pci,netdev=net"]
    argv += ["-device", "virtio-serial-pci"]
    argv += ["-chardev", f"socket,id=agent,server=on,wait=off,path={folder}/agent"]
    argv += ["-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"]
    return argv


def _wait_for_socket(running: Machine, path: Path) -> None:
    deadline = time.monotonic() + 10
    while not path.exists():
        if running.process.poll() is not None or time.monotonic() > deadline:
            message = f"qemu did not start: {running.process.args!r}"
            raise MachineError(message)
        time.sleep(0.05)
