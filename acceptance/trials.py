"""One machine for each open experiment that needs an installation of its own.

A trial is a profile with something added, or a template of its own, and what to look at afterwards.
It settles a claim one way or the other; where it shows neither, the report says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from acceptance.desk import Done
from acceptance.inside import Inside
from provisioner.errors import GuestError
from provisioner.profile.network import FIREWALL_GROUPS

MAC = "52:54:00:ac:ce:55"
ADDRESS = "10.0.2.55"
"""In QEMU's user-mode network (10.0.2.0/24), beside what its DHCP gives."""
AWKWARD = "A1a\"'<&>%PATH%^!|;$(x)`${y}\\*?[]{}#~ äß€z"
"""With everything that XML, cmd and PowerShell read as syntax."""
OTHER_NAME = "WRONG-DISC"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What is known after a trial's `up`. `inside` is None where the agent could not be asked."""

    up: Done
    inside: Inside | None
    serial: str
    addresses: tuple[str, ...]

    @property
    def installed(self) -> bool:
        """Whether the machine became ready."""
        return self.up.code == 0

    def fact(self, name: str) -> Any:
        """One fact from the inside."""
        return self.inside.facts.get(name) if self.inside is not None else None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`holds` is None where the trial shows neither."""

    holds: bool | None
    evidence: str


@dataclass(frozen=True, kw_only=True)
class Trial:
    """`profile` is YAML below `extends`; `templates` go before the shipped ones."""

    name: str
    about: str
    claims: tuple[str, ...]
    judge: Callable[[Seen], Verdict]
    profile: str = ""
    templates: Mapping[str, str] = field(default_factory=dict)
    second_disc: bool = False
    """Attach another answer disc, with another computer name."""


SETUP = "windows/passes/windowsPE.xml.j2"
SPECIALIZE = "windows/passes/specialize.xml.j2"


def _setup(change: str) -> Mapping[str, str]:
    """The windowsPE pass, with one replacement in its text."""
    return {
        SETUP: "{% set text %}"
        '{% include "shipped/windows/passes/windowsPE.xml.j2" %}{% endset %}'
        f'{{{{ text | replace("      <UserData>" | safe, {change!r} | safe) }}}}'
    }


def _commands(*commands: str) -> Mapping[str, str]:
    lines = ", ".join(repr(command) for command in commands)
    return {
        SETUP: f"{{% set setup_commands = setup_commands + [{lines}] %}}"
        '{% include "shipped/windows/passes/windowsPE.xml.j2" %}'
    }


def _specialize(component: str, body: str) -> Mapping[str, str]:
    return {
        SPECIALIZE: f'{{% include "shipped/{SPECIALIZE}" %}}'
        f'{{% call component("{component}") %}}\n      {body}\n{{% endcall %}}'
    }


def _installs(seen: Seen) -> Verdict:
    if seen.installed:
        return Verdict(holds=True, evidence="the machine became ready")
    # 6: the guest failed. Anything else says that it was not tried: no such bus, a wrong profile.
    failed = False if seen.up.code == GuestError.exit_code else None
    return Verdict(holds=failed, evidence=f"exit code {seen.up.code}: {seen.up.last_line}")


def _restart(seen: Seen) -> Verdict:
    off = "turned itself off" in f"{seen.up.said} {seen.up.last_line}"
    if off:
        return Verdict(holds=True, evidence=seen.up.last_line)
    return Verdict(
        holds=False if seen.installed else None,
        evidence="it went on by itself" if seen.installed else seen.up.last_line,
    )


def _name(seen: Seen) -> Verdict:
    name = seen.fact("computer_name")
    if name is None:
        return Verdict(holds=None, evidence=f"nobody told its name ({seen.up.last_line})")
    return Verdict(holds=str(name).upper() != OTHER_NAME, evidence=f"computer name {name}")


def _address(seen: Seen) -> Verdict:
    if not seen.installed:
        return Verdict(holds=None, evidence=seen.up.last_line)
    told = ", ".join(seen.addresses) or "none"
    return Verdict(holds=ADDRESS in seen.addresses, evidence=f"addresses: {told}")


def _first_disk(seen: Seen) -> Verdict:
    size = seen.fact("disk_bytes")
    if size is None:
        return Verdict(holds=None, evidence=f"nobody told the disk's size ({seen.up.last_line})")
    return Verdict(holds=int(size) > 50 * 2**30, evidence=f"Windows is on a disk of {size} bytes")


def _ssh(seen: Seen) -> Verdict:
    services = seen.fact("services")
    if not seen.installed:
        return _installs(seen)
    if not isinstance(services, Mapping):
        return Verdict(holds=None, evidence="nobody told about its services")
    told = services.get("sshd")
    return Verdict(holds=told == "Running", evidence=f"sshd: {told}")


TRIALS = (
    Trial(
        name="two-answers",
        about="another disc with answers and another computer name is attached",
        claims=("W4",),
        judge=_name,
        second_disc=True,
    ),
    Trial(
        name="unknown-component",
        about="windowsPE has a component that no Windows knows",
        claims=("W5",),
        templates={
            SETUP: (
                '{% include "shipped/windows/passes/windowsPE.xml.j2" %}'
                '{% call component("Microsoft-Windows-Nobody-Knows-This") %}\n'
                "      <Nothing>1</Nothing>\n{% endcall %}"
            )
        },
        judge=_installs,
    ),
    Trial(
        name="unknown-setting",
        about="Microsoft-Windows-Setup has a setting that is documented nowhere",
        claims=("W5",),
        templates=_setup("      <NobodyKnowsThis>1</NobodyKnowsThis>\n      <UserData>"),
        judge=_installs,
    ),
    Trial(
        name="restart-shutdown",
        about="Setup is told to turn the machine off instead of restarting it",
        claims=("F3",),
        templates=_setup("      <Restart>Shutdown</Restart>\n      <UserData>"),
        judge=_restart,
    ),
    Trial(
        name="long-path",
        about="a command of windowsPE has 300 characters",
        claims=("W16",),
        templates=_commands("cmd.exe /c rem " + "x" * 285),
        judge=_installs,
    ),
    Trial(
        name="static-address",
        about="the TCPIP component gives an address by MAC",
        claims=("F4",),
        profile=f"machine: {{networks: [{{mac: '{MAC}'}}]}}\n",
        templates=_specialize(
            "Microsoft-Windows-TCPIP",
            '<Interfaces><Interface wcm:action="add"><Ipv4Settings><DhcpEnabled>false</DhcpEnabled>'
            f"</Ipv4Settings><Identifier>{MAC.upper().replace(':', '-')}</Identifier>"
            '<UnicastIpAddresses><IpAddress wcm:action="add" wcm:keyValue="1">'
            f"{ADDRESS}/24</IpAddress></UnicastIpAddresses></Interface></Interfaces>",
        ),
        judge=_address,
    ),
    Trial(
        name="two-disks",
        about="Windows goes on the first of two disks, the larger one",
        claims=("W15",),
        profile="machine: {disks: [{size: 64 GiB}, {size: 40 GiB}]}\n",
        judge=_first_disk,
    ),
    Trial(
        name="bypass",
        about="no TPM and no Secure Boot, and the checks are bypassed",
        claims=("W13",),
        profile="windows: {hardware_checks: bypass}\nmachine: {firmware: uefi, tpm: false}\n",
        judge=_installs,
    ),
    Trial(
        name="key-presses",
        about="the boot prompt is answered by key presses",
        claims=("B3",),
        profile="machine: {boot_prompt: keys}\n",
        judge=_installs,
    ),
    Trial(
        name="metacharacters",
        about="who logs on first has a password with every metacharacter",
        claims=("L11",),
        profile="windows: {users: [{name: dev, groups: [Administrators], password: {plain: "
        f"{json.dumps(AWKWARD)}}}}}]}}\n",
        judge=_installs,
    ),
    Trial(
        name="nvme",
        about="the disk is an NVMe one",
        claims=("K3",),
        profile="machine: {disks: [{bus: nvme}]}\n",
        judge=_installs,
    ),
    Trial(
        name="firewall-groups",
        about="every firewall group that has a name of ours is turned on",
        claims=("S3",),
        profile=f"windows: {{firewall: {{open: [{', '.join(FIREWALL_GROUPS)}]}}}}\n",
        judge=_installs,
    ),
    Trial(
        name="net-3.5",
        about=".NET 3.5 from the install disc",
        claims=("S4",),
        profile="windows: {settings: {features: {enable: [NetFx3]}}}\n",
        judge=_installs,
    ),
    Trial(
        name="openssh",
        about="OpenSSH's server as Windows has it",
        claims=("S5",),
        profile="windows: {remote: {ssh: {}}}\n",
        judge=_ssh,
    ),
)
"""What needs a machine of its own. The main job settles more, in `main_job`."""
