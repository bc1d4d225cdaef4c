"""Our side of udisks, against a service of our own on a private bus: names, signatures, errors and
descriptors that are passed. That the real udisks behaves like this is in docs/unproven.md."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.errors import FailedError, HostError
from provisioner.host.disk import OpenDisk
from provisioner.host.udisks import Unavailable, connected
from provisioner.usb.devices import chosen
from provisioner.usb.gates import GateError, Request
from provisioner.usb.local import LocalMachine
from tests.fakes.stick import stick_disk
from tests.fakes.udisks import NAME, Service, private_bus
from tests.unit.usb.trees import Tree


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[str]:
    with private_bus(tmp_path) as address:
        yield address


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
    assert service.methods() == ["Manager.ResolveDevice", "Filesystem.Unmount"]


ERRORS = [
    (f"{NAME}.Error.NotAuthorized", "Not authorized", HostError, "does not let you"),
    (f"{NAME}.Error.NotAuthorizedDismissed", "Dismissed", HostError, "does not let you"),
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
