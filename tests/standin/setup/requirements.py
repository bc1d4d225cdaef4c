"""What Setup and OOBE demand beyond the answer file: hardware (facts §3.10), passwords (§5.2)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tests.standin.setup.outcome import SetupStopped, page_shown

WINDOWS_11 = 22000
MEMORY_MIB = 4096
_KERNEL_MIB = 256
"""What a kernel keeps to itself of the memory that a machine has."""
_KINDS = (r"[a-z]", r"[A-Z]", r"[0-9]", r"[^A-Za-z0-9]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """What Windows 11 looks at, as far as a value of LabConfig can switch it off."""

    tpm: bool
    secure_boot: bool
    memory_mib: int


def missing_hardware(
    hardware: Hardware, *, build: int, server: bool, bypasses: Sequence[str]
) -> tuple[str, ...]:
    """What "This PC can't run Windows 11" would be shown for; `bypasses` are `windows_pe`'s."""
    if server or build < WINDOWS_11:
        return ()
    checks = (
        ("BypassTPMCheck", hardware.tpm, "no TPM 2.0"),
        ("BypassSecureBootCheck", hardware.secure_boot, "no Secure Boot"),
        ("BypassRAMCheck", hardware.memory_mib >= MEMORY_MIB - _KERNEL_MIB, "less than 4 GiB"),
    )
    return tuple(what for name, met, what in checks if not met and name not in bypasses)


def require_hardware(missing: Sequence[str]) -> None:
    """Stops as Setup does."""
    if missing:
        raise SetupStopped(f"This PC can't run Windows 11: {', '.join(missing)}")


def require_password(password: str, *, name: str) -> None:
    """Servers ask for another password where this one is too simple."""
    kinds = sum(re.search(pattern, password) is not None for pattern in _KINDS)
    if kinds < 3 or len(password) < 6 or (len(name) > 2 and name.lower() in password.lower()):
        raise page_shown("OOBE password", f"the password of {name} is too simple")
