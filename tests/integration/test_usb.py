"""Sticks on real block devices: loop devices of our own. Needs root."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.errors import FailedError, HostError
from provisioner.host.disk import open_disk
from provisioner.usb.capsule import unfinished
from provisioner.usb.checks import probe_stick, undo_stick, verify_stick
from provisioner.usb.devices import chosen
from provisioner.usb.gates import GateError, Request, find
from provisioner.usb.job import Care, Job
from provisioner.usb.local import LocalMachine
from provisioner.usb.probe import Capacity
from provisioner.usb.raw import open_raw
from provisioner.usb.remote import HelperDevice
from provisioner.usb.restore import Filesystem, Table, empty_stick
from provisioner.usb.spans import MIB
from tests.fakes.stick import small_image
from tests.integration.loops import Loop, disk_of, holds, loop, machine
from tests.unit.disc.readers import run

pytestmark = pytest.mark.integration

SIZE = 96 * MIB


@pytest.fixture
def stick(tmp_path: Path) -> Iterator[Loop]:
    with loop(tmp_path / "stick.img", SIZE) as found:
        yield found


@pytest.fixture
def care(tmp_path: Path) -> Care:
    return Care(state=tmp_path / "state", head=4 * MIB, tail=MIB)


def test_written_and_proven(tmp_path: Path, stick: Loop, care: Care) -> None:
    image = small_image(64 * MIB, until=60 * MIB)
    with loop(tmp_path / "other.img", SIZE) as other:
        here = machine(stick)
        disk = disk_of(here, stick)
        assert disk.diskseq is not None
        before, seen = other.written, []
        job = Job(here, care, progress=lambda label, done, total: seen.append((label, done, total)))
        [result] = job.write(image, (disk,), Request(needed=image.size))
        assert result.failure is None
        assert result.verified is not None
        assert result.verified.sound
        assert holds(stick.file, image)
        assert other.written == before
        assert stick.written >= image.used
    assert ("writing", image.used, image.used) in seen
    counts = [done for label, done, _ in seen if label == "writing"]
    assert counts == sorted(counts)
    assert verify_stick(here, disk, image, Request(reading=True), lambda *_: None).sound
    with stick.file.open("r+b") as file:
        file.seek(41 * MIB + 8)
        (before,) = file.read(1)
        file.seek(41 * MIB + 8)
        file.write(bytes((before ^ 0xFF,)))
    found = verify_stick(here, disk, image, Request(reading=True), lambda *_: None)
    assert [finding.offset for finding in found.findings] == [41 * MIB + 8]


def test_a_loop_device_is_refused_without_the_tests_machine(stick: Loop) -> None:
    here = LocalMachine(bus=None, elevate=())
    disk = find(here.disks(), str(stick.path), interactive=True)
    with pytest.raises(GateError, match="is a loop device") as caught:
        Job(here, Care(state=stick.file.parent)).write(small_image(), (disk,), Request())
    assert (caught.value.exit_code, caught.value.rule) == (5, "usb.loop")
    assert stick.written == 0


def test_the_disk_of_this_system_is_refused(tmp_path: Path) -> None:
    here = LocalMachine(bus=None, elevate=())
    own = [disk for disk in here.disks() if any(use.system for use in disk.uses)]
    assert own, "sysfs shows no disk that this system stands on"
    for disk in own:
        with pytest.raises(GateError, match="the running system stands on"):
            Job(here, Care(state=tmp_path)).write(
                small_image(), (disk,), Request(fixed=True, unmount=True)
            )


def test_the_sequence_number_changes_with_the_medium(tmp_path: Path, care: Care) -> None:
    """The node is the same, the disk is another one: what /dev/sdc is after a re-plug."""
    image = small_image()
    with loop(tmp_path / "a.img", SIZE) as first:
        before = disk_of(machine(first), first)
    with loop(tmp_path / "b.img", SIZE, place=before.node) as second:
        assert second.name == before.name
        here = machine(second)
        with pytest.raises(GateError, match="disk sequence number was") as caught:
            Job(here, care).write(image, (before,), Request())
        assert caught.value.rule == "usb.swapped"
        assert second.written == 0


def test_held_by_somebody_else(stick: Loop, care: Care) -> None:
    """O_EXCL: a second opener, and a mount while we write."""
    here = machine(stick)
    disk = disk_of(here, stick)
    first = open_disk(stick.path, write=True)
    with pytest.raises(GateError, match="in use by something") as caught:
        Job(here, care).write(small_image(), (disk,), Request())
    assert caught.value.rule == "usb.busy"
    run("mkfs.ext4", "-q", "-F", stick.file)
    mounted = stick.file.parent / "mnt"
    mounted.mkdir()
    refused = subprocess.run(["mount", stick.path, mounted], capture_output=True, check=False)
    assert refused.returncode != 0, "nobody mounts what we hold"
    first.close()
    run("mount", stick.path, mounted)
    try:
        disk = disk_of(here, stick)
        assert [use.where for use in disk.uses] == [str(mounted)]
        with pytest.raises(GateError, match="is mounted at"):
            Job(here, care).write(small_image(), (disk,), Request())
        (mounted / "a.img").write_bytes(b"x")
        with pytest.raises(GateError, match="which would be erased"):
            Job(here, care).write(
                small_image(), (disk,), Request(unmount=True, sources=(mounted / "a.img",))
            )
        [result] = Job(here, care).write(small_image(), (disk,), Request(unmount=True))
        assert result.failure is None
    finally:
        subprocess.run(["umount", mounted], check=False, capture_output=True)


def test_an_interrupted_write_is_undone(tmp_path: Path, stick: Loop, care: Care) -> None:
    """Killed before the point of no return, as by a power failure; then `usb restore --undo`."""
    run("mkfs.vfat", "-n", "HOLIDAY", stick.file)
    digest = hashlib.sha256(stick.file.read_bytes()).hexdigest()
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from tests.integration.loops import Loop, disk_of, machine\n"
        "from tests.fakes.stick import small_image\n"
        "from provisioner.usb.gates import Request\n"
        "from provisioner.usb.job import Care, Job\n"
        "one = Loop(path=Path(sys.argv[1]), file=Path(sys.argv[2]))\n"
        "here = machine(one)\n"
        "image = small_image()\n"
        "image.before = lambda offset: os._exit(9) if offset >= 2**21 else None\n"
        "care = Care(state=Path(sys.argv[3]), head=2**22, tail=2**20)\n"
        "Job(here, care).write(image, (disk_of(here, one),), Request())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, stick.path, stick.file, care.state], check=False
    )
    assert done.returncode == 9
    os.sync()
    assert unfinished(stick.file.read_bytes()[:512])
    here = machine(stick)
    undo_stick(here, disk_of(here, stick), Request(), care)
    os.sync()
    assert hashlib.sha256(stick.file.read_bytes()).hexdigest() == digest
    with pytest.raises(GateError, match="nothing to put back"):
        undo_stick(here, disk_of(here, stick), Request(), care)


def test_a_probe_changes_nothing(stick: Loop, care: Care) -> None:
    stick.file.write_bytes(os.urandom(SIZE))
    before = hashlib.sha256(stick.file.read_bytes()).hexdigest()
    here = machine(stick)
    probed = probe_stick(here, disk_of(here, stick), Request(), care)
    assert (probed.capacity, probed.bad) == (Capacity.HONEST, 0)
    os.sync()
    assert hashlib.sha256(stick.file.read_bytes()).hexdigest() == before


@pytest.mark.parametrize("table", list(Table))
@pytest.mark.parametrize("filesystem", list(Filesystem))
def test_given_back_empty(
    tmp_path: Path, stick: Loop, care: Care, table: Table, filesystem: Filesystem
) -> None:
    """What other people's checkers say of it."""
    here = machine(stick)
    disk = disk_of(here, stick)
    stick.file.write_bytes(b"\xff" * SIZE)
    image = empty_stick(disk.size, tmp_path, table=table, filesystem=filesystem, label="DATA")
    [result] = Job(here, care).write(image, (disk,), Request(needed=image.size))
    assert result.failure is None
    os.sync()
    start, length = image.partition
    volume = tmp_path / "volume"
    volume.write_bytes(stick.file.read_bytes()[start : start + length])
    if filesystem is Filesystem.FAT32:
        run("fsck.fat", "-n", volume)
        assert run("mlabel", "-s", "-i", volume, "::").split()[-1] == "DATA"
        assert run("mdir", "-b", "-i", volume, "::/").strip() == ""
    else:
        run("fsck.exfat", "-n", volume)
        assert "DATA" in run("exfatlabel", volume)
    if table is Table.GPT:
        assert "No problems found" in run("sgdisk", "-v", stick.file)
    parsed = json.loads(run("sfdisk", "--json", stick.file))["partitiontable"]
    assert parsed["label"] == {"mbr": "dos", "gpt": "gpt"}[table.value]
    [part] = parsed["partitions"]
    assert (part["start"] * 512, part["size"] * 512) == image.partition


