"""UDisks2, which opens and unmounts disks for people without root where polkit lets them.

The only door to jeepney. Interface: udisks' own D-Bus reference (Manager.ResolveDevice,
Block.OpenDevice since 2.7.3, Filesystem.Unmount).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from provisioner.errors import FailedError, HostError
from provisioner.host.disk import OpenDisk

_BUS = "org.freedesktop.UDisks2"
_MANAGER = "/org/freedesktop/UDisks2/Manager"
_TIMEOUT = 120.0
"""Seconds; somebody may be typing a password into polkit's dialog."""


class Unavailable(HostError):
    """There is no udisks here, or it cannot open devices: another way is to be taken."""


class Udisks:
    """One connection to udisks on a bus; `SYSTEM`, or an address of D-Bus."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def open(self, node: str, *, write: bool) -> OpenDisk:
        """A whole disk for us alone. OSError EBUSY where it is in use; HostError where polkit
        says no; Unavailable where udisks is too old."""
        flags = os.O_EXCL | os.O_DIRECT | os.O_CLOEXEC
        reply = self._call(
            self._object(node),
            "Block",
            "OpenDevice",
            "sa{sv}",
            ("rw" if write else "r", {"flags": ("i", flags)}),
        )
        return OpenDisk(reply[0].to_raw_fd())

    def unmount(self, node: str) -> None:
        """A partition, or a disk with a file system of its own."""
        self._call(self._object(node), "Filesystem", "Unmount", "a{sv}", ({},))

    def _object(self, node: str) -> str:
        specification = {"path": ("s", node)}
        [found] = self._call(
            _MANAGER, "Manager", "ResolveDevice", "a{sv}a{sv}", (specification, {})
        )
        if not found:
            raise Unavailable(f"udisks does not know {node}")
        return str(found[0])

    def _call(
        self, path: str, interface: str, member: str, signature: str, body: tuple[object, ...]
    ) -> tuple[Any, ...]:
        from jeepney import DBusAddress, HeaderFields, MessageFlag, MessageType, new_method_call

        address = DBusAddress(path, bus_name=_BUS, interface=f"{_BUS}.{interface}")
        message = new_method_call(address, member, signature, body)
        message.header.flags |= MessageFlag.allow_interactive_authorization
        try:
            reply = self._connection.send_and_get_reply(message, timeout=_TIMEOUT)
        except (OSError, TimeoutError, EOFError) as err:
            raise Unavailable(f"udisks does not answer: {err}") from err
        if reply.header.message_type is MessageType.error:
            name = reply.header.fields.get(HeaderFields.error_name, "")
            raise _refused(name, str(reply.body[0]) if reply.body else "")
        return tuple(reply.body)


@contextmanager
def connected(bus: str = "SYSTEM") -> Iterator[Udisks]:
    """Unavailable where there is no bus, or nobody on it is udisks."""
    try:
        from jeepney.io.blocking import open_dbus_connection
    except ImportError as err:
        raise Unavailable("the Python package jeepney is not installed") from err
    try:
        connection = open_dbus_connection(bus, enable_fds=True)
    except (OSError, RuntimeError, ValueError, KeyError) as err:
        raise Unavailable("there is no system bus here") from err
    try:
        yield Udisks(connection)
    finally:
        connection.close()


def _refused(name: str, words: str) -> Exception:
    """udisks' errors by their names; it says EBUSY in words only."""
    import errno

    if "NotAuthorized" in name or name.endswith("AccessDenied"):
        return HostError(
            "udisks does not let you open the stick",
            hint="ask who looks after this machine, or run it with sudo",
        )
    if name.endswith("DeviceBusy") or os.strerror(errno.EBUSY) in words:
        return OSError(errno.EBUSY, words)
    if os.strerror(errno.EROFS) in words:
        return OSError(errno.EROFS, words)
    if name.endswith(("ServiceUnknown", "UnknownMethod", "UnknownInterface", "NameHasNoOwner")):
        return Unavailable(f"udisks is not here, or too old: {words}")
    return FailedError(f"udisks failed: {words or name}")
