"""What the templates of the answer file and the first-logon script are given: plain values.

Everything is decided here; the templates only place it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from provisioner import quoting
from provisioner.answers.drivers import AGENT, DriverFiles
from provisioner.answers.keys import ProductKey
from provisioner.answers.layout import Layout
from provisioner.answers.locale import Languages
from provisioner.answers.logon import Autologon, administrator_enabled
from provisioner.answers.steps import StepFile
from provisioner.media.facts import Edition
from provisioner.profile.model import Profile
from provisioner.profile.rules import computer_name
from provisioner.templating import NamedSecret

COMMAND_LENGTH = 259
"""What our one command keeps to. Its place allows 1024, the shortest place of all 259 (§3.8)."""
LAB_CONFIG = ("BypassTPMCheck", "BypassSecureBootCheck", "BypassRAMCheck")
"""The three values that exist; the others seen in public files have no effect (windows-setup.md
§3.10; unattend-generator commit d079b05)."""

ReadyWhen = Literal["agent", "serial", "power-off"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A local account as `LocalAccount` wants it."""

    name: str
    groups: str
    display_name: str | None
    description: str | None
    password: NamedSecret


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskNumbers:
    """As Windows PE counts: the disk Windows goes on, and the stick with its volume label."""

    target: int
    stick: int
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stick:
    """What an answer file on a stick says that one on a disc does not.

    `numbers` lay out and erase a disk, with a tripwire: Setup is to relabel the stick with its own
    label first, which fails where disks are counted otherwise (windows-setup.md §3.2). `command`
    runs in Windows PE before disks are looked at. Without `windows_pe` only later passes are there.
    """

    numbers: DiskNumbers | None = None
    command: str | None = None
    windows_pe: bool = True


def is_server(edition: Edition) -> bool:
    """Whether the image is a Windows Server, with a desktop or without."""
    return edition.installation_type.casefold().startswith("server")


def ready_when(profile: Profile, *, agent: bool) -> ReadyWhen:
    """The profile's sign of being ready, or the default: the agent comes from a driver disc."""
    when = profile.machine.ready.when
    if when is None:
        return "agent" if agent else "serial"
    return when


def first_logon_command(marker: str) -> str:
    """The one command: looks for our disc by its marker file on every drive and runs its script.

    Drive letters differ between Windows PE, the installed Windows, and boots (§5.4, §8.4).
    No `%`, because Setup expands environment variables in command lines.
    """
    search = (
        "foreach($d in [IO.DriveInfo]::GetDrives().Name)"
        f"{{if(Test-Path($d+{quoting.powershell(marker)}))"
        "{&($d+'provision\\first-logon.ps1');break}}"
    )
    arguments = ["powershell.exe", "-NoProfile", "-ExecutionPolicy", "Bypass", "-Command", search]
    command = quoting.windows_command_line(arguments)
    if len(command) > COMMAND_LENGTH:
        raise ValueError(f"the first-logon command has {len(command)} characters")
    return command


def answer_context(
    profile: Profile,
    edition: Edition,
    *,
    languages: Languages,
    layout: Layout | None,
    key: ProductKey,
    autologon: Autologon,
    marker: str,
    stick: Stick | None = None,
) -> Mapping[str, Any]:
    """The variables of `windows/autounattend.xml.j2` and its passes."""
    windows, machine = profile.windows, profile.machine
    server = is_server(edition)
    administrator = windows.administrator.password
    encrypt = windows.device_encryption
    bypass = windows.hardware_checks == "bypass" and windows.product == "windows-11"
    own = isinstance(key.setup_key, NamedSecret)
    numbers = stick.numbers if stick is not None else None
    return {
        "architecture": edition.architecture,
        "setup_language": languages.setup,
        "language": languages.language,
        "user_locale": languages.user_locale,
        "system_locale": languages.system_locale,
        "keyboards": languages.keyboards,
        "time_zone": windows.locale.timezone.windows_id,
        "windows_pe": stick is None or stick.windows_pe,
        "layout": layout,
        "disk_id": numbers.target if numbers is not None else 0,
        "tripwire": numbers,
        "image_index": edition.index,
        "setup_commands": [
            *([_lab_config(value) for value in LAB_CONFIG] if bypass else []),
            *([stick.command] if stick is not None and stick.command else []),
        ],
        "own_setup_key": key.setup_key if own else None,
        "setup_key": None if own else key.setup_key,
        "activation_key": key.activation,
        "skip_activation": key.skip_activation,
        "owner": windows.owner,
        "organization": windows.organization,
        "computer_name": computer_name(profile),
        "server": server,
        # Only clients encrypt by themselves, and only with a TPM (§10.3, §13).
        "prevent_device_encryption": not server
        and (encrypt is False or (encrypt is None and profile.metal is None and machine.tpm)),
        "rdp": windows.remote.rdp,
        "autologon": autologon,
        "first_logon_command": first_logon_command(marker),
        "administrator_password": NamedSecret(name="administrator", reference=administrator)
        if administrator is not None
        else None,
        "accounts": [
            Account(
                name=user.name,
                groups=";".join(user.groups),
                display_name=user.display_name,
                description=user.description,
                password=NamedSecret(name=f"users.{user.name}", reference=user.password),
            )
            for user in windows.users
        ],
    }


def script_context(
    profile: Profile,
    edition: Edition,
    *,
    autologon: Autologon,
    steps: tuple[StepFile, ...],
    drivers: DriverFiles | None,
) -> Mapping[str, Any]:
    """The variables of `windows/scripts/first-logon.ps1.j2`."""
    windows = profile.windows
    server = is_server(edition)
    enabled = administrator_enabled(windows, server=server)
    has_agent = drivers is not None and drivers.agent
    agent = AGENT.removeprefix("provision/").replace("/", "\\")
    return {
        "reports": profile.metal is None,
        "autologon": autologon,
        "steps": steps,
        "has_drivers": drivers is not None,
        "agent_installer": agent if has_agent else None,
        "winrm": windows.remote.winrm == "https",
        "enable_administrator": enabled and not server,
        "disable_administrator": server and not enabled,
        "power_off": ready_when(profile, agent=has_agent) == "power-off",
    }


def _lab_config(value: str) -> str:
    return f"reg.exe add HKLM\\SYSTEM\\Setup\\LabConfig /v {value} /t REG_DWORD /d 1 /f"
