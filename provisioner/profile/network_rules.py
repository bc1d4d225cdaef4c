"""Rules across the keys of a profile about its network: addresses, the join, the firewall."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from provisioner.errors import Severity
from provisioner.profile.fields import Path
from provisioner.profile.model import Profile
from provisioner.profile.network import Addresses, IpAddress
from provisioner.profile.places import Finding
from provisioner.secret import Generated

TIMEOUTS = (5 * 60, 60 * 60)
"""What `TimeoutPeriodInMinutes` takes, in seconds (docs/facts/windows-setup.md §4.2)."""


def _cards(profile: Profile) -> Iterator[tuple[Path, Addresses]]:
    if profile.metal is not None:
        for index, card in enumerate(profile.metal.networks):
            yield ("metal", "networks", index), card
        return
    for index, network in enumerate(profile.machine.networks):
        yield ("machine", "networks", index), network


def static_addresses(profile: Profile) -> Iterator[Finding]:
    """Each address once, each gateway where an address of ours can reach it."""
    seen: set[str] = set()
    for path, card in _cards(profile):
        for index, address in enumerate(card.addresses):
            alone = str(address).partition("/")[0]
            if alone in seen:
                yield Finding(
                    path=(*path, "addresses", index),
                    message=f"address {alone} is given twice",
                    rule="machine.address",
                    hint="each interface has addresses of its own",
                )
            seen.add(alone)
        families: set[int] = set()
        for index, gateway in enumerate(card.gateways):
            if gateway.version in families:
                yield Finding(
                    path=(*path, "gateways", index),
                    message=f"a second default gateway for IPv{gateway.version}",
                    rule="machine.gateway",
                    hint="keep one; Windows would use either",
                )
            families.add(gateway.version)
            yield from _gateway((*path, "gateways", index), gateway, card)


def _gateway(path: Path, gateway: IpAddress, card: Addresses) -> Iterator[Finding]:
    address = ip_address(str(gateway))
    same = [one.interface for one in card.addresses if one.interface.version == address.version]
    if not same:
        yield Finding(
            path=path,
            message=f"gateway {gateway} without an IPv{address.version} address",
            rule="machine.gateway",
            hint="add one to `addresses`, or leave the gateway to DHCP and routers",
        )
    elif any(address == one.ip for one in same):
        yield Finding(
            path=path,
            message=f"gateway {gateway} is this machine's own address",
            rule="machine.gateway",
            hint="give the address of the router",
        )
    elif not address.is_link_local and not any(address in one.network for one in same):
        networks = ", ".join(str(one.network) for one in same)
        yield Finding(
            path=path,
            message=f"gateway {gateway} is not in {networks}",
            rule="machine.gateway",
            hint="a machine reaches only gateways of its own networks; is the prefix right?",
        )


def static_without_network(profile: Profile) -> Iterator[Finding]:
    """Whether there is a network the address belongs to is not known without its name."""
    if profile.metal is not None:
        return
    for index, network in enumerate(profile.machine.networks):
        if network.addresses and network.network is None:
            yield Finding(
                path=("machine", "networks", index, "addresses"),
                message="a static address, and no `network` it belongs to: libvirt's `default` "
                "or a user-mode network (10.0.2.0/24) would be taken",
                rule="machine.static-network",
                severity=Severity.WARNING,
                hint="add `network: NAME`, the libvirt network with this subnet",
            )


def metal_cards(profile: Profile) -> Iterator[Finding]:
    """A card is described once."""
    seen: set[str] = set()
    for index, card in enumerate(profile.metal.networks if profile.metal is not None else ()):
        if card.mac in seen:
            yield Finding(
                path=("metal", "networks", index, "mac"),
                message=f"MAC address {card.mac} appears twice",
                rule="machine.mac",
                hint="one item for each card",
            )
        seen.add(card.mac)


def join(profile: Profile) -> Iterator[Finding]:
    """One membership, with what it needs and nothing beside it."""
    membership = profile.windows.join
    ways = {
        "workgroup": membership.workgroup,
        "domain": membership.domain,
        "blob": membership.blob,
    }
    given = [name for name, value in ways.items() if value is not None]
    if len(given) > 1:
        yield _join(
            given[1],
            f"`{given[0]}` and `{given[1]}`: a computer is a member of one thing",
            "keep one of workgroup, domain and blob",
        )
    if membership.domain is not None:
        for name, value in (("user", membership.user), ("password", membership.password)):
            if value is None:
                yield _join(
                    "domain",
                    f"joining {membership.domain} needs `{name}`",
                    "give user and password of somebody who may join computers, or use `blob`",
                )
        yield from _needs_network(profile)
    else:
        for name in ("user", "password", "ou", "timeout"):
            if getattr(membership, name) is not None:
                yield _join(
                    name,
                    f"`{name}` belongs to `domain`, which is not given",
                    "add join.domain, or remove the key",
                )
    if membership.blob is None and "blob_pass" in membership.model_fields_set:
        yield _join("blob_pass", "`blob_pass` without `blob`", "add join.blob, or remove the key")
    for name in ("password", "blob"):
        if isinstance(getattr(membership, name), Generated):
            yield _join(name, f"join.{name} cannot be made up", "the domain has to know it already")
    if membership.user is not None and not _is_account(str(membership.user)):
        yield _join(
            "user",
            f"'{membership.user}' is no name of an account",
            "write joiner, CORP\\joiner or joiner@corp.example",
        )
    if membership.timeout is not None and not (
        TIMEOUTS[0] <= membership.timeout.seconds <= TIMEOUTS[1]
    ):
        yield _join(
            "timeout",
            f"Windows tries a domain for 5 to 60 minutes, not for {membership.timeout}",
            "leave it out for 15 min",
        )


def _is_account(user: str) -> bool:
    before, separator, behind = user.partition("\\" if "\\" in user else "@")
    return bool(before) and bool(behind) is bool(separator) and not {"\\", "@"} & set(behind)


def _needs_network(profile: Profile) -> Iterator[Finding]:
    if profile.metal is None and not profile.machine.networks:
        yield _join(
            "domain",
            "joining a domain without a network interface",
            "add one to machine.networks, or use `blob`",
        )


def _join(key: str, message: str, hint: str) -> Finding:
    return Finding(
        path=("windows", "join", key), message=message, rule="windows.join", hint=hint, on_key=True
    )


def join_password(profile: Profile) -> Iterator[Finding]:
    """A person should know where the password stands for a while (§4.2, §11)."""
    if profile.windows.join.domain is not None and profile.windows.join.password is not None:
        yield Finding(
            path=("windows", "join", "password"),
            message="Setup knows no way to hide the password of a join: it stands in clear on the "
            "answer disc until that is deleted",
            rule="windows.join-password",
            severity=Severity.NOTE,
            hint="an account that may do nothing but join computers, or `blob`",
        )


def firewall(profile: Profile) -> Iterator[Finding]:
    """A group is opened or closed, not both."""
    rules = profile.windows.firewall
    opened = {group.resource for group in rules.open}
    if profile.windows.remote.rdp:
        opened.add("@FirewallAPI.dll,-28752")
    for index, group in enumerate(rules.close):
        if group.resource in opened:
            yield Finding(
                path=("windows", "firewall", "close", index),
                message=f"firewall group '{group}' is opened and closed",
                rule="windows.firewall",
                hint="remote.rdp opens remote-desktop" if "28752" in group.resource
                else "remove it from one of the lists",
            )  # fmt: skip
