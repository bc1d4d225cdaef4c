"""One libvirt connection that outlives its daemon: a restarted libvirtd ends every connection, and
its machines go on running without it."""

from __future__ import annotations

from typing import Any

from provisioner.host.libvirt_errors import libvirt_module, translated


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
