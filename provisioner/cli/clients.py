"""The programs that show a machine to a person, and their command lines. Pure: starts nothing.

No password is ever on a command line, where every user of the host could read it. Options of
FreeRDP: client/common/cmdline.h of FreeRDP 2 and 3, which agree on those used here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from typing import Literal
from urllib.parse import urlsplit

from provisioner.frozen import frozen

Way = Literal["viewer", "rdp", "ssh"]

PACKAGES: dict[Way, str] = {
    "viewer": "Debian, Ubuntu: apt install virt-viewer · Fedora: dnf install virt-viewer ·"
    " Arch: pacman -S virt-viewer",
    "rdp": "Debian, Ubuntu: apt install freerdp3-x11 (older releases: freerdp2-x11) ·"
    " Fedora: dnf install freerdp · Arch: pacman -S freerdp",
    "ssh": "Debian, Ubuntu: apt install openssh-client · Fedora: dnf install openssh-clients ·"
    " Arch: pacman -S openssh",
}

Find = Callable[[str], bool]
"""Whether a program of this name is installed."""


@frozen
class Command:
    """What to run. Where no program is `installed`, that of the first choice."""

    argv: tuple[str, ...]
    installed: bool
    graphical: bool


def viewer(uri: str, find: Find) -> Command:
    """A viewer for a display such as `vnc://127.0.0.1:5900`."""
    ways: list[tuple[str, ...]] = [("remote-viewer", uri)]
    display = urlsplit(uri)
    if display.scheme == "vnc":
        # TigerVNC, TightVNC and RealVNC alike: two colons before a port, one before a display.
        ways.append(("vncviewer", f"{display.hostname}::{display.port}"))
    return _first(ways, find, graphical=True)


def rdp(host: str, port: int, *, user: str | None, find: Find) -> Command:
    """A Remote Desktop client. FreeRDP asks for the password in the terminal."""
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    # Windows signs its certificate itself. What comes from loopback is our own machine; a guest
    # elsewhere is remembered at the first meeting.
    trust = "/cert:ignore" if ipaddress.ip_address(host).is_loopback else "/cert:tofu"
    freerdp = (f"/v:{place}", *((f"/u:{user}",) if user else ()), "/from-stdin:force", trust)
    who = f"{user}@" if user else ""
    ways = [
        ("xfreerdp3", *freerdp),
        ("xfreerdp", *freerdp),
        ("remmina", "-c", f"rdp://{who}{place}"),
    ]
    return _first(ways, find, graphical=True)


def ssh(host: str, port: int, *, user: str | None, machine: str, find: Find) -> Command:
    """OpenSSH. The alias keeps the host keys of machines apart that had the same port in turn."""
    argv = ("ssh", "-p", str(port), "-o", f"HostKeyAlias=provisioner-{machine}")
    return _first([(*argv, f"{user}@{host}" if user else host)], find, graphical=False)


def _first(ways: Sequence[tuple[str, ...]], find: Find, *, graphical: bool) -> Command:
    for argv in ways:
        if find(argv[0]):
            return Command(argv=argv, installed=True, graphical=graphical)
    return Command(argv=ways[0], installed=False, graphical=graphical)
