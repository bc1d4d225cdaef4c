"""Our side of udisks, against a service of our own on a private bus: names, signatures, errors and
descriptors that are passed. That the real udisks behaves like this is in docs/unproven.md."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jeepney import MessageFlag, MessageType, new_error, new_method_return
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import open_dbus_connection

from provisioner.errors import FailedError, HostError
from provisioner.host.disk import OpenDisk
from provisioner.host.udisks import Unavailable, connected
from provisioner.usb.devices import chosen
from provisioner.usb.gates import GateError, Request
from provisioner.usb.local import LocalMachine
from tests.fakes.stick import stick_disk
from tests.unit.usb.trees import Tree

NAME = "org.freedesktop.UDisks2"


class Service:
    """Plays udisks for one stick, a file. `fails` gives a method an error: name and words."""

    def __init__(self, address: str, file: Path) -> None:
        self.file = file
        self.fails: dict[str, tuple[str, str]] = {}
        self.calls: list[tuple[str, str, tuple[Any, ...]]] = []
        self.interactive: list[bool] = []
        self._connection = open_dbus_connection(address, enable_fds=True)
        self._connection.send_and_get_reply(message_bus.RequestName(NAME))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._connection.close()

    def _serve(self) -> None:
        while True:
            try:
                message = self._connection.receive()
            except (OSError, EOFError):
                return
            if message.header.message_type is not MessageType.method_call:
                continue
            fields = {field.name: value for field, value in message.header.fields.items()}
            member = fields["member"]
            self.calls.append((fields["path"], f"{fields['interface']}.{member}", message.body))
            self.interactive.append(
                bool(message.header.flags & MessageFlag.allow_interactive_authorization)
            )
            if member in self.fails:
                name, words = self.fails[member]
                self._connection.send(new_error(message, name, "s", (words,)))
            elif member == "ResolveDevice":
                node = message.body[0]["path"][1]
                paths = [f"/org/freedesktop/UDisks2/block_devices/{Path(node).name}"]
                found = paths if "sdc" in node else []
                self._connection.send(new_method_return(message, "ao", (found,)))
            elif member == "OpenDevice":
                write = message.body[0] == "rw"
                opened = os.open(self.file, os.O_RDWR if write else os.O_RDONLY)
                self._connection.send(new_method_return(message, "h", (opened,)))
                os.close(opened)
            else:
                self._connection.send(new_method_return(message))


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[str]:
    """A bus of our own."""
    config = tmp_path / "bus.conf"
    config.write_text(
        "<!DOCTYPE busconfig PUBLIC '-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN' "
        "'http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd'><busconfig>"
        f"<listen>unix:path={tmp_path}/bus</listen><auth>EXTERNAL</auth>"
        "<policy context='default'><allow send_destination='*' eavesdrop='true'/>"
        "<allow eavesdrop='true'/><allow own='*'/></policy></busconfig>"
    )
    daemon = subprocess.Popen(
        ["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert daemon.stdout is not None
    yield daemon.stdout.readline().strip()
    daemon.terminate()
    daemon.wait()
    daemon.stdout.close()


@pytest.fixture
def service(bus: str, tmp_path: Path) -> Iterator[Service]:
    file = tmp_path / "stick"
    file.write_bytes(b"hello".ljust(4096, b"\0"))
    found = Service(bus, file)
    yield found
    found.close()


def test_open_for_us_alone(bus: str, service: Service) -> None:
    with connected(bus) as udisks:
        disk = udisks.open("/dev/sdc", write=True)
        assert isinstance(disk, OpenDisk)
        assert disk.read(0, 512)[:5] == b"hello"
        assert disk.write(512, b"x" * 512) == 512
        disk.close()
    assert service.file.read_bytes()[512:520] == b"xxxxxxxx"
    path, method, body = service.calls[-1]
    assert path == "/org/freedesktop/UDisks2/block_devices/sdc"
    assert method == f"{NAME}.Block.OpenDevice"
    assert body == ("rw", {"flags": ("i", os.O_EXCL | os.O_DIRECT | os.O_CLOEXEC)})
    assert all(service.interactive), "polkit may ask"


def test_unmount(bus: str, service: Service) -> None:
    with connected(bus) as udisks:
        udisks.unmount("/dev/sdc1")
    methods = [method.removeprefix(f"{NAME}.") for _, method, _ in service.calls]
    assert methods == ["Manager.ResolveDevice", "Filesystem.Unmount"]


ERRORS = [
    (f"{NAME}.Error.NotAuthorized", "Not authorized", HostError, "does not let you open"),
    (f"{NAME}.Error.NotAuthorizedDismissed", "Dismissed", HostError, "does not let you open"),
    (f"{NAME}.Error.DeviceBusy", "busy", OSError, "busy"),
    (f"{NAME}.Error.Failed", "Error opening: Device or resource busy", OSError, "busy"),
    (f"{NAME}.Error.Failed", "Read-only file system", OSError, "Read-only"),
    (f"{NAME}.Error.Failed", "on fire", FailedError, "udisks failed: on fire"),
    ("org.freedesktop.DBus.Error.UnknownMethod", "OpenDevice", Unavailable, "too old"),
]


@pytest.mark.parametrize(("name", "words", "kind", "says"), ERRORS)
def test_errors(
    bus: str, service: Service, name: str, words: str, kind: type[Exception], says: str
) -> None:
    service.fails["OpenDevice"] = (name, words)
    with connected(bus) as udisks, pytest.raises(kind, match=says):
        udisks.open("/dev/sdc", write=True)


def test_nobody_there(bus: str, tmp_path: Path) -> None:
    with connected(bus) as udisks, pytest.raises(Unavailable, match="not here"):
        udisks.open("/dev/sdc", write=True)
    with pytest.raises(Unavailable, match="no system bus"), connected(f"unix:path={tmp_path}/no"):
        pass


def test_an_unknown_disk(bus: str, service: Service) -> None:
    with connected(bus) as udisks, pytest.raises(Unavailable, match="does not know"):
        udisks.open("/dev/sdx", write=True)


def test_the_order_of_ways(bus: str, service: Service, tmp_path: Path) -> None:
    """udisks where the node is not ours, and its refusals are ours; else the helper."""
    tree = Tree(tmp_path / "tree")
    here = LocalMachine(system=tree.system, bus=bus, elevate=("false",))
    disk = stick_disk(4096, node=str(tmp_path / "not-there" / "sdc"))
    here.open(chosen(disk), Request()).close()
    service.fails["OpenDevice"] = (f"{NAME}.Error.DeviceBusy", "busy")
    with pytest.raises(GateError, match="in use by something"):
        here.open(chosen(disk), Request())
    service.fails["OpenDevice"] = ("org.freedesktop.DBus.Error.UnknownMethod", "no")
    with pytest.raises(HostError, match="false did not start the helper"):
        here.open(chosen(disk), Request())
