"""The network of the installed Windows as its components want it: addresses by MAC, DNS, the join,
firewall groups (docs/facts/windows-setup.md §4.2 to §4.4)."""

from __future__ import annotations

from provisioner.frozen import frozen
from provisioner.profile.cards import cards
from provisioner.profile.model import Profile
from provisioner.profile.network import Addresses
from provisioner.templating import NamedSecret

REMOTE_DESKTOP = "@FirewallAPI.dll,-28752"
JOIN_PASSWORD = "join"
JOIN_BLOB = "join-blob"


@frozen
class Family:
    """`Ipv4Settings` or `Ipv6Settings` of an interface with static addresses of that family."""

    router_discovery: bool
    """Off where a gateway is given, so that no router adds another."""


@frozen
class Route:
    """A default route."""

    prefix: str
    gateway: str


@frozen
class Interface:
    """One interface of TCPIP and DNS-Client."""

    identifier: str
    """The MAC address in the form of the components, `52-54-00-12-34-56`: an alias is translated
    and unstable (§4.4)."""
    ipv4: Family | None
    ipv6: Family | None
    addresses: tuple[str, ...]
    routes: tuple[Route, ...]
    dns: tuple[str, ...]
    dns_suffix: str | None

    @property
    def has_tcpip(self) -> bool:
        """Whether TCPIP has anything to say about it."""
        return bool(self.addresses)

    @property
    def has_dns(self) -> bool:
        """Whether DNS-Client has."""
        return bool(self.dns or self.dns_suffix)


@frozen
class Membership:
    """`Microsoft-Windows-UnattendedJoin`. At most one of the three ways is set."""

    workgroup: str | None
    domain: str | None
    account_domain: str | None
    account: str | None
    password: NamedSecret | None
    ou: str | None
    timeout_minutes: int | None
    blob: NamedSecret | None
    blob_pass: str

    def describe(self) -> str:
        """One line for plans; empty where nothing was asked for."""
        if self.blob is not None:
            return f"a domain, by the blob of djoin, in {self.blob_pass}"
        if self.domain is not None:
            where = f", in {self.ou}" if self.ou else ""
            return f"domain {self.domain}, as {self.account_domain}\\{self.account}{where}"
        return f"workgroup {self.workgroup}" if self.workgroup else ""


@frozen
class FirewallRules:
    """One `FirewallGroup`. `key` is its wcm:keyValue."""

    key: str
    group: str
    active: bool
    profile: str


@frozen
class NetworkSettings:
    """Everything the templates place."""

    interfaces: tuple[Interface, ...]
    dns_domain: str | None
    dns_search: tuple[str, ...]
    membership: Membership
    firewall_groups: tuple[FirewallRules, ...]
    firewall_off: tuple[str, ...]
    """`DomainProfile`, `PrivateProfile`, `PublicProfile`."""

    @property
    def static(self) -> tuple[Interface, ...]:
        """Interfaces for TCPIP."""
        return tuple(one for one in self.interfaces if one.has_tcpip)

    @property
    def resolvers(self) -> tuple[Interface, ...]:
        """Interfaces for DNS-Client."""
        return tuple(one for one in self.interfaces if one.has_dns)

    @property
    def in_domain(self) -> bool:
        """Whether the computer is a member of a domain when somebody first logs on."""
        return self.membership.domain is not None or self.membership.blob is not None

    def describe(self) -> tuple[tuple[str, str], ...]:
        """Rows for plans: what was asked for beyond DHCP."""
        addresses = (
            f"{', '.join(one.addresses)} on {one.identifier}{_via(one)}" for one in self.static
        )
        servers = (f"{', '.join(one.dns)} on {one.identifier}" for one in self.resolvers if one.dns)
        rows = [
            (label, "; ".join(texts))
            for label, texts in (("addresses", tuple(addresses)), ("DNS", tuple(servers)))
            if texts
        ]
        if joined := self.membership.describe():
            rows.append(("member of", joined))
        asked = [one for one in self.firewall_groups if one.group != REMOTE_DESKTOP]
        opened = [one.group for one in asked if one.active]
        closed = [one.group for one in asked if not one.active]
        off = [name.removesuffix("Profile").lower() for name in self.firewall_off]
        said = [
            *([f"open: {', '.join(opened)}"] if opened else []),
            *([f"closed: {', '.join(closed)}"] if closed else []),
            *([f"off: {', '.join(off)}"] if off else []),
        ]
        if said:
            rows.append(("firewall", "; ".join(said)))
        return tuple(rows)


