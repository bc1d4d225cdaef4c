"""The boot proof: a stick, or an image of one, is started under QEMU as an emulated USB stick.

QEMU reads it through a snapshot, so not a byte of it changes. It is started by UEFI without Secure
Boot, and watched on its serial port until its loader runs and says something, or cannot run.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from provisioner.errors import FailedError, HostError
from provisioner.frozen import frozen
from provisioner.guest.firmware import boot_attempt, verdict

QEMU = "qemu-system-x86_64"
MEMORY_MIB = 2048
STARTS_WITHIN = 180.0
"""Seconds until the firmware has to have started something; emulation of everything is slow."""
SILENT = 20.0
"""A loader that runs for so long without a word and without an error counts as running: Windows'
own draws on the screen and says nothing on a serial port."""
_DESCRIPTORS = Path("/usr/share/qemu/firmware")
_ESCAPES = re.compile(r"\x1b\[[0-9;?=]*[A-Za-z]")
_FAILED = re.compile(r"BdsDxe: failed to (?:start|load) (Boot[0-9A-F]{4})")
_FIRMWARE = re.compile(r"BdsDxe:|$")
_SERIAL, _COMPLAINTS = "serial.log", "qemu.log"


@frozen
class BootProof:
    """How far it came. `said` is the loader's first line, empty where it runs and is silent."""

    entry: str
    said: str
    seconds: float

    def describe(self) -> str:
        """`boots under OVMF in 12 s; its loader says: ...`."""
        words = f"its loader says: {self.said}" if self.said else "its loader runs, silently"
        return f"boots under OVMF in {self.seconds:.0f} s; {words}"


def boot_test(
    stick: Path,
    *,
    kvm: bool,
    qemu: str = QEMU,
    firmware: Path = _DESCRIPTORS,
    within: float = STARTS_WITHIN,
) -> BootProof:
    """Starts the image or device at `stick`; returns when its loader is known to run.

    `kvm` is what `host.probe` found out. HostError where QEMU or firmware is not installed,
    FailedError where it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="provisioner-boot-") as folder:
        (Path(folder) / _SERIAL).touch()
        with _running(
            [qemu, *_argv(stick, Path(folder), firmware, kvm=kvm)], Path(folder)
        ) as process:
            return _watch(process, Path(folder), within)


def _argv(stick: Path, folder: Path, descriptors: Path, *, kvm: bool) -> list[str]:
    code, variables = _firmware(descriptors)
    shutil.copy(variables, folder / "variables.fd")
    # `file=` ends at a comma, which QEMU wants doubled.
    name = str(stick).replace(",", ",,")
    return [
        *("-machine", "q35", "-accel", "kvm" if kvm else "tcg"),
        *("-cpu", "max", "-m", str(MEMORY_MIB)),
        *("-nodefaults", "-display", "none", "-vga", "std", "-nic", "none"),
        *("-serial", f"file:{folder / _SERIAL}"),
        *("-drive", f"if=pflash,format=raw,readonly=on,file={code}"),
        *("-drive", f"if=pflash,format=raw,file={folder}/variables.fd"),
        *("-device", "qemu-xhci"),
        *("-drive", f"if=none,id=stick,format=raw,snapshot=on,file={name}"),
        *("-device", "usb-storage,drive=stick,removable=on,bootindex=0"),
    ]


def _firmware(descriptors: Path) -> tuple[Path, Path]:
    """Code and variables of UEFI without Secure Boot, by QEMU's descriptors (docs/interop)."""
    for path in sorted(descriptors.glob("*.json")):
        try:
            found = json.loads(path.read_bytes())
            mapping, features = found["mapping"], found["features"]
            machines = [
                machine
                for target in found["targets"]
                if target["architecture"] == "x86_64"
                for machine in target["machines"]
            ]
            if (
                mapping["device"] == "flash"
                and "uefi" in found["interface-types"]
                and "enrolled-keys" not in features
                and "requires-smm" not in features
                and any("q35" in machine for machine in machines)
            ):
                return (
                    Path(mapping["executable"]["filename"]),
                    Path(mapping["nvram-template"]["filename"]),
                )
        except (OSError, ValueError, KeyError, TypeError):
            continue  # another program's file; the next may be a good one
    raise HostError("there is no UEFI firmware for QEMU here", hint="apt install ovmf")


@frozen
class _Seen:
    """What the serial port tells so far. `failure` is the line that ends all hope."""

    entry: str = ""
    said: str = ""
    failure: str = ""


def _read(lines: Sequence[str]) -> _Seen:
    """The firmware starts the stick, the stick's loader speaks; or something else happens."""
    entry = ""
    for line in lines:
        failed = _FAILED.search(line)
        attempt = boot_attempt(line)
        if (failed and failed[1] == entry) or verdict(line) is not None:
            return _Seen(entry=entry, failure=line)
        if attempt is not None:
            if entry or "USB" not in attempt.description:
                return _Seen(entry=entry, failure=line)
            entry = attempt.entry
        elif entry and not _FIRMWARE.match(line):
            return _Seen(entry=entry, said=line[:200])
    return _Seen(entry=entry)


def _watch(process: subprocess.Popen[bytes], folder: Path, within: float) -> BootProof:
    began = time.monotonic()
    started = None
    while True:
        ended = process.poll() is not None
        now = time.monotonic()
        seen = _read(_lines(folder / _SERIAL))
        if seen.failure:
            raise FailedError(
                f"the stick does not start under OVMF: {seen.failure}",
                hint="its loader is efi/boot/bootx64.efi; `provisioner inspect` tells about it",
            )
        if seen.entry and started is None:
            started = now
        if seen.said or (started is not None and now - started > SILENT):
            seconds = (started or now) - began
            return BootProof(entry=seen.entry, said=seen.said, seconds=seconds)
        if ended:
            told = (folder / _COMPLAINTS).read_text("utf-8", "replace").strip().splitlines()
            raise FailedError(f"QEMU ended: {told[-1] if told else process.returncode}")
        if started is None and now - began > within:
            raise FailedError(
                f"the firmware started nothing within {within:.0f} s",
                hint="where other machines are busy, try again later",
            )
        time.sleep(0.1)


def _lines(log: Path) -> list[str]:
    """Whole lines without terminal escapes."""
    text = _ESCAPES.sub("", log.read_bytes().decode("utf-8", "replace"))
    return [line.strip() for line in text.replace("\r", "\n").split("\n")[:-1]]


@contextmanager
def _running(argv: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / _COMPLAINTS).open("wb") as complaints:
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=complaints,
                stderr=complaints,
                start_new_session=True,
                # What the guest writes goes to a file of its own there, which nobody else sees.
                env={**os.environ, "TMPDIR": str(folder)},
            )
        except FileNotFoundError as err:
            raise HostError(
                f"the program {argv[0]} is not installed", hint="apt install qemu-system-x86"
            ) from err
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
