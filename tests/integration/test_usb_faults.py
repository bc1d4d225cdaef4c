"""Faults of real block devices: loop devices over files that fail. Needs root.

Some are played by a FUSE file of ours, others by QEMU's blkdebug behind QEMU's own FUSE export.
"""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.errors import ProvisionerError
from provisioner.usb.capsule import unfinished
from provisioner.usb.gates import GateError, Request
from provisioner.usb.job import Care, Job, Result
from provisioner.usb.spans import MIB
from tests.fakes.stick import small_image
from tests.integration.loops import Loop, disk_of, holds, machine
from tests.unit.disc.readers import run

pytestmark = pytest.mark.integration

SIZE = 96 * MIB


@pytest.fixture
def care(tmp_path: Path) -> Care:
    return Care(state=tmp_path / "state", head=4 * MIB, tail=MIB)


class Faulty:
    """A loop device over a FUSE file with faults (tests/integration/faulty_stick.py)."""

    def __init__(self, folder: Path, backing: Path) -> None:
        self.control = folder / "control.json"
        self.faults()
        self.backing = backing
        mount = folder / "faulty"
        mount.mkdir()
        self._mount = mount
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.faulty_stick", self.backing, mount,
             self.control]
        )  # fmt: skip
        while not (mount / "disk").exists():
            assert self._process.poll() is None
            time.sleep(0.02)
        name = run("losetup", "-f", "--show", "--direct-io=on", mount / "disk").strip()
        self.loop = Loop(path=Path(name), file=self.backing)

    def faults(self, **faults: object) -> None:
        self.control.write_text(json.dumps(faults))

    def close(self) -> None:
        run("losetup", "-d", str(self.loop.path))
        run("umount", self._mount)
        self._process.wait(60)


def sparse(path: Path) -> Path:
    """A file of `SIZE`."""
    with path.open("wb") as file:
        file.truncate(SIZE)
    return path


@pytest.fixture
def faulty(tmp_path: Path) -> Iterator[Faulty]:
    with ExitStack() as stack:
        found = Faulty(tmp_path, sparse(tmp_path / "backing"))
        stack.callback(found.close)
        yield found


FAULTS = [
    ({"write_error": 21 * MIB}, "does not take what is written at byte 22020096"),
    ({"read_error": 21 * MIB}, "cannot be read: byte 22020096, partition 1, sources/file21.bin"),
    ({"rotten": 21 * MIB + 4096}, "sources/file21.bin, is wrong in the same way each time"),
    ({"forget_from": 20 * MIB}, "sources/file21.bin, is wrong in the same way"),
    ({"real": 48 * MIB}, "has less than it says"),
]


@pytest.mark.parametrize(("faults", "says"), FAULTS, ids=lambda value: str(value)[:20])
def test_faults_of_a_block_device(
    faulty: Faulty, care: Care, faults: dict[str, int], says: str
) -> None:
    image = small_image(90 * MIB, until=88 * MIB)
    here = machine(faulty.loop)
    disk = disk_of(here, faulty.loop)
    faulty.faults(**faults)
    [result] = Job(here, replace(care, stamps=0)).write(image, (disk,), Request())
    assert result.failure is not None
    assert says in result.failure.message
    assert unfinished(faulty.backing.read_bytes()[:512])


def test_a_fake_is_found_by_the_probe(faulty: Faulty, care: Care) -> None:
    here = machine(faulty.loop)
    disk = disk_of(here, faulty.loop)
    faulty.faults(real=32 * MIB)
    with pytest.raises(GateError, match="at most 32 MiB are real"):
        Job(here, care).write(small_image(), (disk,), Request())


# --- QEMU's blkdebug ------------------------------------------------------------------------------


