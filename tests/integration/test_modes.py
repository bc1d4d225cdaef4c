"""The life of a machine in the three ways libvirt can be reached."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.integration.home import Home
from tests.integration.leaks import leaks

pytestmark = pytest.mark.integration

MODES = [
    pytest.param("home"),
    pytest.param("system_home", marks=pytest.mark.xdist_group("system")),
    pytest.param("user_home", marks=pytest.mark.xdist_group("session")),
]


def own_kernel(home: Home) -> Path:
    """A copy, because the system daemon gives a guest's kernel to QEMU's user."""
    folder = home.folder / "k"
    folder.mkdir()
    shutil.copy(home.media.initrd, folder)
    return Path(shutil.copy(home.media.kernel, folder))


@pytest.mark.parametrize("fixture", MODES)
def test_life_of_a_machine(fixture: str, request: pytest.FixtureRequest) -> None:
    home: Home = request.getfixturevalue(fixture)
    home.direct_guest(kernel=own_kernel(home))
    profile = home.profile()

    planned = home.json("plan", profile).event("plan")
    assert [step.split()[0] for step in planned["steps"]] == [
        *("write", "let", "make", "define", "start", "wait", "eject")
    ]
    made = home.json("up", profile)
    assert [event["text"] for event in made.events if event["event"] == "step"] == planned["steps"]
    assert made.event("up")["outcome"] == "installed"

    status = home.machine()
    assert (status["phase"], status["state"], status["users"]) == ("ready", "running", ["dev"])
    assert home.place.uri is None or status["uri"] == home.place.uri
    assert [event["name"] for event in home.json("list").events] == ["m1"]
    install, answers, empty = status["drives"]
    assert Path(install["medium"]).name == "m1-1-boot.qcow2"
    assert (answers["medium"], empty["medium"]) == (None, None)
    assert home.json("up", profile).event("up")["outcome"] == "nothing to do"

    password = home.run("secret", "m1", "dev").out.strip()
    assert len(password) == 20

    picture = home.work / "screen.png"
    picture.parent.chmod(0o777)
    home.run("status", "m1", "--screenshot", str(picture))
    assert picture.read_bytes().startswith((b"\x89PNG", b"P6"))

    attached = home.json("drive", "attach", "m1", str(home.media.drivers)).event("attached")
    drives = {drive["target"]: drive["medium"] for drive in home.machine()["drives"]}
    assert drives[attached["drive"]] == str(home.media.drivers)
    home.run("drive", "eject", "m1", "--drive", attached["drive"])
    assert all(drive["medium"] != str(home.media.drivers) for drive in home.machine()["drives"])

    assert home.json("down", "m1").event("down")["outcome"] == "off"
    assert home.machine()["state"] == "off"
    assert home.json("down", "m1").event("down")["outcome"] == "was off"
    assert home.json("up", profile).event("up")["outcome"] == "started"
    assert home.machine()["state"] == "running"

    refused = home.run("up", profile, "--set", "machine.memory=640 MiB", expect=5)
    assert "machine.memory: " in refused.err and "--replace" in refused.err

    asked = home.run("delete", "m1", expect=5)
    assert "domain m1" in asked.err and "m1-1.qcow2" in asked.err
    assert home.machine()["state"] == "running"
    home.run("delete", "m1", "--yes")
    assert leaks(home) == []
    home.run("status", "m1", expect=4)
