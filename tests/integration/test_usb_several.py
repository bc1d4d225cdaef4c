"""Several sticks at once, on loop devices of our own. Needs root."""

from __future__ import annotations

import random
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from provisioner.tree import Bytes, File, Tree
from provisioner.usb.checks import verify_stick
from provisioner.usb.compose import Form, StickStream
from provisioner.usb.gates import Request
from provisioner.usb.job import Care, Job
from provisioner.usb.resized import resized, size_in_use
from provisioner.usb.spans import MIB
from provisioner.usb.tables import Table
from tests.fakes.stick import small_image
from tests.integration.loops import disk_of, holds, loop, machine
from tests.unit.cli.program import Home, plain
from tests.unit.disc.readers import run
from tests.unit.media.discs import CLIENT, PE, WINDOWS_FILES, make_bridge, make_wim

pytestmark = pytest.mark.integration

SIZE = 96 * MIB


@pytest.fixture
def care(tmp_path: Path) -> Care:
    return Care(state=tmp_path / "state", head=4 * MIB, tail=MIB)


def test_one_read(tmp_path: Path, care: Care) -> None:
    image = small_image(32 * MIB, until=30 * MIB)
    reads = []
    image.before = reads.append
    with loop(tmp_path / "a.img", SIZE) as stick, loop(tmp_path / "b.img", SIZE) as second:
        here = machine(stick, second)
        disks = (disk_of(here, stick), disk_of(here, second))
        results = Job(here, care).write(image, disks, Request(needed=image.size))
        assert [result.failure for result in results] == [None, None]
        assert len(reads) == len(set(reads)), "the source was read more than once"
        assert holds(stick.file, image)
        assert holds(second.file, image)


@pytest.mark.parametrize("table", list(Table))
def test_two_sizes(tmp_path: Path, care: Care, table: Table) -> None:
    """One read; the kernel, sgdisk, fsck.fat and mtools see the same volume on both, and each can
    be read back later without knowing of the other."""
    payload = random.Random(5).randbytes(9 * MIB)
    tree = Tree([("sources/boot.wim", File(content=(Bytes(data=payload),)))])
    form = Form(table=table, label="TWO-SIZES")
    sizes = (64 * MIB, 93 * MIB + 11 * 512)
    with ExitStack() as stack:
        sticks = [
            stack.enter_context(loop(tmp_path / f"{size}.img", size, parts=True)) for size in sizes
        ]
        here = machine(*sticks)
        stream = StickStream(tree, form, capacity=min(sizes), reveal=str)
        disks = [disk_of(here, one) for one in sticks]
        results = Job(here, care).write(stream, disks, Request(needed=stream.size))
        assert [result.failure for result in results] == [None, None]
        for one in sticks:
            run("partx", "--update", one.path)  # for kernels that read no tables themselves
            disk = disk_of(here, one)
            [part] = disk.partitions
            assert (part.offset, part.size, part.label) == (MIB, 62 * MIB, "TWO-SIZES")
            again = StickStream(tree, form, capacity=size_in_use(disk), reveal=str)
            found = verify_stick(
                here, disk, resized(again, disk.size), Request(reading=True), lambda *_: None
            )
            assert found.sound
            run("fsck.fat", "-n", f"{one.path}p1")
            run("mcopy", "-n", "-o", "-i", f"{one.path}p1", "::sources/boot.wim", tmp_path / "out")
            assert (tmp_path / "out").read_bytes() == payload
            if table is Table.GPT:
                assert "No problems found" in run("sgdisk", "-v", one.path)


def test_a_windows_disc_from_the_command_line(tmp_path: Path) -> None:
    """Written to two sizes at once, then each verified by itself; and one byte of it wrong."""
    home = Home(tmp_path / "person")
    install, boot = tmp_path / "install.wim", tmp_path / "boot.wim"
    files = {
        **WINDOWS_FILES,
        "sources/install.wim": make_wim(install, CLIENT, build=26100),
        "sources/boot.wim": make_wim(boot, PE),
    }
    make_bridge(home.work / "win.iso", files)
    with (
        loop(tmp_path / "a.img", 64 * MIB, parts=True) as first,
        loop(tmp_path / "b.img", 81 * MIB, parts=True) as second,
    ):
        serials = f"{first.name}=AAAA,{second.name}=BBBB"

        def usb(*arguments: str) -> tuple[int, str]:
            done = subprocess.run(
                [sys.executable, "-m", "tests.integration.usb_loops", serials, "usb", *arguments],
                env=home.environment(),
                cwd=home.work,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            return done.returncode, " ".join(plain(done.stdout).split())

        code, said = usb(
            "write", "win.iso", "--to", "AAAA", "--to", "BBBB", "--erase", "AAAA", "--erase", "BBBB"
        )
        assert code == 0, said
        assert "as large as the smallest stick allows" in said
        assert said.count("every byte was read back") == 2
        for one, serial in ((first, "AAAA"), (second, "BBBB")):
            run("partx", "--update", one.path)  # for kernels that read no tables themselves
            code, said = usb("verify", "win.iso", "--to", serial)
            assert (code, "are as in win.iso" in said) == (0, True), said
        with second.file.open("r+b") as file:
            file.seek(81 * MIB - 512)
            file.write(b"x")
        code, said = usb("verify", "win.iso", "--to", "BBBB")
        assert (code, f"byte {81 * MIB - 512}, no partition (GPT tables)" in said) == (4, True)
