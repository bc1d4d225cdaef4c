"""UDisks2, which opens, mounts and unmounts for people without root where polkit lets them.

The only door to jeepney. Interface: udisks' own D-Bus reference (Manager.ResolveDevice and
LoopSetup, Block.OpenDevice since 2.7.3, Filesystem.Mount and Unmount, Loop.Delete).
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from provisioner.errors import FailedError, HostError, ProvisionerError
from provisioner.host.disk import OpenDisk

_BUS = "org.freedesktop.UDisks2"
_MANAGER = "/org/freedesktop/UDisks2/Manager"
_TIMEOUT = 120.0
"""Seconds; somebody may be typing a password into polkit's dialog."""
_PROBED = 5.0
"""Seconds within which udev has looked at a new loop device, and udisks offers to mount it."""
_MOUNT_OPTIONS = "ro,nosuid,nodev"


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

    def mount_image(self, image: Path, filesystem: str) -> Path:
        """Mounts an image read-only as one file system and no other; the folder udisks chose.

        Nothing is left behind where that fails: HostError, FailedError or OSError EBUSY.
        """
        with image.open("rb") as stream:
            handle = stream.fileno()
            options: dict[str, object] = {"read-only": ("b", True)}
            [loop] = self._call(_MANAGER, "Manager", "LoopSetup", "ha{sv}", (handle, options))
        try:
            # Named, because the kernel's own guess may be the side with one README (WoeUSB#126).
            options = {"fstype": ("s", filesystem), "options": ("s", _MOUNT_OPTIONS)}
            return Path(self._mounted(str(loop), options))
        except BaseException:
            self._delete_loop(str(loop))
            raise

    def unmount_image(self, node: str) -> None:
        """Unmounts a loop device that `mount_image` made, and takes it away."""
        loop = self._object(node)
        self._call(loop, "Filesystem", "Unmount", "a{sv}", ({},))
        self._delete_loop(loop)

    def _mounted(self, loop: str, options: dict[str, object]) -> str:
        deadline = time.monotonic() + _PROBED
        while True:
            try:
                [folder] = self._call(loop, "Filesystem", "Mount", "a{sv}", (options,))
                return str(folder)
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def _delete_loop(self, loop: str) -> None:
        with suppress(ProvisionerError, OSError):  # newer ones take it away by themselves
            self._call(loop, "Loop", "Delete", "a{sv}", ({},))

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
    if "NotAuthorized" in name or name.endswith("AccessDenied"):
        return HostError(
            "udisks does not let you do this",
            hint="ask who looks after this machine, or run it with sudo",
        )
    if name.endswith("DeviceBusy") or os.strerror(errno.EBUSY) in words:
        return OSError(errno.EBUSY, words)
    if os.strerror(errno.EROFS) in words:
        return OSError(errno.EROFS, words)
    if name.endswith(("ServiceUnknown", "UnknownMethod", "UnknownInterface", "NameHasNoOwner")):
        return Unavailable(f"udisks is not here, or too old: {words}")
    return FailedError(f"udisks failed: {words or name}")
