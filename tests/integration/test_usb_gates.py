"""Gates on what really stands on a block device, and what happens to it meanwhile. Needs root."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from provisioner.usb.capsule import unfinished
from provisioner.usb.devices import UseKind
from provisioner.usb.gates import GateError, Request, find
from provisioner.usb.job import Care, Job
from provisioner.usb.spans import MIB
from tests.fakes.stick import small_image
from tests.integration.loops import Loop, disk_of, loop, machine
from tests.unit.disc.readers import run

pytestmark = pytest.mark.integration

SIZE = 96 * MIB


@pytest.fixture
def stick(tmp_path: Path) -> Iterator[Loop]:
    with loop(tmp_path / "stick.img", SIZE, parts=True) as found:
        try:
            yield found
        finally:
            run("blockdev", "--setrw", found.path)  # the node would stay so for whoever comes next


@pytest.fixture
def care(tmp_path: Path) -> Care:
    return Care(state=tmp_path / "state", head=4 * MIB, tail=MIB)


@contextmanager
def partitioned(stick: Loop) -> Iterator[Path]:
    """One partition over nearly all of it."""
    run("sgdisk", "-n", "1:2048:0", stick.path)
    run("partx", "--update", stick.path)  # for kernels that read no tables themselves
    yield Path(f"{stick.path}p1")


@contextmanager
def mounted(node: Path, folder: Path) -> Iterator[Path]:
    folder.mkdir()
    run("mount", node, folder)
    try:
        yield folder
    finally:
        run("umount", folder)


def refused(stick: Loop, care: Care, request: Request) -> GateError:
    """By which gate; nothing is written."""
    here = machine(stick)
    subprocess.run(["sync"], check=True)
    before = stick.written
    with pytest.raises(GateError) as caught:
        Job(here, care).write(small_image(), (disk_of(here, stick),), request)
    assert caught.value.exit_code == 5
    assert stick.written == before
    return caught.value


def test_a_partition_is_no_target(stick: Loop) -> None:
    with partitioned(stick) as part:
        disks = machine(stick).disks()
        assert part.name not in {disk.name for disk in disks}
        with pytest.raises(GateError, match="is a partition of") as caught:
            find(disks, str(part), interactive=True)
        assert caught.value.rule == "usb.partition"


def test_a_mounted_partition(tmp_path: Path, stick: Loop, care: Care) -> None:
    """And what is mounted is unmounted only with consent."""
    with partitioned(stick) as part:
        run("mkfs.ext4", "-q", "-F", part)
        with mounted(part, tmp_path / "mnt") as folder:
            err = refused(stick, care, Request())
            assert err.rule == "usb.mounted"
            assert f"{part.name} is mounted at {folder}" in err.message


def test_swap_on_a_partition(stick: Loop, care: Care) -> None:
    with partitioned(stick) as part:
        run("mkswap", part)
        run("swapon", part)
        try:
            err = refused(stick, care, Request(unmount=True, fixed=True))
        finally:
            run("swapoff", part)
    assert err.rule == "usb.system-disk"
    assert f"{part.name} is swap space in use" in err.message


def test_a_file_on_it_serves_a_loop_device(tmp_path: Path, stick: Loop, care: Care) -> None:
    """Two steps up the chain, mounted once more there."""
    with partitioned(stick) as part:
        run("mkfs.ext4", "-q", "-F", part)
        with (
            mounted(part, tmp_path / "outer") as outer,
            loop(outer / "inner.img", 16 * MIB) as inner,
        ):
            run("mkfs.ext4", "-q", "-F", inner.path)
            with mounted(inner.path, tmp_path / "inner") as folder:
                kinds = [use.kind for use in disk_of(machine(stick), stick).uses]
                assert kinds == [UseKind.MOUNT, UseKind.LOOP, UseKind.MOUNT]
                err = refused(stick, care, Request(unmount=True))
    assert err.rule == "usb.held"
    assert f"{part.name} → {inner.name} is mounted at {folder}" in err.message


def shrink(stick: Loop) -> None:
    with stick.file.open("r+b") as file:
        file.truncate(40 * MIB)
    run("losetup", "--set-capacity", stick.path)


def protect(stick: Loop) -> None:
    run("blockdev", "--setro", stick.path)


MEANWHILE = [
    (shrink, "shrank: it takes nothing more at byte 4"),  # its end, or one more write under way
    (protect, "became write-protected at byte"),
]


@pytest.mark.parametrize(("event", "says"), MEANWHILE, ids=lambda value: str(value)[:20])
def test_meanwhile(stick: Loop, care: Care, event: Callable[[Loop], None], says: str) -> None:
    """While it is written, behind the point of no return."""
    image = small_image(90 * MIB, until=88 * MIB)

    def before(offset: int) -> None:
        if offset == 31 * MIB:
            event(stick)

    image.before = before
    here = machine(stick)
    disk = disk_of(here, stick)
    [result] = Job(here, care).write(image, (disk,), Request(needed=image.size))
    assert result.failure is not None
    assert says in result.failure.message
    assert "is unfinished" in result.failure.message
    assert unfinished(stick.file.read_bytes()[:512])
