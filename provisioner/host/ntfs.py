"""Reads files of an NTFS volume with programs that need neither root nor a kernel driver.

`ntfsls` and `ntfscat` (ntfs-3g) where they are, otherwise 7z; both were tried on the volumes of
half-installed and running machines (docs/facts/standin.md §3). Everything is bounded: the volume
may have been written by anybody.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from provisioner.errors import HostError, ProvisionerError
from provisioner.host.excerpt import Bounds, Excerpt, excerpt_of

HINT = "install ntfs-3g (Debian, Fedora and Arch call it so), or 7z (p7zip-full, p7zip)"
LISTING = Bounds(head=1 << 20, tail=0, most=4 << 20, seconds=10)


class Volume(Protocol):
    """One file system, read-only. Paths have `/` between names and none in front."""

    def names(self, folder: str) -> tuple[str, ...]:
        """What a folder holds; empty where it is not there, or cannot be read.

        A folder in it has `/` behind its name, where the program tells.
        """

    def read(self, path: str, bounds: Bounds) -> Excerpt:
        """One file, by its exact path. ProvisionerError where that does not work."""


class NtfsTools:
    """A volume through `ntfsls` and `ntfscat`."""

    def __init__(self, image: Path) -> None:
        self._image = str(image)

    def names(self, folder: str) -> tuple[str, ...]:
        try:
            listing = excerpt_of(
                ("ntfsls", "-F", "-f", "-q", "-p", f"/{folder}", self._image), LISTING
            )
        except ProvisionerError:
            return ()
        names = listing.head.decode("utf-8", "replace").splitlines()
        return tuple(name for name in names if name not in ("./", "../", ".", ".."))

    def read(self, path: str, bounds: Bounds) -> Excerpt:
        return excerpt_of(("ntfscat", "-f", "-q", self._image, path), bounds)


class SevenZip:
    """A volume through `7z`, which lists it once."""

    def __init__(self, image: Path) -> None:
        self._image = str(image)
        self._paths: tuple[str, ...] | None = None

    def names(self, folder: str) -> tuple[str, ...]:
        if self._paths is None:
            self._paths = self._listed()
        prefix = f"{folder}/" if folder else ""
        below = (path[len(prefix) :] for path in self._paths if path.startswith(prefix))
        cut = (path.partition("/") for path in below if path)
        names = dict.fromkeys(name + slash for name, slash, _ in cut)
        return tuple(name for name in names if f"{name}/" not in names)

    def read(self, path: str, bounds: Bounds) -> Excerpt:
        # `-spd` takes the name as it is; a leading @ or - would be an option otherwise.
        argv = ("7z", "e", "-so", "-spd", "-bd", "-y", "-tNTFS", "--", self._image, path)
        return excerpt_of(argv, bounds)

    def _listed(self) -> tuple[str, ...]:
        """Every path, as `7z l -slt` prints them; a disk full of files is cut off."""
        whole = Bounds(head=64 << 20, tail=0, most=64 << 20, seconds=60)
        try:
            listing = excerpt_of(("7z", "l", "-slt", "-tNTFS", "--", self._image), whole)
        except ProvisionerError:
            return ()
        text = listing.head.decode("utf-8", "replace").partition("\n----------\n")[2]
        return tuple(
            line.removeprefix("Path = ") for line in text.splitlines() if line.startswith("Path = ")
        )


def ntfs_volume(image: Path, programs: Sequence[str] = ("ntfsls", "ntfscat", "7z")) -> Volume:
    """The volume in a file, through what this host has; HostError where it has nothing."""
    have = {program for program in programs if shutil.which(program)}
    if {"ntfsls", "ntfscat"} <= have:
        return NtfsTools(image)
    if "7z" in have:
        return SevenZip(image)
    raise HostError("nothing here reads NTFS", hint=HINT)
