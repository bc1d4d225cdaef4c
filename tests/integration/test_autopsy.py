"""`autopsy --disk` without root: an ordinary user, where /dev/fuse is everybody's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.home import discard, short_folder
from tests.integration.places import REPOSITORY, Place, unprivileged_user
from tests.unit.autopsy import disks

pytestmark = pytest.mark.integration

LOG = b"2026-11-22 10:00:05, Error  IBS Setup has failed to validate the product key.\r\n"
EVERYBODYS = """
mknod /run/libvirt/fuse c 10 229; chmod 666 /run/libvirt/fuse
mount --bind /run/libvirt/fuse /dev/fuse
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Reachable for everybody, with a disk that everybody may read."""
    place = short_folder()
    try:
        disk = disks.gpt_disk(place, {"Windows/Panther/setuperr.log": LOG})
        disks.overlay(disk, "top.qcow2")
        yield place
    finally:
        discard(place)


def examine(place: Place, folder: Path) -> subprocess.CompletedProcess[str]:
    """What an ordinary user gets, into a folder that is there already for them."""
    own = folder / "own"
    own.mkdir()
    os.chown(own, place.uid, place.gid)
    environment = {"HOME": str(own), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
    environment |= {"PYTHONPATH": str(REPOSITORY), "TMPDIR": str(own)}
    words = [f"{name}={value}" for name, value in environment.items()]
    program = [sys.executable, "-B", "-m", "provisioner", "autopsy", "--json"]
    argv = [*place.enter, "env", "-i", "-C", str(own), *words, *program]
    return subprocess.run(
        [*argv, "--disk", str(folder / "top.qcow2")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_an_ordinary_user_reads_a_chain(folder: Path) -> None:
    with unprivileged_user() as place:
        place.run("sh", "-ec", EVERYBODYS)
        done = examine(place, folder)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["verdict"]["signature"] == "key.validation", told["remarks"]
        page = Path(told["page"])
        assert page.stat().st_uid == place.uid != 0
        assert [path.name for path in (folder / "own").iterdir()] == [".local"]
        assert str(folder) not in place.run("cat", "/proc/mounts")


def test_without_leave_to_use_fuse_it_says_so(folder: Path) -> None:
    with unprivileged_user() as place:
        place.run("sh", "-ec", EVERYBODYS.replace("666", "600"))
        done = examine(place, folder)
        assert done.returncode == 3, done.stderr
        error = json.loads(done.stdout)
        assert "/dev/fuse cannot be opened" in error["message"]
        assert "qemu-storage-daemon" in error["message"]
