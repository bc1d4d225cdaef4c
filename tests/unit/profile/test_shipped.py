"""The shipped profiles and where they are found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provisioner.profile.rules import computer_name
from provisioner.profile.units import Size
from provisioner.resources import Resources, shipped_folder
from provisioner.secret import Generated

DESKTOP = "Standard Desktop Experience"
SHIPPED = (
    "demo",
    "usb-laptop",
    "windows-10",
    "windows-10-iot-ltsc",
    "windows-10-ltsc",
    "windows-11",
    "windows-11-iot-ltsc",
    "windows-11-ltsc",
    "windows-7",
    "windows-8.1",
    "windows-server-2008-r2",
    "windows-server-2012-r2",
    "windows-server-2016",
    "windows-server-2019",
    "windows-server-2022",
    "windows-server-2025",
)


def test_windows_11(desk: Any) -> None:
    loaded = desk.load("windows-11", media={"install": "Win11.iso"})
    profile = loaded.profile
    assert loaded.problems == ()
    assert profile.name == "windows-11"
    assert profile.media.install == str(desk.cwd / "Win11.iso")
    assert (profile.windows.product, profile.windows.edition) == ("windows-11", "Professional")
    [user] = profile.windows.users
    assert (user.groups, user.password) == (("Administrators",), Generated(generate=20))
    assert profile.windows.remote.rdp
    machine = profile.machine
    assert (machine.cpus, machine.memory, machine.disks[0].size) == (
        2,
        Size("4 GiB"),
        Size("64 GiB"),
    )
    assert (machine.firmware, machine.tpm) == ("secure-boot", True)
    assert computer_name(profile) == "WINDOWS-11"


def test_windows_server_2025(desk: Any) -> None:
    loaded = desk.load("windows-server-2025")
    assert loaded.problems == ()
    assert loaded.profile.windows.edition == "Standard Desktop Experience"
    assert loaded.profile.windows.administrator.password == Generated(generate=20)
    assert len(computer_name(loaded.profile)) <= 15


@pytest.mark.parametrize(
    ("name", "product", "edition", "firmware", "tpm"),
    [
        ("windows-10", "windows-10", "Professional", "secure-boot", False),
        ("windows-11-ltsc", "windows-11", "EnterpriseS", "secure-boot", True),
        ("windows-7", "windows-7", "Professional", "bios", False),
        ("windows-8.1", "windows-8.1", "Professional", "uefi", False),
        ("windows-10-ltsc", "windows-10", "EnterpriseS", "secure-boot", False),
        ("windows-10-iot-ltsc", "windows-10", "IoTEnterpriseS", "secure-boot", False),
        ("windows-11-iot-ltsc", "windows-11", "IoTEnterpriseS", "secure-boot", True),
        ("windows-server-2016", "windows-server-2016", DESKTOP, "secure-boot", False),
        ("windows-server-2012-r2", "windows-server-2012-r2", DESKTOP, "uefi", False),
        ("windows-server-2008-r2", "windows-server-2008-r2", DESKTOP, "bios", False),
        ("windows-server-2022", "windows-server-2022", DESKTOP, "secure-boot", True),
        ("windows-server-2019", "windows-server-2019", DESKTOP, "secure-boot", False),
    ],
)
def test_the_others(
    desk: Any, name: str, product: str, edition: str, firmware: str, tpm: bool
) -> None:
    loaded = desk.load(name)
    windows, machine = loaded.profile.windows, loaded.profile.machine
    assert loaded.problems == ()
    assert (windows.product, windows.edition) == (product, edition)
    assert (machine.firmware, machine.tpm) == (firmware, tpm)
    assert len(computer_name(loaded.profile)) <= 15
    assert windows.remote.rdp


@pytest.mark.parametrize("name", SHIPPED)
def test_editors_find_the_schema(name: str) -> None:
    path = shipped_folder() / f"profiles/{name}.yaml"
    first, rest = path.read_text(encoding="utf-8").split("\n", 1)
    assert first == "# yaml-language-server: $schema=../provisioner.schema.json"
    assert rest.startswith("#\n# ")


def test_usb_laptop(desk: Any) -> None:
    profile = desk.load("usb-laptop", media={"install": "Win11.iso"}).profile
    assert profile.metal is not None
    assert (profile.metal.firmware, profile.firmware) == ("secure-boot", "secure-boot")
    assert computer_name(profile) == "LAPTOP"
    assert profile.windows.device_encryption is None


def test_demo(desk: Any) -> None:
    path = shipped_folder() / "profiles/demo.yaml"
    loaded = desk.load(path)
    profile = loaded.profile
    assert loaded.problems == ()
    assert (profile.name, profile.windows.edition) == ("demo", "Professional")
    assert profile.media.install == str(shipped_folder() / "build/standin/install.iso")
    assert profile.media.drivers == str(shipped_folder() / "build/standin/drivers.iso")
    assert (profile.machine.memory, profile.machine.ready.within.seconds) == (Size("1 GiB"), 900)
    assert "THIS DOES NOT INSTALL WINDOWS" in path.read_text(encoding="utf-8")


def test_two_machines_on_one_shipped_profile_differ(desk: Any) -> None:
    for name in ("fs01", "fs02"):
        desk.write(f"{name}.yaml", "extends: windows-server-2025\n")
        assert computer_name(desk.load(f"{name}.yaml").profile) == name.upper()


def test_resources_prefer_the_user(tmp_path: Path) -> None:
    shipped, user = tmp_path / "shipped", tmp_path / "user"
    for root, names in ((shipped, ("a", "b")), (user, ("b", "c"))):
        for name in names:
            (root / "profiles").mkdir(parents=True, exist_ok=True)
            (root / "profiles" / f"{name}.yaml").write_text("")
    (shipped / "templates").mkdir()
    resources = Resources(shipped=shipped, user=user)
    assert resources.profiles() == ("a", "b", "c")
    assert resources.profile("b") == user / "profiles/b.yaml"
    assert (
        resources.profile("b", other_than=user / "profiles/b.yaml") == shipped / "profiles/b.yaml"
    )
    assert resources.profile("d") is None
    assert resources.template_folders() == (shipped / "templates",)
    (user / "templates").mkdir()
    assert resources.template_folders() == (user / "templates", shipped / "templates")
    assert Resources(shipped=shipped).profiles() == ("a", "b")


def test_they_are_shipped() -> None:
    assert Resources(shipped=shipped_folder()).profiles() == SHIPPED
