"""Addresses, the join and the firewall of a profile: what they take, and what the rules say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.answers import network
from provisioner.errors import Problem
from provisioner.profile.network import (
    FIREWALL_GROUPS,
    DnsName,
    FirewallGroup,
    IpAddress,
    IpInterface,
    OrganizationalUnit,
    WorkgroupName,
)
from provisioner.profile.values import BadValue

Check = Callable[..., tuple[Problem, ...]]
FACTS = Path(__file__).parents[3] / "docs/facts/windows-setup.md"
BASE = "name: vm\nwindows:\n  product: windows-10\n  administrator: {password: {env: A}}\n"


@pytest.mark.parametrize(
    ("kind", "text", "kept"),
    [
        (IpInterface, "192.0.2.10/24", "192.0.2.10/24"),
        (IpInterface, "192.0.2.1/31", "192.0.2.1/31"),
        (IpInterface, "10.0.0.1/32", "10.0.0.1/32"),
        (IpInterface, "2001:DB8:0::10/64", "2001:db8::10/64"),
        (IpInterface, "fe80::1/64", "fe80::1/64"),
        (IpAddress, "192.0.2.1", "192.0.2.1"),
        (IpAddress, "FE80::1", "fe80::1"),
        (DnsName, "corp.example", "corp.example"),
        (DnsName, "CORP", "CORP"),
        (WorkgroupName, "LAB 1", "LAB 1"),
        (OrganizationalUnit, "ou=Web Servers, dc=corp,dc=example",
         "OU=Web Servers,DC=corp,DC=example"),
        (FirewallGroup, "core-networking", "core-networking"),
        (FirewallGroup, "@vmms.exe,-210", "@vmms.exe,-210"),
    ],
)  # fmt: skip
def test_good(kind: type[str], text: str, kept: str) -> None:
    assert kind(text) == kept


@pytest.mark.parametrize(
    ("kind", "text", "hint"),
    [
        (IpInterface, "192.0.2.10", "'192.0.2.10/24'"),
        (IpInterface, "192.0.2.10/255.255.255.0", "write '192.0.2.10/24'"),
        (IpInterface, "192.0.2.0/24", "take another one of the network 192.0.2.0/24"),
        (IpInterface, "192.0.2.255/24", "take another"),
        (IpInterface, "127.0.0.1/8", "take another"),
        (IpInterface, "ff02::1/64", "take another"),
        (IpInterface, "fe80::1%eth0/64", "like '192.0.2.10/24'"),
        (IpInterface, "router/24", "like '192.0.2.10/24'"),
        (IpAddress, "192.0.2.1/24", "a name is not possible"),
        (IpAddress, "gateway", "a name is not possible"),
        (IpAddress, "fe80::1%2", "a name is not possible"),
        (DnsName, "corp example", "'corp.example'"),
        (DnsName, "-corp.example", "'corp.example'"),
        (DnsName, "a" * 64 + ".example", "'corp.example'"),
        (WorkgroupName, "SIXTEEN-LETTERS-", "at most 15"),
        (OrganizationalUnit, "Servers", "'OU=Servers,DC=corp,DC=example'"),
        (OrganizationalUnit, "OU=Servers", "'OU=Servers,DC=corp,DC=example'"),
        (FirewallGroup, "remote-desktp", "did you mean 'remote-desktop'?"),
        (FirewallGroup, "@FirewallAPI.dll", "others as"),
    ],
)
def test_bad(kind: type[str], text: str, hint: str) -> None:
    with pytest.raises(BadValue) as raised:
        kind(text)
    assert hint in (raised.value.hint or "")


@settings(max_examples=60)
@given(st.text(max_size=40))
def test_any_text_is_taken_or_refused(text: str) -> None:
    for kind in (IpInterface, IpAddress, DnsName, WorkgroupName, OrganizationalUnit, FirewallGroup):
        try:
            kind(text)
        except BadValue as bad:
            assert bad.message


@settings(max_examples=60)
@given(st.ip_addresses(), st.integers(0, 128))
def test_every_address_of_a_machine_is_taken_as_it_is(address: object, prefix: int) -> None:
    try:
        kept = IpInterface(f"{address}/{prefix}")
    except BadValue:
        return
    assert str(kept.interface.ip) == str(address)
    assert kept.interface.network.prefixlen == prefix


def test_the_firewall_groups_of_the_facts() -> None:
    text = FACTS.read_text(encoding="utf-8")
    for name in ("remote-desktop", "file-and-printer-sharing", "network-discovery"):
        assert FIREWALL_GROUPS[name] in text


CASES = [
    ("windows.join {domain: corp.example}", "windows.join", "needs `user`"),
    ("windows.join {domain: corp.example, user: a}", "windows.join", "needs `password`"),
    ("windows.join {domain: a.example, workgroup: B, user: a, password: {env: P}}",
     "windows.join", "a member of one thing"),
    ("windows.join {workgroup: LAB, ou: 'OU=a,DC=b'}", "windows.join", "`ou` belongs to `domain`"),
    ("windows.join {blob_pass: specialize}", "windows.join", "without `blob`"),
    ("windows.join {blob: {generate: 20}}", "windows.join", "cannot be made up"),
    ("windows.join {domain: a.example, user: 'a@b@c', password: {env: P}}", "windows.join",
     "no name of an account"),
    ("windows.join {domain: a.example, user: 'A\\', password: {env: P}}", "windows.join",
     "no name of an account"),
    ("windows.join {domain: a.example, user: a, password: {env: P}, timeout: 2 min}",
     "windows.join", "5 to 60 minutes"),
    ("windows.join {domain: a.example, user: a, password: {env: P}}", "windows.join-password",
     "in clear"),
    ("windows.join {blob: {plain: AAAA}}", "profile.plain-secret", "in clear"),
    ("windows.join {workgrup: LAB}", "profile.unknown-key", "unknown key 'workgrup'"),
    ("windows.firewall {open: [core-networking], close: ['@FirewallAPI.dll,-25000']}",
     "windows.firewall", "opened and closed"),
    ("machine.networks [{network: lan, gateways: [192.0.2.1]}]", "machine.gateway",
     "without an IPv4 address"),
    ("machine.networks [{network: lan, addresses: [192.0.2.9/24], gateways: ['fe80::1']}]",
     "machine.gateway", "without an IPv6 address"),
    ("machine.networks [{network: lan, addresses: [192.0.2.9/24], gateways: [192.0.3.1]}]",
     "machine.gateway", "not in 192.0.2.0/24"),
    ("machine.networks [{network: lan, addresses: [192.0.2.9/24], gateways: [192.0.2.9]}]",
     "machine.gateway", "own address"),
    ("machine.networks [{network: l, addresses: [192.0.2.9/24], gateways: [192.0.2.1, 192.0.2.2]}]",
     "machine.gateway", "a second default gateway"),
    ("machine.networks [{addresses: [192.0.2.9/24]}, {addresses: [192.0.2.9/25]}]",
     "machine.address", "given twice"),
    ("machine.networks [{addresses: [192.0.2.9/24]}]", "machine.static-network", "no `network`"),
    ("metal {networks: [{mac: '52:54:00:00:00:01'}, {mac: '52-54-00-00-00-01'}]}", "machine.mac",
     "appears twice"),
    ("metal {networks: [{addresses: [192.0.2.9/24]}]}", "profile.missing-key", "'mac'"),
]  # fmt: skip


def profile(line: str) -> str:
    """The sound profile with one key: `windows.join {...}`."""
    key, _, value = line.partition(" ")
    room, _, inner = key.partition(".")
    if room == "windows":
        return f"{BASE}  {inner}: {value}\n"
    return f"{BASE}{room}: {{{inner}: {value}}}\n" if inner else f"{BASE}{room}: {value}\n"


@pytest.mark.parametrize(("line", "rule", "message"), CASES)
def test_the_rules(problems_of: Check, line: str, rule: str, message: str) -> None:
    mine = [problem for problem in problems_of(profile(line)) if problem.rule == rule]
    assert [message in problem.message for problem in mine].count(True) == 1, mine
    assert all(problem.hint and problem.place for problem in mine)


def test_joining_needs_a_network(problems_of: Check) -> None:
    join = profile("windows.join {domain: a.example, user: a, password: {env: P}}")
    rules = [problem.rule for problem in problems_of(join + "machine: {networks: []}\n")]
    assert rules == ["windows.join", "windows.join-password"]


@pytest.mark.parametrize(
    "line",
    [
        "windows.join {workgroup: LAB}",
        "windows.join {blob: {env: B}, blob_pass: specialize}",
        "windows.dns {domain: corp.example, search: [corp.example, example]}",
        "windows.firewall {open: [network-discovery], profile: domain, off: [public]}",
        (
            "machine.networks [{network: l, addresses: [192.0.2.9/24, 'fd00::9/64'], "
            "gateways: [192.0.2.1, 'fe80::1'], dns: ['fd00::1'], dns_suffix: a.example}]"
        ),
        "metal {networks: [{mac: '52:54:00:00:00:01', addresses: [192.0.2.9/24]}]}",
    ],
)
def test_quiet(problems_of: Check, line: str) -> None:
    assert problems_of(profile(line)) == ()


@pytest.mark.parametrize(
    ("user", "account"),
    [
        ("joiner", ("corp.example", "joiner")),
        ("CORP\\joiner", ("CORP", "joiner")),
        ("joiner@other.example", ("other.example", "joiner")),
    ],
)
def test_accounts(user: str, account: tuple[str, str]) -> None:
    assert network._account(user, "corp.example") == account
