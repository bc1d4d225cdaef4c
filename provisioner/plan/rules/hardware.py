"""What a Windows demands of the machine that shall run it."""

from __future__ import annotations

from collections.abc import Iterator

from provisioner.errors import Problem, Severity
from provisioner.plan.rules.given import GIB, Places
from provisioner.profile.model import Profile


def check_hardware(profile: Profile, host_cpus: int | None, places: Places) -> Iterator[Problem]:
    """Windows 11's own demands, met by the machine unless the profile bypasses them.

    Sources: docs/facts/windows-setup.md §3.10; memory and disk as in Microsoft's requirements.
    """
    if profile.metal is not None:
        return  # nobody knows what is in it
    machine = profile.machine
    if profile.windows.product == "windows-11":
        bypassed = profile.windows.hardware_checks == "bypass"
        demands = (
            ("machine.firmware", machine.firmware == "secure-boot", "Secure Boot", "secure-boot"),
            ("machine.tpm", machine.tpm, "a TPM 2.0", "true"),
            ("machine.memory", machine.memory.bytes >= 4 * GIB, "4 GiB of memory", "4 GiB"),
            # The checks for these two cannot be switched off: no such LabConfig value exists.
            ("machine.disks[0].size", machine.disks[0].size.bytes >= 64 * 10**9,
             "a disk of 64 GB", "64 GiB"),
            ("machine.cpus", machine.cpus >= 2, "two processors", "2"),
        )  # fmt: skip
        for number, (key, met, thing, cure) in enumerate(demands):
            can_bypass = number < 3
            if met or (bypassed and can_bypass):
                continue
            other = ", or `windows.hardware_checks: bypass`" if can_bypass else ""
            yield Problem(
                rule="machine.windows-11",
                message=f"Windows 11 asks for {thing}, and this machine has not got it",
                place=places(key),
                hint=f"set `{key.rpartition('.')[2]}: {cure}`{other}",
            )
    if host_cpus is not None and machine.cpus > host_cpus:
        yield Problem(
            rule="machine.cpus",
            severity=Severity.WARNING,
            message=f"{machine.cpus} virtual processors share {host_cpus} real ones",
            place=places("machine.cpus"),
            hint="more processors than the host has make a machine slower",
        )
