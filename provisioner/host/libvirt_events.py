"""What libvirt tells unasked: a guest was restarted. Firmware without a serial line says nothing of
that, and no counter of a machine goes back.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

from provisioner.host.libvirt_errors import libvirt_module, translated
from provisioner.host.libvirt_link import Link


class Restarts:
    """Counts restarts by machine, from the first question on.

    `link` is a connection that was opened when the event loop ran already; without one another is
    opened when it is first needed, since only who watches a machine needs any of this.
    """

    def __init__(self, uri: str, link: Link | None) -> None:
        self._uri = uri
        self._link = link
        self._own = link is None
        self._connection: Any = None
        self._callback = -1
        self._counts: dict[str, int] = {}

    def of(self, name: str) -> int:
        """How often this machine was restarted so far."""
        with translated(f"ask for the restarts of {name}"):
            if self._link is None:
                event_loop()
                self._link = Link(self._uri)
            connection = self._link.connection()
            if connection is not self._connection:
                event = libvirt_module().VIR_DOMAIN_EVENT_ID_REBOOT
                self._callback = connection.domainEventRegisterAny(None, event, self._count, None)
                self._connection = connection
        return self._counts.get(name, 0)

    def close(self) -> None:
        """Hears nothing any more."""
        if self._connection is not None and self._connection.isAlive():
            self._connection.domainEventDeregisterAny(self._callback)
        self._connection = None
        if self._own and self._link is not None:
            self._link.close()

    def _count(self, _connection: Any, domain: Any, _opaque: Any) -> None:
        name = str(domain.name())
        self._counts[name] = self._counts.get(name, 0) + 1


@cache
def event_loop() -> threading.Thread:
    """One per process, begun once: libvirt allows no second implementation, and no end."""
    libvirt = libvirt_module()
    with translated("start libvirt's event loop"):
        libvirt.virEventRegisterDefaultImpl()

    def turn() -> None:
        while True:
            try:
                libvirt.virEventRunDefaultImpl()
            except libvirt.libvirtError:
                return

    thread = threading.Thread(target=turn, name="libvirt-events", daemon=True)
    thread.start()
    return thread
