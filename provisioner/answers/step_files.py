"""The files of this host that steps bring along: their names on the answer disc.

Which there are, and whether they can travel, is `hostfiles'` business.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from provisioner.answers import hostfiles
from provisioner.errors import Problem, ProfileError
from provisioner.pattern import pattern
from provisioner.profile.steps import CopyStep, ExeStep, MsiStep, Step
from provisioner.tree import Entry

RULE = "windows.step-file"
LONGEST_NAME = 64
"""Characters of a name in Joliet's directory records, and what cannot stand in it (Microsoft,
"Joliet Specification")."""
_NOT_ON_DISC = pattern(r'["*/:;<>?\\|\x00-\x1f]')
_SAFE = pattern(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,59}")


def source(step: Step) -> Path | None:
    """The file or folder a step brings along; None where it brings none."""
    match step:
        case MsiStep(msi=path) | ExeStep(exe=path) | CopyStep(copy=path):
            return Path(path)
        case _:
            return None


def key(step: Step) -> str:
    """The key of the profile that names it."""
    return next(name for name in ("msi", "exe", "copy") if name in type(step).model_fields)


def problem(step: Step) -> Problem | None:
    """Why what a step brings along cannot be used."""
    path = source(step)
    if path is None:
        return None
    try:
        files = _files(step, path)
    except hostfiles.HostFileError as err:
        return Problem(message=err.message, rule=RULE, hint=err.hint)
    if not isinstance(step, CopyStep):
        return None
    for file in files:
        if any(
            len(name) > LONGEST_NAME or _NOT_ON_DISC.search(name) for name in _inside(file, path)
        ):
            return Problem(
                message=f"{file.path}: the answer disc cannot hold this name",
                rule=RULE,
                hint=f"use at most {LONGEST_NAME} characters, and none that Windows refuses",
            )
    return None


def disc_name(path: Path) -> str:
    """What a single file is called on the disc: its own name where cmd reads that as it stands."""
    return path.name if _SAFE.fullmatch(path.name) else f"file{path.suffix}"[:12].replace(" ", "")


def entries(step: Step, folder: str) -> Iterator[tuple[str, Entry]]:
    """What a step brings along, in a folder of the disc; ProfileError where it cannot be used."""
    path = source(step)
    if path is None:
        return
    if found := problem(step):
        raise ProfileError([found])
    for file in _files(step, path):
        names = _inside(file, path) if isinstance(step, CopyStep) else (disc_name(path),)
        modified = file.modified // 10**9
        yield f"{folder}/{'/'.join(names)}", replace(hostfiles.entry(file), modified=modified)


def _files(step: Step, path: Path) -> tuple[hostfiles.Source, ...]:
    """The file, or all of a folder that is copied; what is only run gets a name of ours."""
    if isinstance(step, CopyStep):
        return hostfiles.found(path, path.name)
    return (hostfiles.one(path, to=disc_name(path)),)


def _inside(file: hostfiles.Source, path: Path) -> tuple[str, ...]:
    """The names of a file below the folder it was found in, or its own where it is named itself."""
    return file.path.relative_to(path if file.path != path else path.parent).parts