def _via(interface: Interface) -> str:
    gateways = ", ".join(route.gateway for route in interface.routes)
    return f" via {gateways}" if gateways else ""


def decide(profile: Profile) -> NetworkSettings:
    """The settings a profile asks for; its own rules have looked at them."""
    windows = profile.windows
    return NetworkSettings(
        interfaces=tuple(_interface(mac, card) for mac, card in cards(profile)),
        dns_domain=windows.dns.domain,
        dns_search=tuple(windows.dns.search),
        membership=_membership(profile),
        firewall_groups=_firewall(profile),
        firewall_off=tuple(f"{name.capitalize()}Profile" for name in windows.firewall.off),
    )


def _interface(mac: str, card: Addresses) -> Interface:
    versions = {address.interface.version for address in card.addresses}
    gateways = {gateway.version: str(gateway) for gateway in card.gateways}
    return Interface(
        identifier=mac.upper().replace(":", "-"),
        ipv4=Family(router_discovery=False) if 4 in versions else None,
        ipv6=Family(router_discovery=6 not in gateways) if 6 in versions else None,
        addresses=tuple(str(address) for address in card.addresses),
        routes=tuple(
            Route(prefix="0.0.0.0/0" if version == 4 else "::/0", gateway=gateway)
            for version, gateway in sorted(gateways.items())
        ),
        dns=tuple(str(server) for server in card.dns),
        dns_suffix=card.dns_suffix,
    )


def _membership(profile: Profile) -> Membership:
    join = profile.windows.join
    account_domain, account = _account(join.user or "", join.domain or "")
    joins = join.domain is not None
    return Membership(
        workgroup=join.workgroup,
        domain=join.domain,
        account_domain=account_domain if joins else None,
        account=account if joins else None,
        password=NamedSecret(name=JOIN_PASSWORD, reference=join.password)
        if joins and join.password is not None
        else None,
        ou=join.ou,
        timeout_minutes=-(-join.timeout.seconds // 60) if join.timeout is not None else None,
        blob=NamedSecret(name=JOIN_BLOB, reference=join.blob) if join.blob is not None else None,
        blob_pass=join.blob_pass,
    )


def _account(user: str, domain: str) -> tuple[str, str]:
    """Domain and name of `CORP\\joiner`, `joiner@corp.example` or `joiner`."""
    before, backslash, name = user.partition("\\")
    if backslash:
        return before, name
    name, at, behind = user.partition("@")
    return (behind, name) if at else (domain, user)


def _firewall(profile: Profile) -> tuple[FirewallRules, ...]:
    """The groups, Remote Desktop's first; each resource string once."""
    firewall = profile.windows.firewall
    wanted: dict[str, bool] = {REMOTE_DESKTOP: True} if profile.windows.remote.rdp else {}
    scopes = dict.fromkeys(wanted, "all")
    for groups, active in ((firewall.open, True), (firewall.close, False)):
        for group in groups:
            if group.resource not in wanted:
                wanted[group.resource] = active
                scopes[group.resource] = firewall.profile
    return tuple(
        FirewallRules(
            key="RemoteDesktop" if group == REMOTE_DESKTOP else f"Group{number}",
            group=group,
            active=active,
            profile=scopes[group],
        )
        for number, (group, active) in enumerate(wanted.items(), start=1)
    )