# --- the elevated helper -------------------------------------------------------------------------


def helped(stick: Loop, *, allowed: bool = True) -> LocalMachine:
    """Somebody who may not open the node, and gets the helper."""
    here = machine(stick)
    words = (sys.executable, "-m", "tests.integration.usb_helper")
    serial = (stick.name, "TEST0000") if allowed else ()

    class Unprivileged(type(here)):  # type: ignore[misc]
        def open(self, meant: object, request: object) -> HelperDevice:
            return HelperDevice((*words, *serial), meant, request)  # type: ignore[arg-type]

    return Unprivileged(system=here.system, bus=None, elevate=())


def test_through_the_helper(stick: Loop, care: Care) -> None:
    image = small_image(32 * MIB, until=30 * MIB)
    here = helped(stick)
    disk = disk_of(here, stick)
    [result] = Job(here, care).write(image, (disk,), Request(needed=image.size))
    assert result.failure is None
    assert holds(stick.file, image)


def test_the_helper_believes_nobody(stick: Loop, care: Care) -> None:
    """Its own gates, whatever it is told."""
    here = helped(stick, allowed=False)
    meant = chosen(disk_of(machine(stick), stick))
    with pytest.raises(GateError, match="is a loop device"):
        here.open(meant, Request())
    here = helped(stick)
    with pytest.raises(GateError, match="disk sequence number was"):
        here.open(replace(meant, diskseq=1), Request())
    with pytest.raises(GateError, match="its serial was"):
        here.open(replace(meant, serial="OTHER"), Request())
    with pytest.raises(GateError, match="it is gone"):
        here.open(replace(meant, number="8:200"), Request())
    assert stick.written == 0


