"""The network of specialize: addresses by MAC, DNS, the join (windows-setup.md §4.2, §4.4).

Recorded for the report and checked as far as the documentation goes. Nothing is configured, and
there is no domain controller: a join is written down, not carried out.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface
from typing import Any

from tests.standin.setup.answers import AnswerFile
from tests.standin.setup.elements import Element
from tests.standin.setup.outcome import CANNOT_APPLY, INVALID, SetupStopped, refused
from tests.standin.setup.passwords import fingerprint

INTERFACE_ORDER = ("ipv4settings", "ipv6settings", "identifier", "unicastipaddresses", "routes")
ROUTE_ORDER = ("identifier", "metric", "nexthopaddress", "prefix")
"""The only mandated element orders (facts §4.4)."""
DEFAULT_ROUTES = {"0.0.0.0/0": 4, "::/0": 6}
_MAC = re.compile(r"[0-9A-Fa-f]{2}(-[0-9A-Fa-f]{2}){5}")
_DISTINGUISHED_NAME = re.compile(r"((OU|CN)=[^,]+,)+DC=[^,=]+(,DC=[^,=]+)*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What the file says; `interfaces` by identifier, in the order they first appear."""

    interfaces: tuple[dict[str, Any], ...]
    dns_domain: str | None
    dns_search: tuple[str, ...]


def read_network(answer: AnswerFile) -> Network:
    """TCPIP and DNS-Client of specialize; SetupStopped for what cannot be applied."""
    found: dict[str, dict[str, Any]] = {}
    for element in _interfaces(answer, "TCPIP"):
        _check_order(answer, element, INTERFACE_ORDER)
        record = _record(answer, found, element)
        record.update(_addresses(answer, element))
    dns = answer.component("specialize", "DNS-Client")
    for element in _interfaces(answer, "DNS-Client"):
        record = _record(answer, found, element)
        servers = element.find("DNSServerSearchOrder")
        record["dns"] = [_ip(answer, item, item.text) for item in _items(servers, "IpAddress")]
        record["dns_suffix"] = element.value("DNSDomain")
    search = dns.find("DNSSuffixSearchOrder") if dns else None
    return Network(
        interfaces=tuple(found.values()),
        dns_domain=dns.value("DNSDomain") if dns else None,
        dns_search=tuple(item.text for item in _items(search, "DomainName")),
    )


def read_join(answer: AnswerFile) -> dict[str, Any] | None:
    """The membership the file asks for, secrets as fingerprints; None where there is none."""
    offline = answer.component("offlineServicing", "UnattendedJoin")
    blob = offline.find("OfflineIdentification/Provisioning/AccountData") if offline else None
    component = answer.component("specialize", "UnattendedJoin")
    identification = component.find("Identification") if component else None
    if identification is None:
        return None if blob is None else _blob(answer, blob, "offlineServicing")
    domain, workgroup = identification.value("JoinDomain"), identification.value("JoinWorkgroup")
    account = identification.find("Provisioning/AccountData")
    ways = [way for way in (domain, workgroup, account, blob) if way is not None]
    if len(ways) != 1:
        detail = "JoinDomain, JoinWorkgroup and AccountData exclude each other, and one is needed"
        raise refused(answer.path, "specialize", INVALID, detail)
    if account is not None:
        return _blob(answer, account, "specialize")
    if workgroup is not None:
        return {"workgroup": workgroup}
    credentials = identification.find("Credentials")
    unsecure = identification.flag("UnsecureJoin")
    password = credentials.value("Password") if credentials else None
    if not unsecure and not (credentials and credentials.value("Username") and password):
        raise SetupStopped(f"UnattendedJoin: nobody may join {domain}: no Credentials")
    ou = identification.value("MachineObjectOU")
    if ou is not None and not _DISTINGUISHED_NAME.fullmatch(ou):
        raise SetupStopped(f"UnattendedJoin: MachineObjectOU {ou!r} is no distinguished name")
    return {
        "domain": domain,
        "ou": ou,
        "account_domain": credentials.value("Domain") if credentials else None,
        "account": credentials.value("Username") if credentials else None,
        "password_sha256": fingerprint(password) if password is not None else None,
        "carried_out": False,
    }


