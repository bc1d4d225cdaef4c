"""`windows.settings` and the ways in, as files of the answer disc and as the script is told.

Registry values go as `.reg` files and host files under numbers, so that the script
needs only loops; everything else is a plain value for `templates/windows/scripts/settings`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from provisioner.answers import hostfiles, presets
from provisioner.answers.registry import LOADED_HIVE, reg_file
from provisioner.frozen import frozen
from provisioner.profile.model import Profile
from provisioner.profile.settings import OpenSsh, Power, Settings
from provisioner.profile.units import Duration
from provisioner.tree import Entry, File, Text

REGISTRY_FILES = {"HKLM": "machine.reg", "HKCU": "user.reg", "HKU\\Default": "default-user.reg"}
FOLDER = "provision/settings"
SSH_CAPABILITY = "OpenSSH.Server~~~~0.0.1.0"
"""docs/facts/windows-setup.md §9.2."""
PLANS = {
    "balanced": "381b4222-f694-41f0-9685-ff5bb260df2e",
    "high-performance": "8c5e7fda-e8bf-4a96-9a85-a6e23a8c635c",
    "power-saver": "a1841308-3541-4fab-bc81-f71556f20b4a",
}
"""docs/facts/windows-setup.md §4.5; the third: Microsoft, "Power policy settings", GUIDs."""
SHELLS = {
    "cmd": "C:\\Windows\\System32\\cmd.exe",
    "powershell": "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe",
}
ANYWHERE = ("domain", "private", "public")


@frozen
class GuestSettings:
    """What goes on the disc, and the variable `settings` of the script."""

    files: tuple[tuple[str, Entry], ...]
    context: Mapping[str, Any]


def collect(profile: Profile) -> GuestSettings:
    """Everything of one machine. HostFileError where a file to take along is not there."""
    windows = profile.windows
    settings, ssh = windows.settings, windows.remote.ssh
    values = presets.entries(
        settings,
        windows.remote.desktop,
        shell=SHELLS[ssh.shell] if ssh is not None else None,
    )
    files: list[tuple[str, Entry]] = []
    registry = []
    for root, name in REGISTRY_FILES.items():
        mine = [entry for entry in values if entry.root == root]
        if mine:
            registry.append(name)
            files.append((f"{FOLDER}/{name}", reg_file(mine)))
    copied = hostfiles.entries(settings.files)
    files += copied
    if ssh is not None:
        files += _ssh_files(ssh)
    context = {
        "files": bool(copied),
        "registry": registry,
        "loaded_hive": LOADED_HIVE,
        "features": _features(settings),
        "power": _power(settings.power),
        "emergency_console": settings.server.emergency_console,
        "firewall": _firewall(settings),
        "ssh": _ssh(ssh) if ssh is not None else None,
    }
    any_setting = settings != _untouched() or ssh is not None or bool(registry)
    return GuestSettings(files=tuple(files), context={**context, "any": any_setting})


@cache
def _untouched() -> Settings:
    return Settings.model_construct()


def _features(settings: Settings) -> Mapping[str, Any]:
    """`dism` lists each by its arguments; roles go to Install-WindowsFeature."""
    features = settings.features
    dism = [
        *(
            {"name": str(name), "arguments": f"/enable-feature /featurename:{name} /all"}
            for name in features.enable
        ),
        *(
            {"name": str(name), "arguments": f"/disable-feature /featurename:{name}"}
            for name in features.disable
        ),
        *(
            {"name": str(name), "arguments": f"/add-capability /capabilityname:{name}"}
            for name in features.capabilities
        ),
    ]
    return {
        "dism": dism,
        "roles": ",".join(features.roles),
        "seconds": features.timeout.seconds,
    }


def _power(power: Power) -> list[str]:
    """Arguments of powercfg, one line each. Batteries are a laptop's: both supplies are set."""
    lines = []
    if power.plan is not None:
        lines.append(f"/setactive {PLANS[power.plan]}")
    for setting, value in (("monitor-timeout", power.screen_off), ("standby-timeout", power.sleep)):
        if value is not None:
            minutes = value.seconds // 60 if isinstance(value, Duration) else 0
            lines += [f"/change {setting}-{supply} {minutes}" for supply in ("ac", "dc")]
    if power.hibernation is not None:
        lines.append(f"/hibernate {'on' if power.hibernation else 'off'}")
    return lines


def _firewall(settings: Settings) -> Mapping[str, Any]:
    """`rules` are ours, each with the name by which a second run replaces it."""
    firewall = settings.firewall
    rules = [
        {
            "name": f"provisioner-{port.protocol}-{port.port}",
            "title": str(port.name),
            "protocol": port.protocol.upper(),
            "port": port.port,
            "profiles": _profiles(port.profiles),
        }
        for port in firewall.ports
    ]
    return {
        "ping": firewall.ping,
        "rules": rules,
    }


def _profiles(profiles: tuple[str, ...]) -> tuple[str, ...]:
    """As `New-NetFirewallRule -Profile` takes them."""
    every = set(profiles) >= set(ANYWHERE) or not profiles
    return ("Any",) if every else tuple(profile.capitalize() for profile in profiles)


def _ssh(ssh: OpenSsh) -> Mapping[str, Any]:
    return {
        "capability": SSH_CAPABILITY,
        "package": _package(ssh),
        "keys": bool(ssh.authorized_keys),
        "passwords": ssh.passwords,
    }


def _package(ssh: OpenSsh) -> str | None:
    """Its name on the disc."""
    return None if ssh.package is None else f"openssh{Path(ssh.package).suffix.lower()}"


def _ssh_files(ssh: OpenSsh) -> list[tuple[str, Entry]]:
    files: list[tuple[str, Entry]] = []
    if ssh.package is not None:
        package = hostfiles.one(Path(ssh.package))
        files.append((f"{FOLDER}/{_package(ssh)}", hostfiles.entry(package)))
    if ssh.authorized_keys:
        text = "".join(f"{key}\n" for key in ssh.authorized_keys)
        files.append((f"{FOLDER}/authorized_keys", File(content=(Text(parts=(text,)),))))
    return files
