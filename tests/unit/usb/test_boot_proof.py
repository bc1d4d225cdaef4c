"""What the boot proof makes of a serial port, and of a host that is not ready."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provisioner.errors import FailedError, HostError
from provisioner.usb.boot_test import _read, boot_test

USB = 'BdsDxe: starting Boot0001 "UEFI QEMU QEMU USB HARDDRIVE 1-0000:00:04.0-1" from PciRoot(0x0)'
FAILED = 'BdsDxe: failed to start Boot0001 "UEFI QEMU QEMU USB HARDDRIVE": Load Error'
SHELL = 'BdsDxe: starting Boot0002 "EFI Internal Shell" from Fv(7CB8BDC9)'


@pytest.mark.parametrize(
    ("lines", "entry", "said", "failure"),
    [
        ([], "", "", ""),
        (["UEFI firmware (version)", "BdsDxe: loading Boot0001"], "", "", ""),
        ([USB], "Boot0001", "", ""),
        ([USB, "", "Welcome to GRUB!", "more"], "Boot0001", "Welcome to GRUB!", ""),
        ([USB, FAILED], "Boot0001", "", FAILED),
        ([SHELL], "", "", SHELL),
        ([USB, SHELL], "Boot0001", "", SHELL),
        (["BdsDxe: No bootable option or device was found."], "", "", "BdsDxe: No"),
        ([FAILED.replace("0001", "0000"), USB], "Boot0001", "", ""),
    ],
)
def test_the_serial_port(lines: list[str], entry: str, said: str, failure: str) -> None:
    seen = _read(lines)
    assert (seen.entry, seen.said) == (entry, said)
    assert seen.failure.startswith(failure) and bool(seen.failure) == bool(failure)


def test_a_host_without_firmware_or_qemu(tmp_path: Path) -> None:
    image = tmp_path / "stick.img"
    image.write_bytes(bytes(1 << 20))
    (tmp_path / "1.json").write_text("{")
    (tmp_path / "2.json").write_text(json.dumps({"mapping": {"device": "flash"}}))
    with pytest.raises(HostError, match="no UEFI firmware"):
        boot_test(image, kvm=False, firmware=tmp_path)
    with pytest.raises(HostError, match="is not installed"):
        boot_test(image, kvm=False, qemu="qemu-of-nobody")


def test_a_qemu_that_ends_tells_why(tmp_path: Path) -> None:
    qemu = tmp_path / "qemu"
    qemu.write_text("#!/bin/sh\necho no such machine >&2\nexit 1\n")
    qemu.chmod(0o755)
    with pytest.raises(FailedError, match="QEMU ended: no such machine"):
        boot_test(tmp_path / "stick.img", kvm=False, qemu=str(qemu))
