"""Whether KVM works here, found out by running something on it. The device file proves nothing.

A 64 KiB ROM switches to protected mode, counts down from five million in a two-instruction loop
and ends QEMU through `isa-debug-exit`. Processors with virtualisation run that loop natively; a
/dev/kvm that only emulates (kvm_pvm in a cloud guest, where OVMF needs 17 s of CPU to boot) takes
1.2 us a turn. Measured on such a host, QEMU 7.2, the whole run:

    KVM, emulated     5 million turns: 6 s of CPU (100 000: 0.2 s, 300 000: 0.4 s)
    TCG               5 million turns: 0.07 s
    KVM, in hardware  5 million turns: not measured; 10 million instructions are 3 ms

What counts is QEMU's CPU time, not the clock on the wall, so a busy host is not taken for an
emulated one.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import tempfile
import time
from pathlib import Path

from provisioner.errors import ProvisionerError
from provisioner.host.files import private_folder, write_file
from provisioner.ports import Accelerator

CPU_LIMIT = 0.8
"""Seconds of CPU after which a loop of a few milliseconds is not run by hardware."""

WALL_LIMIT = 6.0
EXIT_PORT_VALUE = 0x10
EXIT_CODE = EXIT_PORT_VALUE * 2 + 1
"""isa-debug-exit ends QEMU with (value << 1) | 1 (QEMU, hw/misc/debugexit.c)."""

DEVICE = Path("/dev/kvm")
QEMU = "qemu-system-x86_64"


def probe_kvm(cache: Path, *, device: Path = DEVICE, qemu: str = QEMU) -> Accelerator:
    """The answer for this boot, this kernel and this QEMU; the run is repeated only after a change.

    Takes 0.1 s where KVM works, about 1 s where it only pretends to, nothing when remembered.
    """
    if platform.machine() not in ("x86_64", "AMD64"):
        return _no(f"this host is {platform.machine()}, not x86_64")
    if not device.exists():
        return _no(
            f"there is no {device}: virtualisation is off in the firmware, its module is not"
            " loaded, or this is a virtual machine without nesting"
        )
    if not os.access(device, os.R_OK | os.W_OK):
        return _no(f"you may not open {device}; members of the group kvm may")
    remembered = cache / "kvm.json"
    key = _key(qemu)
    try:
        known = json.loads(remembered.read_bytes())
        if known["key"] == key:
            return Accelerator(kvm=bool(known["kvm"]), reason=str(known["reason"]))
    except (OSError, ValueError, KeyError, TypeError):
        pass  # nothing remembered, or nothing that makes sense: look again
    found, certain = _run(qemu)
    if certain:
        members = {"key": key, "kvm": found.kvm, "reason": found.reason}
        try:
            private_folder(cache)
            write_file(remembered, json.dumps(members).encode())
        except ProvisionerError:
            return found  # a cache that cannot be written costs a second next time
    return found


def rom() -> bytes:
    """The guest: a BIOS image that ends at 4 GiB, where the processor starts at ...fff0.

    fa                    cli
    2e 66 0f 01 16 0040   lgdtl cs:[0x40]
    0f 20 c0 0c 01 0f 22 c0   mov eax, cr0; or al, 1; mov cr0, eax
    66 ea ffff0018 0008   ljmpl 8:0xffff0018
    b9 004c4b40           mov ecx, 5000000
    49 75 fd              dec ecx; jnz -1
    66 ba 00f4 b0 10 ee   mov dx, 0xf4; mov al, 0x10; out dx, al
    f4 eb fd              hlt; jmp -1
    """
    code = bytes.fromhex(
        "fa 2e660f01164000 0f20c00c010f22c0 66ea1800ffff0800b9404b4c00 4975fd 66baf400b010ee f4ebfd"
    )
    descriptors = bytes(8) + bytes.fromhex("ffff0000009bcf00")
    register = bytes.fromhex("0f00 3000ffff")
    image = bytearray(0x10000)
    image[: len(code)] = code
    image[0x30:0x40] = descriptors
    image[0x40 : 0x40 + len(register)] = register
    image[0xFFF0:0xFFF3] = bytes.fromhex("e90d00")
    return bytes(image)


def _run(qemu: str) -> tuple[Accelerator, bool]:
    """The answer, and whether it will be the same next time."""
    with tempfile.TemporaryDirectory(prefix="kvm-probe-") as folder:
        image = Path(folder) / "loop.rom"
        image.write_bytes(rom())
        argv = [qemu, "-accel", "kvm", "-machine", "q35", "-m", "16", "-nodefaults"]
        argv += ["-display", "none", "-bios", str(image)]
        argv += ["-device", "isa-debug-exit,iobase=0xf4,iosize=1"]
        complaints = Path(folder) / "complaints"
        try:
            with complaints.open("wb") as stderr:
                process = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=stderr,
                    start_new_session=True,
                )
        except OSError as err:
            return _no(f"cannot run {qemu}: {err.strerror}"), False
        with process:
            try:
                spent = _wait(process)
            finally:
                process.kill()
        if process.returncode == EXIT_CODE:
            return Accelerator(kvm=True), True
        if spent >= CPU_LIMIT:
            return _no(
                "/dev/kvm is there but only emulates: a loop that hardware runs in milliseconds"
                f" took more than {spent:.1f} s of CPU"
            ), True
        lines = complaints.read_text("utf-8", "replace").strip().splitlines()
        if process.returncode < 0:
            return _no(f"a tiny guest on /dev/kvm did not end within {WALL_LIMIT:.0f} s"), False
        return _no(f"QEMU cannot use it: {lines[-1] if lines else 'no reason given'}"), False


def _wait(process: subprocess.Popen[bytes]) -> float:
    """Seconds of CPU it used, until it ended or a limit was passed."""
    deadline = time.monotonic() + WALL_LIMIT
    spent = 0.0
    while process.poll() is None and time.monotonic() < deadline and spent < CPU_LIMIT:
        time.sleep(0.02)
        spent = max(spent, _cpu_seconds(process.pid))
    return spent


def _cpu_seconds(pid: int) -> float:
    """utime + stime of all threads, fields 14 and 15 of /proc/PID/stat (proc(5))."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _key(qemu: str) -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot = "?"
    return f"{boot} {os.uname().release} {os.getuid()} {qemu}"


def _no(reason: str) -> Accelerator:
    return Accelerator(kvm=False, reason=reason)
