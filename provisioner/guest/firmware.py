"""Understands what UEFI firmware writes to the serial port.

OVMF mirrors its console there (docs/facts/libvirt.md §4, tried on OVMF 2022.11), so its boot
manager's lines tell which entry started and why one did not.
"""

from __future__ import annotations

import re
from enum import StrEnum

from provisioner.frozen import frozen

_STARTING = re.compile(r"BdsDxe: starting (Boot[0-9A-F]{4})(?: \"([^\"]*)\")?")


class Verdict(StrEnum):
    """Why the firmware will not go on by itself."""

    SECURITY_VIOLATION = "security-violation"
    NOTHING_BOOTABLE = "nothing-bootable"
    BOOT_LOADER_PROMPT = "boot-loader-prompt"


@frozen
class BootAttempt:
    """The firmware hands over to a boot entry; `description` as the firmware names it."""

    entry: str
    description: str
    optical: bool


def boot_attempt(line: str) -> BootAttempt | None:
    """The hand-over this line reports, if it reports one."""
    if found := _STARTING.search(line):
        description = found[2] or ""
        optical = any(word in description for word in ("DVD", "CD-ROM", "CDROM"))
        return BootAttempt(entry=found[1], description=description, optical=optical)
    return None


def verdict(line: str) -> Verdict | None:
    """What this line says about a start that cannot succeed any more.

    `Security Violation` is the firmware's word for a loader whose signature the enrolled keys do
    not accept; the EFI shell and the boot manager menu mean that nothing bootable was left.
    """
    if "Security Violation" in line or ("Access Denied" in line and "BdsDxe" in line):
        return Verdict.SECURITY_VIOLATION
    if "UEFI Interactive Shell" in line or "BdsDxe: No bootable option or device was found" in line:
        return Verdict.NOTHING_BOOTABLE
    if line.startswith(("grub>", "grub rescue>")):
        return Verdict.BOOT_LOADER_PROMPT
    return None
