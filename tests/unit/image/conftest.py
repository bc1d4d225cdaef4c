"""Independent readers of what the image writers make. A missing one is a failure, not a skip."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

PACKAGES = {
    "7z": "p7zip-full",
    "xorriso": "xorriso",
    "isoinfo": "genisoimage",
    "qemu-img": "qemu-utils",
    "unshare": "util-linux",
}

Run = Callable[..., str]
Read = Callable[[Path], Mapping[str, bytes | None]]


@pytest.fixture
def run() -> Run:
    """Runs a program, returns its standard output; fails with its words when it fails."""

    def run_program(*argv: str | Path, ok: tuple[int, ...] = (0,)) -> str:
        if shutil.which(str(argv[0])) is None:
            pytest.fail(f"{argv[0]} is missing: apt install {PACKAGES.get(str(argv[0]), argv[0])}")
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            check=False,
        )
        assert done.returncode in ok, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    return run_program


@pytest.fixture
def read_with_7z(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Read:
    """Path to content of everything on a disc (None for a folder), as 7-Zip extracts it."""

    def read(image: Path) -> Mapping[str, bytes | None]:
        into = tmp_path_factory.mktemp("7z")
        run("7z", "x", "-y", "-bd", f"-o{into}", image)
        return contents(into)

    return read


@pytest.fixture
def read_with_xorriso(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., object]:
    """The same by xorriso; `view` is `any` for Joliet and `ecma119` for plain ISO 9660."""

    def read(image: Path, view: str) -> Mapping[str, bytes | None]:
        into = tmp_path_factory.mktemp("xorriso")
        run("xorriso", "-read_fs", view, "-indev", image, "-osirrox", "on", "-extract", "/", into)
        run("chmod", "-R", "u+rwX", into)
        return contents(into)

    return read


def contents(folder: Path) -> Mapping[str, bytes | None]:
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes()
        for path in folder.rglob("*")
    }