def test_the_helper_takes_only_requests(stick: Loop) -> None:
    device = helped(stick).open(chosen(disk_of(machine(stick), stick)), Request())
    assert isinstance(device, HelperDevice)
    try:
        for wrong in (
            {"op": "shell"},
            {"op": "read", "offset": -512, "length": 512},
            {"op": "read", "offset": 1, "length": 512},
            {"op": "read", "offset": 0, "length": 2**40},
            {"op": "open", "chosen": {}, "request": {}},
            {},
        ):
            with pytest.raises(FailedError):
                device._ask(wrong)
        with pytest.raises(OSError) as caught:
            device.write(SIZE, bytes(512))
        assert caught.value.errno == errno.ENOSPC
        assert device.read(0, 1024) == bytes(1024)
    finally:
        device.close()


def test_no_password_no_helper(stick: Loop) -> None:
    meant = chosen(disk_of(machine(stick), stick))
    with pytest.raises(HostError, match="did not start the helper"):
        HelperDevice(("false",), meant, Request())
    with pytest.raises(HostError, match="cannot run"):
        HelperDevice(("/no/such/sudo",), meant, Request())


def test_a_raw_image_with_its_own_tables(tmp_path: Path, stick: Loop, care: Care) -> None:
    """An image that other people's tools made, packed by another."""
    image = tmp_path / "image.img"
    with image.open("wb") as file:
        file.truncate(40 * MIB)
    run("sgdisk", "-n", "1:2048:0", "-t", "1:0700", image)
    run("xz", "-k", "-0", image)
    here = machine(stick)
    stream = open_raw(tmp_path / "image.img.xz", None, limit=SIZE)
    [result] = Job(here, care).write(stream, (disk_of(here, stick),), Request(needed=stream.size))
    assert result.failure is None
    assert stick.file.read_bytes()[: 40 * MIB] == image.read_bytes()
