"""Traps of one Windows or another: what the profile asks, and this version does not do.

Sources: docs/facts/windows-setup.md §13 and the sections named there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from provisioner.answers.old import POWERSHELL_5_1, too_new
from provisioner.answers.windows import WINDOWS_8
from provisioner.errors import Problem, Severity
from provisioner.media.facts import Edition
from provisioner.plan.rules.given import Places
from provisioner.profile.model import Profile
from provisioner.profile.settings import Settings
from provisioner.profile.steps import CommandStep, PowerShellStep, Step

SUPPORT_PROVIDER = 16299
"""OEMInformation/SupportProvider came with Windows 10 1709; older ones stop at it."""
HOME = ("core", "coren", "coresinglelanguage", "corecountryspecific", "starter", "homebasic",
        "homepremium")  # fmt: skip
"""Editions that join no domain."""
_POWERSHELL = {7600: "2.0", 7601: "2.0", 9200: "3.0", 9600: "4.0"}


def check_version(profile: Profile, edition: Edition, places: Places) -> Iterator[Problem]:
    """Everything that depends on the build or the edition alone."""
    yield from _old_machine(profile, edition, places)
    if profile.windows.answer_file is None:
        yield from _old_settings(profile, edition, places)
        yield from _home(profile, edition, places)


def _old_machine(profile: Profile, edition: Edition, places: Places) -> Iterator[Problem]:
    """Windows 7 and Server 2008 R2: no Secure Boot, no driver for a TPM 2.0 or NVMe (§8.3, §13)."""
    if edition.version[2] >= WINDOWS_8:
        return
    room = "machine" if profile.metal is None else "metal"
    name = edition.display_name or edition.name
    if profile.firmware == "secure-boot":
        yield Problem(
            rule="machine.old-windows",
            message=f"{name} does not start with Secure Boot",
            place=places(f"{room}.firmware"),
            hint="set `firmware: bios`",
        )
    elif profile.firmware == "uefi":
        yield Problem(
            rule="machine.old-windows",
            severity=Severity.WARNING,
            message=f"{name} needs the BIOS services of a firmware's compatibility module, which "
            "virtual machines' UEFI has not got; it may stop while it starts",
            place=places(f"{room}.firmware"),
            hint="set `firmware: bios`",
        )
    if profile.metal is None and profile.machine.tpm:
        yield Problem(
            rule="machine.old-windows",
            severity=Severity.WARNING,
            message=f"{name} has no driver for a TPM 2.0",
            place=places("machine.tpm"),
            hint="set `tpm: false`",
        )
    for index, disk in enumerate(profile.machine.disks if profile.metal is None else ()):
        if disk.bus == "nvme":
            yield Problem(
                rule="machine.old-windows",
                message=f"{name} has no driver for an NVMe disk",
                place=places(f"machine.disks[{index}].bus"),
                hint="set `bus: sata`",
            )


def _old_settings(profile: Profile, edition: Edition, places: Places) -> Iterator[Problem]:
    build, windows = edition.version[2], profile.windows
    name = edition.display_name or edition.name
    if windows.oem.support_provider is not None and build < SUPPORT_PROVIDER:
        yield Problem(
            rule="windows.old-setting",
            message=f"{name} does not know SupportProvider, and stops there",
            place=places("windows.oem.support_provider"),
            hint="remove the key; Windows 10 1709 was the first to know it",
        )
    if windows.install_by == "apply" and build < WINDOWS_8:
        yield Problem(
            rule="windows.old-setting",
            message=f"DISM on the disc of {name} cannot apply an image",
            place=places("windows.install_by"),
            hint="leave install_by out",
        )
    if build >= POWERSHELL_5_1:
        return
    if windows.remote.winrm is not None:
        yield Problem(
            rule="windows.old-setting",
            message=f"{name} has not got the PowerShell that sets WinRM up over HTTPS",
            place=places("windows.remote.winrm"),
            hint="remove the key; use Remote Desktop, or set it up in a step of your own",
        )
    if windows.remote.ssh is not None:
        yield Problem(
            rule="windows.old-setting",
            message=f"{name} has not got the PowerShell that sets OpenSSH up",
            place=places("windows.remote.ssh"),
            hint="remove the key; use Remote Desktop, or set it up in a step of your own",
        )
    if windows.settings != Settings():
        yield Problem(
            rule="windows.old-setting",
            message=f"{name} has not got the PowerShell that makes these settings",
            place=places("windows.settings"),
            hint="remove the key; make them in steps of your own",
        )
    for index, step in enumerate(windows.steps):
        if not _is_plain(step):
            yield replace(too_new(edition, step.name), place=places(f"windows.steps[{index}]"))
        elif isinstance(step, PowerShellStep):
            yield Problem(
                rule="windows.old-powershell",
                severity=Severity.NOTE,
                message=f"step {step.name!r} runs in PowerShell {_POWERSHELL.get(build, '5.0')}",
                place=places(f"windows.steps[{index}]"),
                hint="what came later (ConvertTo-Json, Get-LocalUser, -in) is not there",
            )


def _is_plain(step: Step) -> bool:
    """Whether the script for older Windows can run it."""
    if not isinstance(step, PowerShellStep | CommandStep):
        return False
    wishes = (step.retries, step.only_if, step.outputs, step.run_as == "system")
    return not any(wishes)


def _home(profile: Profile, edition: Edition, places: Places) -> Iterator[Problem]:
    join = profile.windows.join
    if join.domain is None and join.blob is None:
        return
    if edition.edition_id.casefold() in HOME:
        yield Problem(
            rule="windows.join-edition",
            message=f"{edition.display_name or edition.name} joins no domain",
            place=places("windows.join"),
            hint="install Pro, Enterprise or Education",
        )
