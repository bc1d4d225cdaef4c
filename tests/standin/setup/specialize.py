"""The specialize pass: the machine's identity and settings (docs/facts/windows-setup.md §4)."""

from __future__ import annotations

import os
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.standin.setup.answers import AnswerFile
from tests.standin.setup.image import KEY_EDITIONS
from tests.standin.setup.network import Network, read_join, read_network
from tests.standin.setup.outcome import INVALID, SetupStopped, refused
from tests.standin.setup.time_zones import is_time_zone
from tests.standin.setup.windows_pe import Command, read_commands

FORBIDDEN_IN_NAMES = frozenset("{|}~[\\]^':;<=>?@!#$%`()+/.,*&\" ")
"""Characters a computer name may not have (facts §4.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What specialize set; empty texts and None where the file says nothing."""

    computer_name: str
    time_zone: str
    owner: str
    organization: str
    rdp: dict[str, Any]
    firewall_groups: tuple[dict[str, Any], ...]
    prevent_device_encryption: bool
    network: Network
    join: dict[str, Any] | None
    firewall_off: tuple[str, ...]
    commands: tuple[Command, ...]


def specialize(
    answer: AnswerFile, *, full_name: str, organization: str, edition_id: str = ""
) -> Identity:
    """Apply the pass; `full_name` and `organization` come from windowsPE's UserData, `edition_id`
    is that of the image that was applied."""
    shell = answer.component("specialize", "Shell-Setup")
    _check_key((shell.value("ProductKey") if shell else None) or "", edition_id)
    name = (shell.value("ComputerName") if shell else None) or "*"
    if name == "*":
        name = random_name(organization or full_name)
    problem = computer_name_problem(name)
    if problem is not None:
        raise refused(answer.path, "specialize", INVALID, f"ComputerName {name!r}: {problem}")
    time_zone = (shell.value("TimeZone") if shell else None) or ""
    if time_zone and not is_time_zone(time_zone):
        raise refused(answer.path, "specialize", INVALID, f"TimeZone {time_zone!r} is not known")
    commands = read_commands(
        answer.component("specialize", "Deployment"), "RunSynchronous/RunSynchronousCommand"
    )
    return Identity(
        computer_name=name,
        time_zone=time_zone,
        owner=(shell.value("RegisteredOwner") if shell else None) or full_name,
        organization=(shell.value("RegisteredOrganization") if shell else None) or organization,
        rdp=_remote_desktop(answer),
        firewall_groups=tuple(_firewall_groups(answer)),
        prevent_device_encryption=_prevents_encryption(answer, commands),
        network=read_network(answer),
        join=read_join(answer),
        firewall_off=tuple(_firewall_off(answer)),
        commands=commands,
    )


def _check_key(key: str, edition_id: str) -> None:
    """A key that activates, if anything is known about it, is one of this edition (facts §3.5)."""
    known = KEY_EDITIONS.get(key.strip())
    if known is not None and edition_id and known != edition_id:
        raise SetupStopped(
            f"ProductKey installation failed (0x80070057): the key is for {known}, and "
            f"{edition_id} is installed"
        )


def computer_name_problem(name: str) -> str | None:
    """Why a computer name is refused, or None (facts §4.1)."""
    if len(name) > 15:
        return f"{len(name)} characters, at most 15 are allowed"
    bad = sorted(set(name) & FORBIDDEN_IN_NAMES)
    if bad:
        return f"it has {' '.join(map(repr, bad))}"
    if not all(character.isprintable() for character in name):
        return "it has control characters"
    if name.isdigit():
        return "it is all digits"
    return None


def random_name(basis: str) -> str:
    """What `*` gives: up to seven characters of the organization or owner and a random rest."""
    stem = re.sub(r"[^A-Za-z0-9]", "", basis).upper()[:7]
    alphabet = string.ascii_uppercase + string.digits
    rest = "".join(alphabet[byte % len(alphabet)] for byte in os.urandom(14 - len(stem)))
    return f"{stem}-{rest}" if stem else f"WIN-{rest[:11]}"


def _remote_desktop(answer: AnswerFile) -> dict[str, Any]:
    sessions = answer.component("specialize", "TerminalServices-LocalSessionManager")
    stations = answer.component("specialize", "TerminalServices-RDP-WinStationExtensions")
    denied = (sessions.value("fDenyTSConnections") if sessions else None) or "true"
    nla = stations.value("UserAuthentication") if stations else None
    return {
        "enabled": denied.strip() == "false",
        "network_level_authentication": None if nla is None else nla.strip() == "1",
    }


def _firewall_groups(answer: AnswerFile) -> Iterator[dict[str, Any]]:
    firewall = answer.component("specialize", "Networking-MPSSVC-Svc")
    groups = firewall.find("FirewallGroups") if firewall else None
    for group in groups.all("FirewallGroup") if groups else ():
        yield {
            "group": group.value("Group") or "",
            "profile": group.value("Profile") or "all",
            "active": group.flag("Active"),
        }


def _firewall_off(answer: AnswerFile) -> Iterator[str]:
    firewall = answer.component("specialize", "Networking-MPSSVC-Svc")
    for profile in ("Domain", "Private", "Public"):
        if firewall and not firewall.flag(f"{profile}Profile_EnableFirewall", default=True):
            yield profile.lower()


def _prevents_encryption(answer: AnswerFile, commands: tuple[Command, ...]) -> bool:
    """By the component in any pass it may stand in, or by the registry value (facts §4.5)."""
    for pass_name in ("offlineServicing", "specialize", "oobeSystem"):
        driver = answer.component(pass_name, "SecureStartup-FilterDriver")
        if driver is not None and driver.flag("PreventDeviceEncryption"):
            return True
    pattern = r"\breg(\.exe)?\s+add\b.*\\BitLocker\b.*PreventDeviceEncryption"
    return any(re.search(pattern, command.line, re.IGNORECASE) for command in commands)
