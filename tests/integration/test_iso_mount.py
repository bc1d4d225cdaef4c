"""`iso mount` by FUSE: a large disc, many files, many readers, as any user. Needs /dev/fuse."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provisioner.disc.create import Order, create
from provisioner.disc.mount import How, mount_image, unmount_image
from provisioner.disc.view import opened_view
from provisioner.errors import (
    FailedError,
    HostError,
    MediaError,
    ProfileError,
    RefusedError,
    UsageError,
)
from provisioner.host.mount import kernel_has, mounted_at
from provisioner.image.shapes import Shape
from tests.unit.disc.readers import by_7z, contents, made, run, with_folders
from tests.unit.disc.test_create import PLAIN, trees, usable

pytestmark = pytest.mark.integration

GIB = 1 << 30


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "mnt"
    folder.mkdir()
    yield folder
    if mounted_at(folder):
        unmount_image(folder)


def digest(path: Path) -> str:
    with path.open("rb", buffering=0) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@pytest.mark.parametrize("shape", list(Shape))
def test_every_shape(tmp_path: Path, at: Path, shape: Shape) -> None:
    files: dict[str, bytes | None] = {
        "a/b/c.txt": b"1" * 3000,
        "Übung/日本語.txt": b"2",
        "empty": b"",
        "folder": None,
        "n" * 200: b"3",
        "big": os.urandom(5_000_001),
    }
    folder = made(tmp_path / "tree", files)
    if shape is Shape.PORTABLE:
        (folder / "a/link").symlink_to("b/c.txt")
    (folder / "a/b/c.txt").chmod(0o754)
    os.utime(folder / "a/b/c.txt", (1_600_000_000, 1_600_000_000))
    create(folder, tmp_path / "x.iso", Order(shape=shape))
    assert mount_image(tmp_path / "x.iso", at, How.FUSE) is How.FUSE
    assert contents(at) == contents(folder)
    status = (at / "a/b/c.txt").stat()
    assert (status.st_mode & 0o777, status.st_mtime) == (0o554, 1_600_000_000)
    assert os.statvfs(at).f_bavail == 0
    with (at / "big").open("rb") as stream:
        for offset in (0, 2047, 2048, 4_999_990, 5_000_000, 5_000_001, 6_000_000):
            stream.seek(offset)
            assert stream.read(100) == (files["big"] or b"")[offset : offset + 100]
    for attempt in (
        lambda: (at / "new").write_bytes(b""),
        lambda: (at / "big").write_bytes(b""),
        lambda: (at / "big").unlink(),
        lambda: (at / "folder").rmdir(),
        lambda: (at / "big").chmod(0o777),
    ):
        with pytest.raises(OSError, match="Read-only file system"):
            attempt()
    with pytest.raises(FileNotFoundError):
        (at / "missing").stat()


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)
@given(files=trees(PLAIN).filter(usable), shape=st.sampled_from(Shape))
def test_any_tree(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes | None], shape: Shape
) -> None:
    """Folder, image, mounted folder: the same."""
    tmp_path = tmp_path_factory.mktemp("any")
    place = tmp_path / "mnt"
    place.mkdir()
    try:
        create(made(tmp_path / "tree", files), tmp_path / "x.iso", Order(shape=shape))
    except ProfileError as err:  # a name that Windows keeps for a device
        assert {problem.rule for problem in err.problems} <= {"disc.reserved", "disc.name-length"}
        return
    mount_image(tmp_path / "x.iso", place, How.FUSE)
    try:
        assert contents(place) == with_folders(files)
    finally:
        unmount_image(place)


@pytest.mark.soak
def test_a_disc_with_a_file_of_5_gib(tmp_path: Path, at: Path) -> None:
    """Made, listed, mounted and extracted: past 4 GiB no byte is lost."""
    folder = made(tmp_path / "tree", {"sources/boot.wim": b"b" * 5000, "zz last": b"z"})
    big = folder / "sources/install.wim"
    marks = {0: b"first", 4 * GIB - 3: b"across", 5 * GIB - 4: b"last"}
    with big.open("wb") as stream:
        for offset, data in marks.items():
            stream.seek(offset)
            stream.write(data)
    image = tmp_path / "x.iso"
    created = create(folder, image, Order())
    assert created.shape is Shape.WINDOWS and created.written.size > 5 * GIB
    listed = run("7z", "l", image)
    assert str(5 * GIB) in listed and "Errors" not in listed
    mount_image(image, at, How.FUSE)
    there = at / "sources/install.wim"
    assert there.stat().st_size == 5 * GIB
    with there.open("rb") as stream:
        for offset, data in marks.items():
            stream.seek(offset)
            assert stream.read(len(data)) == data
    run("cmp", there, big)
    by_7z(image, tmp_path / "7z")
    run("cmp", tmp_path / "7z/sources/install.wim", big)
    with opened_view(image) as view:
        assert len(view.items["sources/install.wim"].extents) == 1


def test_ten_thousand_files_and_many_readers(tmp_path: Path, at: Path) -> None:
    files: dict[str, bytes | None] = {
        f"folder {n % 11}/file {n}.txt": str(n).encode() * 50 for n in range(10_000)
    }
    made(tmp_path / "tree", files)
    create(tmp_path / "tree", tmp_path / "x.iso", Order(shape=Shape.WINDOWS))
    mount_image(tmp_path / "x.iso", at, How.FUSE)
    with ThreadPoolExecutor(max_workers=8) as pool:
        found = dict(
            zip(files, pool.map(lambda path: (at / path).read_bytes(), files), strict=True)
        )
    assert found == files
    assert contents(at).keys() == with_folders(files).keys()


def test_as_any_user(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.fail("this test becomes another user; it needs root")
    home = Path("/tmp") / f"provisioner-fuse-{os.getpid()}"
    home.mkdir(mode=0o777)
    home.chmod(0o777)
    try:
        create(made(home / "tree", {"a": b"1"}), home / "x.iso", Order())
        (home / "mnt").mkdir()
        os.chown(home / "mnt", 65534, 65534)
        usable = Path("/dev/fuse").stat().st_mode & 0o006 == 0o006
        who = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        program = [*who, sys.executable, "-B", "-m", "provisioner", "iso"]
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(home),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }

        # In the foreground: an interpreter in root's home can be started by root alone.
        with subprocess.Popen(
            [*program, "mount", "--foreground", home / "x.iso", home / "mnt"],
            env=environment,
            stderr=subprocess.PIPE,
        ) as process:
            while process.poll() is None and not mounted_at(home / "mnt"):
                time.sleep(0.02)
            if not usable:
                assert process.wait() == 3
                assert process.stderr and b"FUSE cannot mount" in process.stderr.read()
                return
            seen = subprocess.run([*who, "cat", home / "mnt/a"], capture_output=True, check=True)
            assert seen.stdout == b"1"
            done = subprocess.run([*program, "unmount", home / "mnt"], env=environment, check=False)
            assert (done.returncode, process.wait()) == (0, 0)
    finally:
        subprocess.run(["rm", "-rf", home], check=True)


def test_places_that_are_taken(tmp_path: Path, at: Path) -> None:
    create(made(tmp_path / "tree", {"a": b"1"}), tmp_path / "x.iso", Order())
    image = tmp_path / "x.iso"
    mount_image(image, at, How.FUSE)
    with pytest.raises(RefusedError, match="is in use"):
        mount_image(image, at, How.FUSE)
    with pytest.raises(RefusedError, match="is not empty"):
        mount_image(image, tmp_path / "tree", How.FUSE)
    with pytest.raises(UsageError, match="is not a folder"):
        mount_image(image, tmp_path / "missing", How.FUSE)
    with (at / "a").open("rb"), pytest.raises(FailedError, match="is in use"):
        unmount_image(at)
    unmount_image(at)
    with pytest.raises(FailedError, match="nothing is mounted"):
        unmount_image(at)
    with pytest.raises(RefusedError, match="is no disc image"):
        unmount_image(Path("/proc"))
    (tmp_path / "text").write_text("no disc" * 1000)
    with pytest.raises(MediaError):
        mount_image(tmp_path / "text", at, How.FUSE)


def test_a_mount_whose_program_was_killed(tmp_path: Path, at: Path) -> None:
    create(made(tmp_path / "tree", {"a": b"1"}), tmp_path / "x.iso", Order())
    mount_image(tmp_path / "x.iso", at, How.FUSE)
    server = next(
        int(process.name)
        for process in Path("/proc").iterdir()
        if process.name.isdecimal() and os.fsencode(at) in (process / "cmdline").read_bytes()
    )
    os.kill(server, signal.SIGKILL)
    with pytest.raises(RefusedError, match="a mount whose program has ended") as told:
        for _ in range(100):
            mount_image(tmp_path / "x.iso", at, How.FUSE)
            time.sleep(0.05)
    assert told.value.hint == f"provisioner iso unmount {at}"
    unmount_image(at)
    mount_image(tmp_path / "x.iso", at, How.FUSE)
    assert contents(at) == {"a": b"1"}


def test_the_kernel_is_asked_for_the_right_side(tmp_path: Path, at: Path) -> None:
    create(made(tmp_path / "tree", {"a": b"1"}), tmp_path / "x.iso", Order(shape=Shape.WINDOWS))
    if kernel_has("udf") and os.geteuid() == 0:
        assert mount_image(tmp_path / "x.iso", at, How.AUTO) is How.KERNEL
    else:
        with pytest.raises(HostError, match=r"the kernel has no udf|only root"):
            mount_image(tmp_path / "x.iso", at, How.KERNEL)
        assert mount_image(tmp_path / "x.iso", at, How.AUTO) is How.FUSE
    assert contents(at) == {"a": b"1"}


def test_an_image_that_becomes_shorter_is_an_input_error(tmp_path: Path, at: Path) -> None:
    create(made(tmp_path / "tree", {"a": os.urandom(3_000_000)}), tmp_path / "x.iso", Order())
    mount_image(tmp_path / "x.iso", at, How.FUSE)
    os.truncate(tmp_path / "x.iso", 1_000_000)
    with pytest.raises(OSError, match="Input/output error"):
        digest(at / "a")