class Blkdebug:
    """A loop device over a file that qemu-storage-daemon exports, with one rule of blkdebug
    (QEMU: docs/devel/blkdebug.rst) between the file and us.

    Our own FUSE file stands in between, without a fault: it has one request at a time. QEMU 7.2
    writes wrong bytes when its export has several at once, which reading back found out.
    """

    def __init__(self, folder: Path, rule: dict[str, object]) -> None:
        self.backing, exported = sparse(folder / "backing"), folder / "exported"
        exported.touch()
        inject = {"event": "none", "immediately": False, **rule}
        nodes = [
            {"driver": "file", "filename": str(self.backing), "node-name": "file"},
            {"driver": "blkdebug", "image": "file", "node-name": "bug", "inject-error": [inject]},
        ]
        self._process = subprocess.Popen(
            [
                "qemu-storage-daemon",
                *(word for node in nodes for word in ("--blockdev", json.dumps(node))),
                "--export",
                f"type=fuse,id=out,node-name=bug,mountpoint={exported},writable=on,allow-other=off",
            ]
        )
        while not exported.stat().st_size:
            assert self._process.poll() is None
            time.sleep(0.02)
        self._above = Faulty(folder, exported)
        self.loop = self._above.loop

    def close(self) -> None:
        self._above.close()
        self._process.terminate()
        self._process.wait(60)


N = 21 * MIB
"""In the image, and behind what the undo capsule holds."""


def injected(
    folder: Path, care: Care, rule: dict[str, object]
) -> tuple[Blkdebug, Result | ProvisionerError]:
    """Writes an image over one rule; the device is closed again."""
    bug = Blkdebug(folder, rule)
    try:
        here = machine(bug.loop)
        job = Job(here, replace(care, stamps=0))
        try:
            [result] = job.write(small_image(90 * MIB, until=88 * MIB), (disk_of(here, bug.loop),),
                                 Request())  # fmt: skip
        except ProvisionerError as err:
            return bug, err
        return bug, result
    finally:
        bug.close()


LASTING = [
    ({"iotype": "write", "errno": errno.EIO, "sector": N // 512},
     f"does not take what is written at byte {N}, in sources/file21.bin: Input/output error"),
    ({"iotype": "read", "errno": errno.EIO, "sector": N // 512 + 8},
     f"cannot be read: byte {N + 4096}, partition 1, sources/file21.bin"),
    ({"iotype": "write", "errno": errno.ENOSPC, "sector": N // 512},
     f"shrank: it takes nothing more at byte {N}, and said it has {SIZE} bytes"),
    ({"iotype": "write", "errno": errno.ENODEV, "sector": N // 512}, f"disappeared at byte {N}"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "says"), LASTING, ids=lambda value: str(value)[:40])
def test_an_error_that_stays(
    tmp_path: Path, care: Care, rule: dict[str, object], says: str
) -> None:
    bug, result = injected(tmp_path, care, rule)
    assert isinstance(result, Result)
    assert result.failure is not None
    assert says in result.failure.message
    assert result.failure.exit_code == 4
    assert unfinished(bug.backing.read_bytes()[:512])


def test_an_error_that_goes_away(tmp_path: Path, care: Care) -> None:
    """A write is tried again."""
    rule = {"iotype": "write", "errno": errno.EIO, "sector": N // 512, "once": True}
    bug, result = injected(tmp_path, care, rule)
    assert isinstance(result, Result)
    assert result.failure is None
    assert holds(bug.backing, small_image(90 * MIB, until=88 * MIB))


def test_an_error_before_the_point_of_no_return(tmp_path: Path, care: Care) -> None:
    """In what the undo capsule holds: the stick is as it was, to the byte."""
    rule = {"iotype": "flush", "errno": errno.EIO, "once": True}
    bug, err = injected(tmp_path, care, rule)
    assert isinstance(err, ProvisionerError)
    assert "does not take what is written: Input/output error" in err.message
    assert "is as it was before" in err.message
    assert err.exit_code == 4
    assert not bug.backing.read_bytes().strip(b"\0")
