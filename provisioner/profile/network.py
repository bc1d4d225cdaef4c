"""Addresses, names and firewall groups of a Windows in its network, and the models that hold them.

Sources: docs/facts/windows-setup.md §4.2 to §4.4; Microsoft's naming conventions for computers,
domains and organizational units.
"""

import re
from collections.abc import Mapping
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from provisioner.profile.base import ProfileModel
from provisioner.profile.secrets import SecretValue
from provisioner.profile.units import Duration, Line
from provisioner.profile.values import BadValue, TextValue, did_you_mean

FIREWALL_GROUPS: Mapping[str, str] = MappingProxyType(
    {
        "core-networking": "@FirewallAPI.dll,-25000",
        "core-networking-diagnostics": "@FirewallAPI.dll,-27000",
        "file-and-printer-sharing": "@FirewallAPI.dll,-28502",
        "network-discovery": "@FirewallAPI.dll,-32752",
        "performance-logs-and-alerts": "@FirewallAPI.dll,-34752",
        "remote-desktop": "@FirewallAPI.dll,-28752",
        "remote-event-log-management": "@FirewallAPI.dll,-29252",
        "remote-firewall-management": "@FirewallAPI.dll,-30002",
        "remote-scheduled-tasks-management": "@FirewallAPI.dll,-33252",
        "remote-service-management": "@FirewallAPI.dll,-29502",
        "remote-volume-management": "@FirewallAPI.dll,-34501",
        "windows-remote-management": "@FirewallAPI.dll,-30267",
        "windows-management-instrumentation": "@FirewallAPI.dll,-34251",
    }
)
"""Our names of rule groups, and the resource strings by which every language of Windows knows them
(docs/facts/windows-setup.md §4.3; the others as UnattendXmlBuilder's completion lists them)."""


class IpInterface(TextValue):
    """An address of an interface with the length of its prefix: `192.0.2.10/24`."""

    __slots__ = ()
    json_schema: ClassVar = {
        "pattern": "^[0-9A-Fa-f:.]+/[0-9]{1,3}$",
        "examples": ["192.0.2.10/24", "2001:db8::10/64"],
    }

    @classmethod
    def checked(cls, text: str) -> str:
        rule = "machine.address"
        if "%" in text or "/" not in text:
            hint = f"write the length of the prefix behind it: '{text}/24'"
            raise BadValue(
                f"'{text}' is not an address with its prefix length",
                rule=rule,
                hint=hint if _is_address(text) else "like '192.0.2.10/24' or '2001:db8::10/64'",
            )
        try:
            interface = ip_interface(text)
        except ValueError:
            raise BadValue(
                f"'{text}' is not an address with its prefix length",
                rule=rule,
                hint="like '192.0.2.10/24' or '2001:db8::10/64'",
            ) from None
        if "." in text.partition("/")[2]:
            raise BadValue(
                f"'{text}' has a netmask where the length of the prefix belongs",
                rule=rule,
                hint=f"write '{interface.with_prefixlen}'",
            )
        if _is_no_host(interface):
            raise BadValue(
                f"'{text}' is no address of a machine",
                rule=rule,
                hint=f"take another one of the network {interface.network}",
            )
        return interface.with_prefixlen

    @property
    def interface(self) -> IPv4Interface | IPv6Interface:
        """The address and its network."""
        return ip_interface(str(self))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_no_host(interface: IPv4Interface | IPv6Interface) -> bool:
    """Whether nobody can have this address: a network's own, a broadcast, multicast, loopback."""
    address, network = interface.ip, interface.network
    if address.is_multicast or address.is_loopback or address.is_unspecified:
        return True
    if isinstance(interface, IPv4Interface) and network.prefixlen < 31:
        return address in (network.network_address, network.broadcast_address)
    return False


class IpAddress(TextValue):
    """An address of another machine: a gateway, a DNS server."""

    __slots__ = ()
    json_schema: ClassVar = {
        "pattern": "^[0-9A-Fa-f:.]+$",
        "examples": ["192.0.2.1", "2001:db8::1"],
    }

    @classmethod
    def checked(cls, text: str) -> str:
        # A link-local gateway with a zone (`fe80::1%eth0`) is refused: zones are one host's own.
        if "%" in text or not _is_address(text):
            raise BadValue(
                f"'{text}' is not an IP address",
                rule="machine.address",
                hint="a name is not possible here; write '192.0.2.1' or '2001:db8::1'",
            )
        address = ip_address(text)
        if address.is_multicast or address.is_unspecified:
            raise BadValue(f"'{text}' is no address of a machine", rule="machine.address")
        return str(address)

    @property
    def version(self) -> int:
        """4 or 6."""
        return ip_address(str(self)).version


class DnsName(TextValue):
    """A DNS name, or the NetBIOS name of a domain: labels of letters, digits and hyphens."""

    __slots__ = ()
    json_schema: ClassVar = {
        "pattern": r"^(?=.{1,255}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
        r"(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*$",
        "examples": ["corp.example"],
    }

    @classmethod
    def checked(cls, text: str) -> str:
        label = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
        if len(text) > 255 or not re.fullmatch(rf"{label}(?:\.{label})*", text):
            raise BadValue(
                f"'{text}' is not a DNS name",
                rule="windows.dns-name",
                hint="labels of letters, digits and hyphens with periods between: 'corp.example'",
            )
        return text


