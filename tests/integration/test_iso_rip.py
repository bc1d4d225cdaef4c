"""`iso rip` from files, loop devices, and a drive whose sectors fail. Needs root and /dev/fuse."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provisioner.disc.capacity import Until
from provisioner.disc.create import Order, create
from provisioner.disc.rip import Options, Ripped, map_name, partial_name, rip
from provisioner.disc.sectors import Status, parse_map
from provisioner.disc.verify import same_bytes
from provisioner.errors import FailedError, HostError, MediaError, RefusedError
from provisioner.host.optical import select_speed
from provisioner.image.shapes import Shape
from tests.unit.disc.readers import made, run

pytestmark = pytest.mark.integration

SECTOR = 2048


@pytest.fixture
def image(tmp_path: Path) -> Path:
    files = {"sources/install.wim": os.urandom(3_000_000), "setup.exe": b"MZ"}
    create(made(tmp_path / "tree", files), tmp_path / "disc.iso", Order(shape=Shape.WINDOWS))
    return tmp_path / "disc.iso"


Device = Callable[[Path], Path]


@pytest.fixture
def loop() -> Iterator[Device]:
    made_: list[str] = []

    def attach(path: Path) -> Path:
        made_.append(run("losetup", "-f", "--show", "-r", path).strip())
        return Path(made_[-1])

    yield attach
    for name in made_:
        run("losetup", "-d", name)


class Drive:
    """A loop device over a FUSE file with faults."""

    def __init__(self, folder: Path, image: Path) -> None:
        self.control = folder / "control.json"
        self.faults()
        self.mount = folder / "faulty"
        self.mount.mkdir()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.faulty", image, self.mount, self.control]
        )
        while not (self.mount / "disc").exists():
            assert self.process.poll() is None
            time.sleep(0.02)
        self.device = Path(run("losetup", "-f", "--show", "-r", self.mount / "disc").strip())

    def faults(self, **faults: object) -> None:
        self.control.write_text(json.dumps(faults))

    def close(self) -> None:
        run("losetup", "-d", str(self.device))
        run("umount", self.mount)
        self.process.wait(10)


@pytest.fixture
def drive(tmp_path: Path, image: Path) -> Iterator[Drive]:
    found = Drive(tmp_path, image)
    yield found
    found.close()


def ripped(path: Path, out: Path, **options: object) -> Ripped:
    return rip(path, out, Options(**options))  # type: ignore[arg-type]


def whole(out: Path, image: Path, done: Ripped) -> None:
    """The image is the disc, its digest is beside it, and no working file is left."""
    assert out.read_bytes() == image.read_bytes()
    assert done.sha256 == hashlib.sha256(image.read_bytes()).hexdigest()
    run("sha256sum", "-c", f"{out.name}.sha256", cwd=out.parent)
    known = parse_map(map_name(out).read_text())
    assert known.total(Status.GOOD) == known.size == image.stat().st_size
    assert not partial_name(out).exists()


@pytest.mark.parametrize("passes", [1, 2])
def test_a_file_and_a_loop_device(tmp_path: Path, image: Path, loop: Device, passes: int) -> None:
    for number, source in enumerate((image, loop(image))):
        out = tmp_path / f"out{number}.iso"
        whole(out, image, ripped(source, out, passes=passes))


def test_bad_sectors_are_named_and_tried_again(tmp_path: Path, image: Path, drive: Drive) -> None:
    drive.faults(bad=[700, 701, 900])
    out = tmp_path / "out.iso"
    with pytest.raises(FailedError, match=r"3 sectors cannot be read, in sources/install\.wim"):
        ripped(drive.device, out, retries=2)
    assert not out.exists()
    known = parse_map(map_name(out).read_text())
    bad = [(run.start // SECTOR, run.end // SECTOR) for run in known.having(Status.BAD)]
    assert bad == [(700, 702), (900, 901)]
    with pytest.raises(FailedError, match="1 sector cannot"):
        drive.faults(bad=[900])
        ripped(drive.device, out)
    drive.faults()
    done = ripped(drive.device, out)
    assert done.resumed == image.stat().st_size - SECTOR
    whole(out, image, done)


def test_zeros_where_that_is_wanted(tmp_path: Path, image: Path, drive: Drive) -> None:
    drive.faults(bad=[700])
    out = tmp_path / "out.iso"
    done = ripped(drive.device, out, retries=1, accept_bad=True)
    assert done.bad == ((700, 1, "sources/install.wim"),)
    expected = bytearray(image.read_bytes())
    expected[700 * SECTOR : 701 * SECTOR] = bytes(SECTOR)
    assert out.read_bytes() == expected
    assert map_name(out).read_text().count("  -\n") == 1


def test_sectors_that_succeed_later(tmp_path: Path, image: Path, drive: Drive) -> None:
    drive.faults(flaky={"700": 4, "1000": 3})
    whole(tmp_path / "out.iso", image, ripped(drive.device, tmp_path / "out.iso", retries=8))


def test_a_second_pass_finds_what_changes(tmp_path: Path, image: Path, drive: Drive) -> None:
    drive.faults(unstable={"700": 1})
    done = ripped(drive.device, tmp_path / "one.iso")
    assert (tmp_path / "one.iso").read_bytes() != image.read_bytes(), "one pass cannot know"
    drive.faults(unstable={"800": 1})
    done = ripped(drive.device, tmp_path / "two.iso", passes=2)
    assert done.repaired == 1
    whole(tmp_path / "two.iso", image, done)


def test_a_drive_is_compared_over_the_length_of_the_image(
    tmp_path: Path, image: Path, loop: Device, drive: Drive
) -> None:
    longer = tmp_path / "longer.img"
    longer.write_bytes(image.read_bytes() + b"x" * 8192)
    assert same_bytes(image, loop(longer)) == (None, 8192)
    drive.faults(bad=[700])
    with pytest.raises(MediaError, match="cannot read"):
        same_bytes(image, drive.device)


def test_run_out(tmp_path: Path, image: Path) -> None:
    """A drive counts sectors behind a track written at once, and cannot read them."""
    longer = tmp_path / "longer.img"
    size = image.stat().st_size
    longer.write_bytes(image.read_bytes() + b"x" * (2 * SECTOR))
    drive = Drive(tmp_path, longer)
    try:
        drive.faults(stop=size)
        done = ripped(drive.device, tmp_path / "out.iso", until=Until.CAPACITY)
        assert done.run_out == 2
        whole(tmp_path / "out.iso", image, done)
        drive.faults(stop=size - SECTOR)
        with pytest.raises(FailedError, match="3 sectors cannot be read"):
            ripped(drive.device, tmp_path / "cut.iso", until=Until.CAPACITY, retries=1)
        # A bad sector as well: what was read is taken up, although the end is not known yet.
        drive.faults(stop=size, bad=[700])
        out = tmp_path / "both.iso"
        with pytest.raises(FailedError, match="1 sector cannot be read"):
            ripped(drive.device, out, until=Until.CAPACITY, retries=1)
        drive.faults(stop=size)
        done = ripped(drive.device, out, until=Until.CAPACITY, retries=1)
        assert (done.run_out, done.resumed) == (2, size - SECTOR)
        whole(out, image, done)
    finally:
        drive.close()


def test_a_stick_ends_where_the_disc_does(tmp_path: Path, image: Path, loop: Device) -> None:
    stick = tmp_path / "stick.img"
    stick.write_bytes(image.read_bytes() + os.urandom(5 << 20))
    device = loop(stick)
    whole(tmp_path / "auto.iso", image, ripped(device, tmp_path / "auto.iso"))
    ripped(device, tmp_path / "all.iso", until=Until.CAPACITY)
    assert (tmp_path / "all.iso").read_bytes() == stick.read_bytes()


def test_a_stopped_rip_goes_on(tmp_path: Path, image: Path, loop: Device) -> None:
    device, out = loop(image), tmp_path / "out.iso"

    def interrupt(label: str, done: int, total: int) -> None:
        if done > 2_000_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rip(device, out, Options(), progress=interrupt)
    assert not out.exists() and partial_name(out).exists()
    done = ripped(device, out)
    assert 1_000_000 < done.resumed < image.stat().st_size
    whole(out, image, done)


def test_another_disc_is_not_mixed_in(tmp_path: Path, image: Path) -> None:
    out = tmp_path / "out.iso"

    def interrupt(label: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rip(image, out, Options(), progress=interrupt)
    other = tmp_path / "other.iso"
    other.write_bytes(os.urandom(image.stat().st_size))
    with pytest.raises(RefusedError, match="begun from another disc"):
        ripped(other, out)
    whole(out, image, ripped(image, out))


def test_nothing_of_others_is_taken_for_an_unfinished_rip(tmp_path: Path, image: Path) -> None:
    out = tmp_path / "out.iso"
    partial_name(out).write_bytes(b"somebody else's")
    with pytest.raises(RefusedError, match="no sector map tells what it has"):
        ripped(image, out)
    assert partial_name(out).read_bytes() == b"somebody else's"
    image.rename(partial_name(out))
    with pytest.raises(RefusedError, match="is what is read"):
        ripped(partial_name(out), out)
    assert partial_name(out).stat().st_size > 3_000_000


def test_two_at_once(tmp_path: Path, image: Path) -> None:
    out = tmp_path / "out.iso"

    def second(label: str, done: int, total: int) -> None:
        if not refused:
            with pytest.raises(RefusedError, match="being written by another rip") as told:
                ripped(image, out)
            refused.append(told.value)

    refused: list[BaseException] = []
    whole(out, image, rip(image, out, Options(), progress=second))
    assert len(refused) == 1


def test_killed_at_any_moment(tmp_path: Path, image: Path) -> None:
    """What the map calls good is on the disk, however the program ends."""
    out = tmp_path / "out.iso"
    script = f"""
