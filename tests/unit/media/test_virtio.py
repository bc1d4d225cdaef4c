"""Choosing drivers from a virtio-win disc."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.errors import MediaError
from provisioner.media.facts import MediaFacts, MediaKind
from provisioner.media.inspect import inspect
from provisioner.media.virtio import guest_tools, os_folders, require_virtio, select, version
from provisioner.media.window import Extents, opened
from tests.unit.media.discs import make_tree, run

FOLDERS = ("w10/amd64", "w10/x86", "w11/amd64", "w11/ARM64", "2k19/amd64", "2k22/amd64")


@pytest.fixture(scope="module")
def drivers(tmp_path_factory: pytest.TempPathFactory) -> MediaFacts:
    folder = tmp_path_factory.mktemp("virtio")
    files = {
        f"{driver}/{where}/{driver.lower()}{suffix}": f"{driver} {where}{suffix}".encode()
        for driver in ("viostor", "NetKVM", "vioserial", "Balloon")
        for where in FOLDERS
        for suffix in (".inf", ".sys", ".cat", ".pdb")
    }
    files["viostor/2k25/amd64/viostor.inf"] = b"only viostor has it here"
    files["amd64/w11/viostor.inf"] = b"the flat tree"
    files["guest-agent/qemu-ga-x86_64.msi"] = b"agent"
    files["virtio-win-gt-x64.msi"] = b"tools"
    image = folder / "virtio-win.iso"
    tree = make_tree(folder / "tree", files)
    run(["genisoimage", "-quiet", "-J", "-R", "-V", "virtio-win-0.1.285", "-o", image, tree])
    return inspect(image)


def test_the_disc_is_known(drivers: MediaFacts) -> None:
    assert drivers.kind is MediaKind.VIRTIO_DRIVERS
    assert drivers.evidence[0] == "its label is virtio-win-0.1.285"
    assert version(drivers) == "0.1.285"


def folders(facts: MediaFacts, *devices: str, build: int, server: bool = False) -> list[str]:
    chosen = select(facts, devices, build=build, server=server, architecture="amd64")
    return [driver.folder for driver in chosen]


def test_windows_11(drivers: MediaFacts) -> None:
    assert folders(drivers, "virtio-blk", "virtio-net", "virtio-blk", build=26100) == [
        "viostor/w11/amd64",
        "NetKVM/w11/amd64",
    ]


def test_servers_take_their_folder_or_one_of_the_same_build(drivers: MediaFacts) -> None:
    assert folders(drivers, "virtio-blk", "balloon", build=26100, server=True) == [
        "viostor/2k25/amd64",
        "Balloon/w11/amd64",
    ]
    assert folders(drivers, "virtio-serial", build=20348, server=True) == ["vioserial/2k22/amd64"]
    assert folders(drivers, "virtio-serial", build=14393, server=True) == ["vioserial/w10/amd64"]


def test_other_architectures(drivers: MediaFacts) -> None:
    (driver,) = select(drivers, ["virtio-net"], build=22631, server=False, architecture="arm64")
    assert driver.folder == "NetKVM/w11/ARM64"


def test_files_are_slices_of_the_disc(drivers: MediaFacts) -> None:
    (driver,) = select(drivers, ["virtio-blk"], build=19045, server=False, architecture="amd64")
    assert list(driver.files) == ["viostor.cat", "viostor.inf", "viostor.sys"]
    with opened(drivers.path) as window:
        file = Extents(window, driver.files["viostor.sys"])
        assert file.read(0, file.size) == b"viostor w10/amd64.sys"
    assert driver.size == 3 * len(b"viostor w10/amd64.sys")


def test_a_missing_driver_names_what_is_there(drivers: MediaFacts) -> None:
    with pytest.raises(MediaError, match="no viostor driver for build 7601") as caught:
        select(drivers, ["virtio-blk"], build=7601, server=False, architecture="amd64")
    assert "viostor/w10/amd64" in str(caught.value.hint)
    with pytest.raises(MediaError, match="no vioscsi driver"):
        select(drivers, ["virtio-scsi"], build=26100, server=False, architecture="amd64")


def test_packages_for_later(drivers: MediaFacts) -> None:
    tools = guest_tools(drivers, architecture="amd64")
    assert tools.agent is not None and tools.agent.path == "guest-agent/qemu-ga-x86_64.msi"
    assert tools.drivers is not None and tools.drivers.path == "virtio-win-gt-x64.msi"
    none = guest_tools(drivers, architecture="arm64")
    assert (none.agent, none.drivers) == (None, None)


def test_other_discs_are_refused(answer_iso: Path) -> None:
    with pytest.raises(MediaError, match="is not a virtio driver disc"):
        require_virtio(inspect(answer_iso))


@pytest.mark.parametrize(
    ("build", "server", "first"),
    [
        (26200, False, "w11"),
        (22000, False, "w11"),
        (19045, False, "w10"),
        (9600, False, "w8.1"),
        (7601, True, "2k8R2"),
        (17763, True, "2k19"),
        (25398, True, "2k22"),
        (26100, True, "2k25"),
        (6002, True, None),
    ],
)
def test_folders_by_build(build: int, server: bool, first: str | None) -> None:
    assert next(iter(os_folders(build, server=server)), None) == first