class WorkgroupName(TextValue):
    """A workgroup: a NetBIOS name of at most 15 characters."""

    __slots__ = ()
    json_schema: ClassVar = {
        "pattern": r'^(?! )(?!.* $)[^\\/:*?"<>|.,;=+\[\]\x00-\x1f\x7f]{1,15}$',
        "examples": ["WORKGROUP"],
    }

    @classmethod
    def checked(cls, text: str) -> str:
        if not re.fullmatch(r'[^\\/:*?"<>|.,;=+\[\]\x00-\x1f\x7f]{1,15}', text) or (
            text != text.strip()
        ):
            raise BadValue(
                f"'{text}' cannot be a workgroup",
                rule="windows.workgroup",
                hint="at most 15 letters, digits, hyphens and blanks between them",
            )
        return text


class OrganizationalUnit(TextValue):
    """The distinguished name of an organizational unit: `OU=Servers,DC=corp,DC=example`."""

    __slots__ = ()
    json_schema: ClassVar = {
        "pattern": r"^(?:(?:OU|CN)=(?:[^,\\=]|\\.)+,)+(?:DC=[^,\\=]+)(?:,DC=[^,\\=]+)*$",
        "examples": ["OU=Servers,DC=corp,DC=example"],
    }

    @classmethod
    def checked(cls, text: str) -> str:
        upper = re.sub(r"(^|(?<!\\),)\s*(ou|cn|dc)\s*=\s*", lambda m: f"{m[1]}{m[2].upper()}=",
                       text, flags=re.IGNORECASE)  # fmt: skip
        if not re.fullmatch(cls.json_schema["pattern"], upper) or re.search(r"[\x00-\x1f]", upper):
            raise BadValue(
                f"'{text}' is not the full name of an organizational unit",
                rule="windows.ou",
                hint="write it from the unit up to the domain: 'OU=Servers,DC=corp,DC=example'",
            )
        return upper


class FirewallGroup(TextValue):
    """A group of firewall rules: one of our names, or its resource string `@FILE,-NUMBER`."""

    __slots__ = ()
    json_schema: ClassVar = {
        "pattern": f"^(?:{'|'.join(FIREWALL_GROUPS)}|@[^,\\s]+,-[0-9]+)$",
        "examples": ["file-and-printer-sharing", "@FirewallAPI.dll,-28502"],
    }

    @classmethod
    def checked(cls, text: str) -> str:
        if text in FIREWALL_GROUPS or re.fullmatch(r"@[^,\s]+,-[0-9]+", text):
            return text
        raise BadValue(
            f"unknown firewall group '{text}'",
            rule="windows.firewall-group",
            hint=did_you_mean(text, FIREWALL_GROUPS)
            or f"known: {', '.join(FIREWALL_GROUPS)}; others as '@FirewallAPI.dll,-28502'",
        )

    @property
    def resource(self) -> str:
        """What the answer file says."""
        return FIREWALL_GROUPS.get(str(self), str(self))


class Addresses(ProfileModel):
    """What an interface has of its own; what is left out comes from DHCP and routers."""

    addresses: tuple[IpInterface, ...] = ()
    """Static addresses with the lengths of their prefixes, IPv4 and IPv6: `192.0.2.10/24`. They
    switch DHCP off for their family; a family without one is left to DHCP and routers."""
    gateways: tuple[IpAddress, ...] = ()
    """Default gateways: at most one of each family, in a network of `addresses`."""
    dns: tuple[IpAddress, ...] = ()
    """DNS servers in the order they are asked. Default: those that DHCP names."""
    dns_suffix: DnsName | None = None
    """The DNS suffix of this connection."""


class Dns(ProfileModel):
    """Names without dots, and the domain of the whole computer."""

    domain: DnsName | None = None
    """Primary DNS suffix of the computer. A domain join sets it by itself."""
    search: tuple[DnsName, ...] = ()
    """Suffixes that are tried behind a name without dots, in this order."""


class Join(ProfileModel):
    """What the computer becomes a member of: a workgroup, or a domain in one of two ways."""

    workgroup: WorkgroupName | None = None
    """A workgroup. Default: the one Windows takes, WORKGROUP."""
    domain: DnsName | None = None
    """A domain that is joined over the network, with `user` and `password`."""
    user: Line | None = None
    """Who may join computers: `joiner`, `CORP\\joiner` or `joiner@corp.example`."""
    password: SecretValue | None = None
    """Its password. Setup knows no way to hide it: it stands in clear on the answer disc."""
    ou: OrganizationalUnit | None = None
    """Where the computer's account is made. Default: where the domain puts computers."""
    timeout: Duration | None = None
    """How long the domain is tried, 5 to 60 min. Default: Windows' own 15 min."""
    blob: SecretValue | None = None
    """What `djoin /provision /printblob` printed for this computer: joins without network and
    without anybody's password."""
    blob_pass: Literal["offlineServicing", "specialize"] = "offlineServicing"
    """The configuration pass that takes the blob: before the first start, or during it."""


class Firewall(ProfileModel):
    """Groups of rules by names that are the same in every language, and whole profiles."""

    open: tuple[FirewallGroup, ...] = ()
    """Groups that are switched on, by our names or as `@FirewallAPI.dll,-28502`. Remote Desktop is
    opened by `remote.rdp`."""
    close: tuple[FirewallGroup, ...] = ()
    """Groups that are switched off."""
    profile: Literal["all", "domain", "private", "public"] = "all"
    """The network profiles in which `open` and `close` hold."""
    off: Annotated[tuple[Literal["domain", "private", "public"], ...], Field(max_length=3)] = ()
    """Network profiles without any firewall."""
