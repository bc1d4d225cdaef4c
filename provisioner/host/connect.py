"""Where machines run: which libvirt connection, and the Hypervisor on it.

The environment is given by the caller; whether a daemon answers is found out by asking it.
"""

from __future__ import annotations

import grp
import os
import socket
from collections.abc import Callable, Collection
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from provisioner.errors import HostError, RefusedError
from provisioner.frozen import frozen
from provisioner.host.embed import root_of
from provisioner.host.keeper_client import KeptHypervisor
from provisioner.ports import Accelerator, Hypervisor, Mode

SYSTEM = "qemu:///system"
SESSION = "qemu:///session"
EMBED = "qemu:///embed"

SYSTEM_SOCKETS = (
    Path("/run/libvirt/libvirt-sock"),
    Path("/run/libvirt/virtqemud-sock"),
)
"""Of the one big daemon, and of QEMU's own one in a modular installation."""

LIBVIRT_GROUP = "libvirt"


@frozen
class Where:
    """The connection chosen. `reason` tells a person why this one."""

    uri: str
    mode: Mode
    reason: str
    root: Path | None = None
    """An embed root that the URI names; without one each machine gets its own."""


def choose(
    *,
    explicit: str | None,
    environment: str | None,
    uid: int,
    system_answers: Callable[[], bool] | None = None,
) -> Where:
    """`explicit` (--connect or the profile) comes first, then `environment`
    (LIBVIRT_DEFAULT_URI), then what this host offers: for root the system daemon, otherwise
    libvirt's embedded driver; for others the system daemon where they may, otherwise the session.
    """
    if explicit:
        return parse_uri(explicit, uid=uid, reason="asked for")
    if environment:
        return parse_uri(environment, uid=uid, reason="LIBVIRT_DEFAULT_URI says so")
    answers = system_answers or (lambda: system_daemon_answers(uid=uid))
    if answers():
        return Where(uri=SYSTEM, mode=Mode.SYSTEM, reason="the system daemon answers")
    if uid == 0:
        return Where(
            uri=EMBED, mode=Mode.EMBED, reason="no system daemon runs, so libvirt runs embedded"
        )
    return Where(
        uri=SESSION, mode=Mode.SESSION, reason="the system daemon is not open to this user"
    )


def parse_uri(uri: str, *, uid: int, reason: str) -> Where:
    """A libvirt URI, or one of the short words `system`, `session`, `embed`."""
    full = {"system": SYSTEM, "session": SESSION, "embed": EMBED}.get(uri, uri)
    parts = urlsplit(full)
    driver, _, transport = parts.scheme.partition("+")
    if driver == "test":
        return Where(uri=full, mode=Mode.TEST, reason=reason)
    if driver != "qemu" or parts.path not in ("/system", "/session", "/embed"):
        raise HostError(
            f"the connection {uri} is not one that provisioner can use",
            hint=f"use {SYSTEM}, {SESSION} or {EMBED}",
        )
    if parts.netloc or transport not in ("", "unix"):
        raise HostError(
            f"the connection {uri} leads to another host, but discs are made on this one",
            hint="run provisioner on that host",
        )
    if parts.path == "/embed":
        roots = parse_qs(parts.query).get("root", ())
        root = Path(roots[0]) if roots else None
        return Where(uri=EMBED, mode=Mode.EMBED, reason=reason, root=root)
    own_socket = "socket" in parse_qs(parts.query)
    if parts.path == "/session" and uid == 0 and not own_socket:
        # `getURI()` would still say session: facts/libvirt.md §0, trap 1.
        raise RefusedError(
            f"root has no session of its own: {SESSION} is silently the system daemon",
            hint=f"use {SYSTEM} or {EMBED}, or run as an ordinary user",
        )
    mode = Mode.SYSTEM if parts.path == "/system" else Mode.SESSION
    return Where(uri=full, mode=mode, reason=reason)


def connect(
    where: Where,
    *,
    machine: str,
    folder: Path,
    cache: Path,
    embed_base: Path,
    probe: Callable[[], Accelerator],
    pool: str | None = None,
) -> Hypervisor:
    """The hypervisor for one machine, whose files and scratch space are in `folder`."""
    if where.mode is Mode.EMBED:
        root = where.root or root_of(embed_base, folder, machine)
        return KeptHypervisor(root, folder=folder, cache=cache / "qemu", probe=probe)
    from provisioner.host.libvirt import LibvirtHypervisor

    return LibvirtHypervisor(
        where.uri, mode=where.mode, machine=machine, folder=folder, probe=probe, pool=pool
    )


def default_embed_base(*, uid: int, home: Path) -> Path:
    """Short, because socket paths are (`docs/facts/libvirt.md` §3.5), and the same every time."""
    return Path("/var/lib/provisioner") if uid == 0 else home / ".pv"


def system_daemon_answers(
    *, uid: int, sockets: Collection[Path] = SYSTEM_SOCKETS, uri: str = SYSTEM
) -> bool:
    """Whether the system daemon lets us in, without anybody being asked for a password.

    Where polkit decides, merely trying may open a dialogue on a desktop; so an ordinary user
    tries only as a member of the group that owns the socket, or of `libvirt`.
    """
    for path in sockets:
        if not _listens(path):
            continue
        if uid == 0 or _member(path):
            return _opens(uri)
    return False


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(2)
        try:
            connection.connect(str(path))
        except OSError:
            return False
    return True


def _member(path: Path) -> bool:
    groups = {os.getgid(), *os.getgroups()}
    try:
        libvirt_group = grp.getgrnam(LIBVIRT_GROUP).gr_gid
    except KeyError:
        libvirt_group = -1
    try:
        owner = path.stat().st_gid
    except OSError:
        return False
    return libvirt_group in groups or (owner != 0 and owner in groups)


def _opens(uri: str) -> bool:
    from provisioner.host.libvirt_errors import libvirt_module

    libvirt = libvirt_module()
    try:
        libvirt.open(uri).close()
    except libvirt.libvirtError:
        return False
    return True
