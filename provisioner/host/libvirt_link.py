"""One libvirt connection that outlives its daemon: a restarted libvirtd ends every connection, and
its machines go on running without it. And a start that is not alone on its host."""

from __future__ import annotations

from typing import Any

from provisioner.host.libvirt_errors import libvirt_module, translated

PORT_TAKEN = "Failed to find an available port"
"""QEMU's words when somebody else listens on the port that libvirt chose for the display."""
PORT_ATTEMPTS = 4


def create(domain: Any) -> None:
    """Starts a domain, anew where another libvirt's machine took its display's port in between.

    Each libvirt (the system's, a user's, an embed root's) looks for a free port on its own, and
    QEMU takes it only later: two machines that start at the same moment may want the same one.
    """
    libvirt = libvirt_module()
    for attempt in range(1, PORT_ATTEMPTS + 1):
        try:
            domain.create()
            return
        except libvirt.libvirtError as err:
            if PORT_TAKEN not in str(err) or attempt == PORT_ATTEMPTS:
                raise


class Link:
    """Opens at once, and again when the other side has gone."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._connection = self._opened()

    def connection(self) -> Any:
        """A connection that was alive a moment ago.

        Asking costs nothing: it is the state of a socket. A daemon that has just gone is noticed
        by the call that meets it, which raises ConnectionLost; the next one comes here again.
        """
        libvirt = libvirt_module()
        try:
            alive = bool(self._connection.isAlive())
        except libvirt.libvirtError:
            alive = False
        if not alive:
            self._connection = self._opened()
        return self._connection

    def close(self) -> None:
        """Lets go of it, alive or not."""
        libvirt = libvirt_module()
        alive = self._connection.isAlive()
        try:
            self._connection.close()
        except libvirt.libvirtError:
            if alive:
                raise

    def _opened(self) -> Any:
        with translated(f"connect to {self._uri}"):
            return libvirt_module().open(self._uri)
