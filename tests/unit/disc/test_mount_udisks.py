"""`iso mount` without a folder: what udisks is asked, and what is made of its answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.disc.create import Order, create
from provisioner.host.udisks import connected
from provisioner.image.shapes import Shape
from tests.fakes.udisks import LOOP, NAME, Service, private_bus
from tests.unit.cli.program import Home, members
from tests.unit.disc.readers import made

UNKNOWN = ("org.freedesktop.DBus.Error.UnknownMethod", "No such interface")
DENIED = (f"{NAME}.Error.NotAuthorized", "Not authorized to perform operation")


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[str]:
    with private_bus(tmp_path) as address:
        yield address


@pytest.fixture
def home(tmp_path: Path, bus: str) -> Home:
    home = Home(tmp_path / "h", variables={"DBUS_SYSTEM_BUS_ADDRESS": bus})
    tree = made(home.work / "tree", {"a": b"1", "b/c": b"2"})
    create(tree, home.work / "x.iso", Order(shape=Shape.WINDOWS))
    create(tree, home.work / "y.iso", Order(shape=Shape.PORTABLE))
    return home


@pytest.fixture
def service(bus: str, home: Home) -> Iterator[Service]:
    found = Service(bus, home.work / "tree/a")
    yield found
    found.close()


@pytest.mark.parametrize(("image", "side"), [("x.iso", "udf"), ("y.iso", "iso9660")])
def test_mounted_where_udisks_says(home: Home, service: Service, image: str, side: str) -> None:
    (event,) = members(home.events("iso", "mount", image), "mounted")
    assert (event["how"], event["folder"]) == ("udisks", str(home.work / "tree"))
    assert service.images == [str(home.work / image)]
    setup, mount = service.calls
    assert setup[1:] == (f"{NAME}.Manager.LoopSetup", (setup[2][0], {"read-only": ("b", True)}))
    options = {"fstype": ("s", side), "options": ("s", "ro,nosuid,nodev")}
    assert mount == (LOOP, f"{NAME}.Filesystem.Mount", (options,))


def test_udev_may_take_its_time(home: Home, service: Service) -> None:
    service.fails["Mount"] = UNKNOWN
    service.times["Mount"] = 3
    done = home.run("iso", "mount", "x.iso")
    assert (done.returncode, done.stdout) == (0, f"{home.work}/tree\n")
    assert service.methods().count("Filesystem.Mount") == 4


def test_what_udisks_refuses_leaves_no_device(home: Home, service: Service) -> None:
    service.fails["Mount"] = DENIED
    done = home.run("iso", "mount", "x.iso")
    assert done.returncode == 3 and "does not let you" in done.stderr
    assert "name an empty folder, and FUSE shows" in " ".join(done.stderr.split())
    assert service.calls[-1] == (LOOP, f"{NAME}.Loop.Delete", ({},))


def test_a_readme_is_not_shown_for_a_disc(home: Home, service: Service) -> None:
    service.folder = home.work / "other"
    service.folder.mkdir()
    (service.folder / "readme.txt").touch()
    done = home.run("iso", "mount", "x.iso")
    assert done.returncode == 3
    assert "shows other files of x.iso than are on it" in done.stderr


def test_unmounted_with_its_device(bus: str, service: Service) -> None:
    with connected(bus) as udisks:
        udisks.unmount_image("/dev/loop7")
    methods = ["Manager.ResolveDevice", "Filesystem.Unmount", "Loop.Delete"]
    assert service.methods() == methods
    assert {path for path, _, _ in service.calls[1:]} == {LOOP}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--how", "fuse"), "in which folder?"),
        (("--foreground",), "in which folder?"),
        (("tree", "--how", "udisks"), "udisks chooses the folder itself"),
    ],
)
def test_usage(home: Home, arguments: tuple[str, ...], words: str) -> None:
    done = home.run("iso", "mount", "x.iso", *arguments)
    assert (done.returncode, words in done.stderr) == (2, True)


def test_without_udisks(home: Home, tmp_path: Path) -> None:
    done = home.run("iso", "mount", "x.iso")
    assert done.returncode == 3 and "udisks is not here" in done.stderr
    home.variables["DBUS_SYSTEM_BUS_ADDRESS"] = f"unix:path={tmp_path}/no"
    done = home.run("iso", "mount", "x.iso")
    assert done.returncode == 3 and "there is no system bus here" in done.stderr
    assert "FUSE shows the files" in " ".join(done.stderr.split())
