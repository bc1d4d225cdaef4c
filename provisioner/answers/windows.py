"""What the templates of the answer file and the first-logon script are given: plain values.

Everything is decided here; the templates only place it.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, Literal

from provisioner import quoting
from provisioner.answers import apply, oem
from provisioner.answers.drivers import AGENT, DriverFiles
from provisioner.answers.keys import ProductKey
from provisioner.answers.layout import Layout
from provisioner.answers.locale import Languages
from provisioner.answers.logon import Autologon, administrator_enabled
from provisioner.answers.network import NetworkSettings
from provisioner.frozen import frozen
from provisioner.media.facts import Edition
from provisioner.profile.model import Profile
from provisioner.profile.rules import computer_name
from provisioner.templating import NamedSecret

WINDOWS_8 = 9200
"""Before, three elements of OOBE make the pass fail (§5.1), and Server Manager had a sister."""
WINDOWS_8_1 = 9600
"""The first that encrypts by itself, and knows the setting against it (§4.5, §13)."""
COMMAND_LENGTH = 259
"""What our one command keeps to. Its place allows 1024, the shortest place of all 259 (§3.8)."""
LAB_CONFIG = ("BypassTPMCheck", "BypassSecureBootCheck", "BypassRAMCheck")
"""The three values that exist; the others seen in public files have no effect (windows-setup.md
§3.10; unattend-generator commit d079b05)."""

ReadyWhen = Literal["agent", "serial", "power-off"]


@frozen
class Account:
    """A local account as `LocalAccount` wants it."""

    name: str
    groups: str
    display_name: str | None
    description: str | None
    password: NamedSecret


@frozen
class DiskNumbers:
    """As Windows PE counts: the disk Windows goes on, and the stick with its volume label."""

    target: int
    stick: int
    label: str


@frozen
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


def first_logon_arguments(marker: str) -> tuple[str, ...]:
    """powershell.exe's: look for our disc by its marker file on every drive and run its script.

    Drive letters differ between Windows PE, the installed Windows, and boots (§5.4, §8.4).
    No `%`, because Setup expands environment variables in command lines. PowerShell 2.0 of Windows
    7 understands it.
    """
    search = (
        "foreach($d in [IO.DriveInfo]::GetDrives()){$n=$d.Name;"
        f"if(Test-Path($n+{quoting.powershell(marker)}))"
        "{&($n+'provision\\first-logon.ps1');break}}"
    )
    return ("-NoProfile", "-ExecutionPolicy", "Bypass", "-Command", search)


def first_logon_command(marker: str) -> str:
    """The one command of the first logon."""
    arguments = ("powershell.exe", *first_logon_arguments(marker))
    command = quoting.windows_command_line(arguments)
    if len(command) > COMMAND_LENGTH:
        raise ValueError(f"the first-logon command has {len(command)} characters")
    return command


def answer_context(
    profile: Profile,
    edition: Edition,
    *,
    languages: Languages,
    layouts: tuple[Layout | None, tuple[Layout, ...]],
    key: ProductKey,
    autologon: Autologon,
    network: NetworkSettings,
    marker: str,
    stick: Stick | None = None,
) -> Mapping[str, Any]:
    """The variables of `windows/autounattend.xml.j2` and its passes."""
    windows = profile.windows
    layout, data_disks = layouts
    applies = windows.install_by == "apply"
    own = isinstance(key.setup_key, NamedSecret)
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
        "disks": () if applies else _disks(layout, data_disks),
        "tripwire": stick.numbers if stick is not None else None,
        "fallback_language": languages.fallback,
        "layered_driver": languages.layered_driver,
        "oem": oem.information(windows.oem),
        "specialize_commands": [
            *([_report("specialize")] if reports_from_setup(profile, edition) else []),
            *([oem.copy_logo(marker)] if windows.oem.logo is not None else []),
        ],
        "image_index": edition.index,
        "applies": applies,
        "setup_commands": [apply.start_command(marker)]
        if applies
        else _setup_commands(profile, edition, stick),
        "own_setup_key": key.setup_key if own else None,
        "setup_key": None if own else key.setup_key,
        "activation_key": key.activation,
        "skip_activation": key.skip_activation,
        "owner": windows.owner,
        "organization": windows.organization,
        "computer_name": computer_name(profile),
        "server": is_server(edition),
        "before_windows_8": edition.version[2] < WINDOWS_8,
        "prevent_device_encryption": _kept_from_encrypting(profile, edition),
        "rdp": windows.remote.rdp,
        "network": network,
        "autologon": autologon,
        "first_logon_command": first_logon_command(marker),
        **_accounts(profile),
    }


def _accounts(profile: Profile) -> Mapping[str, Any]:
    administrator = profile.windows.administrator.password
    return {
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
            for user in profile.windows.users
        ],
    }


def _setup_commands(profile: Profile, edition: Edition, stick: Stick | None) -> list[str]:
    """What Setup runs in Windows PE before it looks at disks."""
    windows = profile.windows
    bypass = windows.hardware_checks == "bypass" and windows.product == "windows-11"
    return [
        *([_report("answers")] if reports_from_setup(profile, edition) else []),
        *([_lab_config(value) for value in LAB_CONFIG] if bypass else []),
        *([stick.command] if stick is not None and stick.command else []),
    ]


def _kept_from_encrypting(profile: Profile, edition: Edition) -> bool:
    """Only clients encrypt by themselves, and only with a TPM (§10.3, §13)."""
    if edition.version[2] < WINDOWS_8_1 or is_server(edition):
        return False
    encrypt = profile.windows.device_encryption
    if encrypt is None:
        return profile.metal is None and profile.machine.tpm
    return not encrypt


def _disks(layout: Layout | None, data_disks: tuple[Layout, ...]) -> tuple[Layout, ...]:
    """The disks Setup changes; one that is kept, and not formatted, is none of them."""
    if layout is None or (layout.kept is not None and not layout.format_kept):
        return data_disks
    return (layout, *data_disks)


def script_context(
    profile: Profile,
    edition: Edition,
    *,
    autologon: Autologon,
    marker: str,
    drivers: DriverFiles | None,
    settings: Mapping[str, Any],
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
        "steps": bool(windows.steps),
        "continuation": quoting.windows_command_line(first_logon_arguments(marker)),
        "has_drivers": drivers is not None,
        "agent_installer": agent if has_agent else None,
        "settings": settings,
        "winrm": windows.remote.winrm == "https",
        "enable_administrator": enabled and not server,
        "disable_administrator": server and not enabled,
        "power_off": ready_when(profile, agent=has_agent) == "power-off",
    }


def reports_from_setup(profile: Profile, edition: Edition) -> bool:
    """Whether somebody listens to COM1, and there is one: arm64 boards have none."""
    return profile.metal is None and edition.architecture == "amd64"


def _report(stage: str) -> str:
    """Writes the frame of docs/protocol.md that says: Setup has read this file, in this pass.

    A frame that never changes needs nothing to compute it. Whether COM1 is there so early is
    unproven (docs/facts/windows-setup.md §9); where it is not, the command fails, which counts for
    nothing in either pass (§3.8; §4.6, `WillReboot` Never), and the host infers.
    """
    payload = f'{{"event":"stage","stage":"{stage}"}}'
    crc = zlib.crc32(f"1 {payload}".encode())
    return f"cmd.exe /d /c echo PROVISIONER/1 1 {crc:08x} {payload}>COM1"


def _lab_config(value: str) -> str:
    return f"reg.exe add HKLM\\SYSTEM\\Setup\\LabConfig /v {value} /t REG_DWORD /d 1 /f"