import os
from pathlib import Path
from provisioner.disc.rip import Options, _Rip, rip
import provisioner.disc.rip as module
module._SAVE_EVERY = 1
def die(label, done, total):
    if done > 2_000_000:
        os._exit(9)
rip(Path({str(image)!r}), Path({str(out)!r}), Options(), progress=die)
"""
    subprocess.run([sys.executable, "-c", script], check=False)
    assert not out.exists()
    done = ripped(image, out)
    assert done.resumed > 0
    whole(out, image, done)


def test_bad_input(tmp_path: Path, image: Path, loop: Device) -> None:
    with pytest.raises(MediaError, match="does not exist"):
        ripped(tmp_path / "missing", tmp_path / "x.iso")
    with pytest.raises(MediaError, match="neither a drive nor a file"):
        ripped(tmp_path, tmp_path / "x.iso")
    (tmp_path / "empty").touch()
    with pytest.raises(MediaError, match="is empty"):
        ripped(tmp_path / "empty", tmp_path / "x.iso")
    with pytest.raises(RefusedError, match="is what is read"):
        ripped(image, image)
    with pytest.raises(HostError, match="takes no reading speed"):
        select_speed(loop(image), 4)

    def change(label: str, done: int, total: int) -> None:
        os.utime(image, (1, 1))

    with pytest.raises(FailedError, match="changed while it was read"):
        rip(image, tmp_path / "x.iso", Options(), progress=change)
    assert not list(tmp_path.glob("x.iso*"))