def _blob(answer: AnswerFile, element: Element, pass_name: str) -> dict[str, Any]:
    text = element.text.strip()
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        detail = f"AccountData, line {element.line}: this is no blob of djoin"
        raise refused(answer.path, pass_name, INVALID, detail) from error
    return {"blob_sha256": fingerprint(text), "pass": pass_name, "carried_out": False}


def _interfaces(answer: AnswerFile, component: str) -> tuple[Element, ...]:
    holder = answer.component("specialize", component)
    return _items(holder.find("Interfaces") if holder else None, "Interface")


def _items(holder: Element | None, name: str) -> tuple[Element, ...]:
    return holder.all(name) if holder else ()


def _record(
    answer: AnswerFile, found: dict[str, dict[str, Any]], element: Element
) -> dict[str, Any]:
    identifier = (element.value("Identifier") or "").strip()
    if re.fullmatch(r"[0-9A-Fa-f:-]{12,17}", identifier) and not _MAC.fullmatch(identifier):
        detail = f"Interface, line {element.line}: {identifier} is no MAC address as 00-11-22-..."
        raise refused(answer.path, "specialize", CANNOT_APPLY, detail)
    fresh = {
        "identifier": identifier.upper(),
        "ipv4_dhcp": True,
        "ipv6_dhcp": True,
        "router_discovery": True,
        "addresses": [],
        "gateways": [],
        "dns": [],
        "dns_suffix": None,
    }
    return found.setdefault(identifier.upper(), fresh)


def _addresses(answer: AnswerFile, element: Element) -> dict[str, Any]:
    addresses = [
        _interface(answer, item) for item in _items(element.find("UnicastIpAddresses"), "IpAddress")
    ]
    dhcp = {
        family: element.flag(f"{family}Settings/DhcpEnabled", default=True)
        for family in ("Ipv4", "Ipv6")
    }
    for address in addresses:
        if dhcp[f"Ipv{address.version}"]:
            detail = f"Interface, line {element.line}: {address} while DHCP is on for its family"
            raise refused(answer.path, "specialize", CANNOT_APPLY, detail)
    return {
        "ipv4_dhcp": dhcp["Ipv4"],
        "ipv6_dhcp": dhcp["Ipv6"],
        "router_discovery": element.flag("Ipv6Settings/RouterDiscoveryEnabled", default=True),
        "addresses": [address.with_prefixlen for address in addresses],
        "gateways": list(_gateways(answer, element, addresses)),
    }


def _gateways(
    answer: AnswerFile, element: Element, addresses: list[IPv4Interface | IPv6Interface]
) -> Iterator[str]:
    for route in _items(element.find("Routes"), "Route"):
        _check_order(answer, route, ROUTE_ORDER)
        version = DEFAULT_ROUTES.get((route.value("Prefix") or "").strip())
        hop = _ip(answer, route, route.value("NextHopAddress") or "")
        if version is None:
            continue
        address = ip_address(hop)
        reachable = any(address in one.network for one in addresses) or address.is_link_local
        if address.version != version or not reachable:
            detail = f"Route, line {route.line}: {hop} is in none of the interface's networks"
            raise refused(answer.path, "specialize", CANNOT_APPLY, detail)
        yield hop


def _interface(answer: AnswerFile, element: Element) -> IPv4Interface | IPv6Interface:
    try:
        return ip_interface(element.text.strip())
    except ValueError as error:
        detail = f"IpAddress, line {element.line}: {element.text.strip()[:60]!r} is no address"
        raise refused(answer.path, "specialize", INVALID, detail) from error


def _ip(answer: AnswerFile, element: Element, text: str) -> str:
    try:
        return str(ip_address(text.strip()))
    except ValueError as error:
        detail = f"{element.name}, line {element.line}: {text.strip()[:60]!r} is no address"
        raise refused(answer.path, "specialize", INVALID, detail) from error


def _check_order(answer: AnswerFile, element: Element, order: tuple[str, ...]) -> None:
    positions = [order.index(c.name.lower()) for c in element.children if c.name.lower() in order]
    if positions != sorted(positions):
        detail = f"{element.name}, line {element.line}: elements are not in the documented order"
        raise refused(answer.path, "specialize", CANNOT_APPLY, detail)
