"""Rules across the keys of `windows.settings` and of what is done to a machine afterwards."""

from __future__ import annotations

import re
from collections.abc import Iterator

from provisioner.errors import Severity
from provisioner.profile.fields import Path
from provisioner.profile.model import Profile
from provisioner.profile.places import Finding
from provisioner.profile.settings import PageFile, RegistrySetting, RemoteDesktop
from provisioner.profile.units import Duration
from provisioner.profile.windows import Administrator, User
from provisioner.secret import Generated

SETTINGS: Path = ("windows", "settings")
SMALLEST_PAGE_FILE = 16 * 2**20
"""Bytes; what the dialog of Windows asks for at least."""


def registry(profile: Profile) -> Iterator[Finding]:
    """Data that its type cannot hold, and one value written twice."""
    seen: set[tuple[str, str]] = set()
    for index, value in enumerate(profile.windows.settings.registry):
        path: Path = (*SETTINGS, "registry", index)
        if problem := _misfit(value):
            yield Finding(
                path=path,
                message=f"{value.key}, value '{value.name}': {problem}",
                rule="windows.registry-value",
                hint="data: 1 makes a REG_DWORD, text a REG_SZ, a list a REG_MULTI_SZ; "
                "REG_BINARY takes hexadecimal digits; remove: true needs no data",
            )
        place = (value.key.lower(), value.name.lower())
        if place in seen:
            yield Finding(
                path=path,
                message=f"{value.key}, value '{value.name}' is written twice",
                rule="windows.registry-value",
                hint="names are compared without regard to capitals; keep one of them",
            )
        seen.add(place)


def _misfit(value: RegistrySetting) -> str | None:
    data = value.data
    if value.remove:
        return None if data is None and value.type is None else "it is removed and has data"
    if data is None:
        return "there is no data"
    match value.registry_type, data:
        case "REG_DWORD", int(number):
            return None if 0 <= number < 2**32 else f"{number} is no number of 32 bits"
        case "REG_QWORD", int(number):
            return None if 0 <= number < 2**64 else f"{number} is no number of 64 bits"
        case "REG_SZ" | "REG_EXPAND_SZ", str(text):
            return "text ends at a zero character" if "\0" in text else None
        case "REG_MULTI_SZ", tuple(texts):
            return None if all(t and "\0" not in t for t in texts) else "an empty text ends a list"
        case "REG_BINARY", str(text):
            pairs = re.fullmatch(r"\s*(?:[0-9A-Fa-f]{2}\s*)*", text)
            return None if pairs else "these are not pairs of hexadecimal digits"
        case kind, _:
            return f"this is no data for {kind}"


def files(profile: Profile) -> Iterator[Finding]:
    """Two sources for one place."""
    seen: set[str] = set()
    for index, copied in enumerate(profile.windows.settings.files):
        if copied.to.lower() in seen:
            yield Finding(
                path=(*SETTINGS, "files", index, "to"),
                message=f"two files are copied to {copied.to}",
                rule="windows.copied-file",
                hint="give each a place of its own",
            )
        seen.add(copied.to.lower())


def page_file(profile: Profile) -> Iterator[Finding]:
    """A page file that Windows would not make."""
    wanted = profile.windows.settings.page_file
    if not isinstance(wanted, PageFile):
        return
    path: Path = (*SETTINGS, "page_file")
    disk = profile.machine.disks[0].size
    problem = None
    if wanted.maximum < wanted.initial:
        problem = f"{wanted.maximum} at most is less than {wanted.initial} at the start"
    elif wanted.initial.bytes < SMALLEST_PAGE_FILE:
        problem = f"{wanted.initial} is too small for a page file"
    elif profile.metal is None and wanted.maximum >= disk:
        problem = f"a page file of {wanted.maximum} does not fit on a disk of {disk}"
    if problem:
        yield Finding(
            path=path,
            message=problem,
            rule="windows.page-file",
            hint="at least 16 MiB, and the maximum not below the initial size",
        )


def power(profile: Profile) -> Iterator[Finding]:
    """`powercfg` counts in minutes."""
    for key in ("screen_off", "sleep"):
        value = getattr(profile.windows.settings.power, key)
        if isinstance(value, Duration) and (value.seconds % 60 or not value.seconds):
            yield Finding(
                path=(*SETTINGS, "power", key),
                message=f"{value} is not a number of whole minutes",
                rule="windows.power",
                hint="like '30 min'; or never",
            )


def remote_desktop(profile: Profile) -> Iterator[Finding]:
    """Details of something that is off."""
    remote = profile.windows.remote
    if remote.desktop != RemoteDesktop.model_construct() and not remote.rdp:
        yield Finding(
            path=("windows", "remote", "desktop"),
            message="Remote Desktop is not turned on",
            rule="windows.remote",
            severity=Severity.WARNING,
            hint="add windows.remote.rdp: true",
            on_key=True,
        )


def ssh_package(profile: Profile) -> Iterator[Finding]:
    """Only the two forms in which Win32-OpenSSH is released can be installed."""
    ssh = profile.windows.remote.ssh
    if ssh is None:
        return
    if ssh.package is not None and not ssh.package.lower().endswith((".zip", ".msi")):
        yield Finding(
            path=("windows", "remote", "ssh", "package"),
            message="a package of OpenSSH is a .zip or an .msi",
            rule="windows.ssh-package",
            hint="take OpenSSH-Win64.zip of https://github.com/PowerShell/Win32-OpenSSH",
        )
    if not ssh.passwords and not ssh.authorized_keys:
        yield Finding(
            path=("windows", "remote", "ssh"),
            message="nobody could log on by SSH: no passwords, and no key",
            rule="windows.ssh-no-way",
            hint="add authorized_keys, or leave passwords: false out",
        )


def rotation(profile: Profile) -> Iterator[Finding]:
    """What new passwords by the guest agent need."""
    windows, ready = profile.windows, profile.machine.ready.when or "agent"
    accounts: list[tuple[Path, str, Administrator | User]] = [
        (("windows", "administrator"), "Administrator", windows.administrator),
        *((("windows", "users", n), str(user.name), user) for n, user in enumerate(windows.users)),
    ]
    logon = windows.autologon
    for path, name, account in accounts:
        if not account.rotate:
            continue
        if not isinstance(account.password, Generated):
            problem = "only a generated password can be replaced by a new one"
            hint = "password: {generate: 20}"
        elif profile.metal is not None:
            problem, hint = "a physical PC has no guest agent", "leave rotate out"
        elif ready != "agent" or profile.media.drivers is None:
            problem = "the guest agent sets the new password, and nobody waits for it here"
            hint = "add media.drivers (virtio-win.iso), and use `machine.ready.when: agent`"
        elif logon is not None and logon.times > 1 and logon.user.lower() == name.lower():
            problem = f"{name} is logged on {logon.times} times with the password that is replaced"
            hint = "autologon once, or leave rotate out"
        else:
            continue
        yield Finding(path=(*path, "rotate"), message=problem, rule="windows.rotate", hint=hint)
