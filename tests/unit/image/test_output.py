"""What a killed process left under a temporary name goes; what a living one writes stays."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.image.output import replacing, temporary_name, working_folder

HOLD = """
import sys, time
from pathlib import Path
from provisioner.image.output import replacing, working_folder
with {kind}:
    print("there", flush=True)
    time.sleep(60)
"""
FILE = "replacing(Path(sys.argv[1]), needed=1)"
FOLDER = "working_folder(Path(sys.argv[1]))"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "disc [1].iso"


@pytest.fixture(params=[FILE, FOLDER])
def other(target: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """Another process that writes the same file or folder."""
    argv = [sys.executable, "-c", HOLD.format(kind=request.param), str(target)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "there\n"
        yield process
        process.kill()


def write(target: Path) -> None:
    with replacing(target, needed=1) as out:
        out.write(b"new")


def parts(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir() if path.name.endswith(".part"))


def test_a_living_writer_keeps_its_own(target: Path, other: subprocess.Popen[str]) -> None:
    write(target)
    assert parts(target) == [f".disc [1].iso.{other.pid}.part"]


def test_a_killed_one_leaves_nothing_for_long(target: Path, other: subprocess.Popen[str]) -> None:
    other.kill()
    other.wait()
    assert parts(target) == [f".disc [1].iso.{other.pid}.part"]
    write(target)
    assert parts(target) == []
    assert target.read_bytes() == b"new"


def test_other_names_are_let_be(target: Path) -> None:
    others = ["disc [1].iso.7.part", ".disc [1].iso.x.part", ".disc 1.iso.7.part", ".7.part"]
    for name in others:
        target.with_name(name).touch()
    write(target)
    with working_folder(target) as folder:
        assert folder == temporary_name(target)
        (folder / "file").touch()
    assert parts(target) == sorted(others)


def test_names_of_any_length(tmp_path: Path) -> None:
    for length in (200, 225, 226, 255):
        target = tmp_path / ("n" * length)
        write(target)
        assert target.read_bytes() == b"new"
        with working_folder(target) as folder:
            assert folder.parent == tmp_path
