"""Other people's readers of disc images, and folders to make images from. Nothing is skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pycdlib

PACKAGES = {
    "7z": "p7zip-full",
    "xorriso": "xorriso",
    "isoinfo": "genisoimage",
    "genisoimage": "genisoimage",
    "udfinfo": "udftools",
    "grub-fstest": "grub-common",
    "implantisomd5": "isomd5sum",
    "qemu-img": "qemu-utils",
    "setpriv": "util-linux",
}

Contents = dict[str, bytes | None]


def run(*argv: str | Path, cwd: Path | None = None, ok: tuple[int, ...] = (0,)) -> str:
    """Standard output of a program that has to succeed."""
    assert shutil.which(str(argv[0])), f"apt install {PACKAGES.get(str(argv[0]), argv[0])}"
    done = subprocess.run(
        [str(each) for each in argv],
        capture_output=True,
        cwd=cwd,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        check=False,
    )
    text = done.stdout.decode("utf-8", "surrogateescape")
    assert done.returncode in ok, f"{argv}: {text}{done.stderr.decode('utf-8', 'replace')}"
    return text


def made(folder: Path, files: Mapping[str, bytes | None]) -> Path:
    """The files as a folder; None is a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for path, data in files.items():
        target = folder / path
        if data is None:
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
    return folder


def contents(folder: Path) -> Contents:
    """Path to content of everything below a folder; None for a folder, the target for a link."""
    return {
        str(path.relative_to(folder)): (
            b"-> " + os.fsencode(path.readlink())
            if path.is_symlink()
            else None
            if path.is_dir()
            else path.read_bytes()
        )
        for path in folder.rglob("*")
    }


def by_7z(image: Path, into: Path) -> Contents:
    """What 7-Zip extracts: of UDF or Joliet, where they are."""
    shutil.rmtree(into, ignore_errors=True)
    run("7z", "x", "-y", "-bd", f"-o{into}", image)
    return contents(into)


def by_xorriso(image: Path, into: Path) -> Contents:
    """What xorriso extracts: of Rock Ridge, where it is."""
    shutil.rmtree(into, ignore_errors=True)
    run("xorriso", "-indev", image, "-osirrox", "on", "-extract", "/", into)
    run("chmod", "-R", "u+rwX", into)
    return contents(into)


def by_pycdlib(image: Path, view: str) -> Contents:
    """What pycdlib reads; `view` is `udf_path`, `joliet_path` or `rr_path`."""
    import io

    disc = pycdlib.PyCdlib()
    disc.open(str(image))
    found: Contents = {}
    for folder, folders, files in disc.walk(**{view: "/"}):
        for name in folders:
            found[f"{folder}/{name}".strip("/")] = None
        for name in files:
            out = io.BytesIO()
            disc.get_file_from_iso_fp(out, **{view: f"{folder.rstrip('/')}/{name}"})
            found[f"{folder}/{name}".strip("/")] = out.getvalue()
    disc.close()
    return found


def by_grub(image: Path, path: str, into: Path) -> bytes:
    """One file, as GRUB's own UDF and ISO 9660 drivers read it."""
    run("grub-fstest", image, "cp", f"(loop0)/{path}", into)
    return into.read_bytes()


def with_folders(files: Mapping[str, bytes | None]) -> Contents:
    """The same with every folder that is only implied."""
    found: Contents = {}
    for path, data in files.items():
        for parent in list(Path(path).parents)[:-1]:
            found[str(parent)] = None
        found[path] = data
    return found
