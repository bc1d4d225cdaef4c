"""Drivers of the discs: which INFs there are, and the Linux modules that play them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.standin.setup import machine, windows_pe
from tests.standin.setup.answers import AnswerFile
from tests.standin.setup.search import Drive


def load_drivers(
    drives: Sequence[Drive], answer: AnswerFile, notes: list[str]
) -> list[dict[str, Any]]:
    """Find INFs below $WinPEDriver$ of any medium and below DriverPaths; load what they stand for.

    This happens after RunSynchronous and before the disks are looked at (facts §3.8, §3.9).
    """
    folders = [
        (drive, child)
        for drive in drives
        for child in sorted(drive.root.iterdir())
        if child.name.lower() == "$winpedriver$" and child.is_dir()
    ]
    letters = {drive.letter: drive for drive in drives}
    component = answer.component("windowsPE", "PnpCustomizationsWinPE")
    for path in windows_pe.read_driver_paths(component):
        letter, _, rest = path.partition(":")
        drive = letters.get(letter.upper())
        folder = _below(drive.root, rest) if drive else None
        if drive is None or folder is None:
            notes.append(f"DriverPaths: {path} does not exist")
        else:
            folders.append((drive, folder))
    found = []
    for drive, folder in folders:
        infs = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() == ".inf"]
        found += [describe(drive, inf) for inf in infs]
    load(found)
    return found


def load(drivers: Sequence[Mapping[str, Any]]) -> None:
    """Load what drivers of that description stand for."""
    modules = {
        machine.DRIVER_MODULES[driver["inf"]]
        for driver in drivers
        if driver["loaded"] and driver["inf"] in machine.DRIVER_MODULES
    }
    for module in sorted(modules):
        machine.load_modules(module)


def describe(drive: Drive, path: Path) -> dict[str, Any]:
    """Describe one INF; a dummy names its system and architecture, a real one is taken as is."""
    text = path.read_bytes().decode("latin-1").replace("\0", "")
    marked = re.search(r"; standin-driver: (\S+) (\S+) (\S+)", text)
    architecture = marked[3] if marked else None
    return {
        "inf": path.name.lower(),
        "path": f"{drive.letter}:\\" + str(path.relative_to(drive.root)).replace("/", "\\"),
        "system": marked[2] if marked else None,
        "architecture": architecture,
        "loaded": architecture in {None, "amd64"},
    }


def _below(root: Path, windows_path: str) -> Path | None:
    folder = root
    for part in windows_path.strip("\\").split("\\"):
        if part:
            children = [child for child in folder.iterdir() if child.name.lower() == part.lower()]
            if not children or not children[0].is_dir():
                return None
            folder = children[0]
    return folder
