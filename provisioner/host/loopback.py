"""Free TCP ports on 127.0.0.1, for forwards into a guest without a libvirt network."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Collection
from contextlib import ExitStack

from provisioner.errors import HostError

FIRST, LAST = 20_000, 29_999
"""Below Linux's range for outgoing connections (32768-60999, `ip_local_port_range`), so that a
port chosen at define time is not taken by a browser before the machine is started."""


def free_loopback_ports(count: int, *, taken: Collection[int] = ()) -> tuple[int, ...]:
    """`count` different ports that nobody listens on now and that are not in `taken`."""
    found: list[int] = []
    with ExitStack() as held:
        for _attempt in range(1000):
            if len(found) == count:
                return tuple(found)
            port = FIRST + secrets.randbelow(LAST - FIRST + 1)
            if port in taken or port in found:
                continue
            listener = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
    raise HostError(
        f"no {count} free TCP ports between {FIRST} and {LAST} on 127.0.0.1",
        hint="delete machines that are no longer needed: provisioner list",
    )
