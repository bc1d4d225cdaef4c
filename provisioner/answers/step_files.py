"""The files of this machine that steps want on the answer disc. Looks at folders, reads no file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from provisioner.errors import Problem, ProfileError
from provisioner.pattern import pattern
from provisioner.profile.steps import CopyStep, ExeStep, MsiStep, Step
from provisioner.tree import Entry, File, HostFile

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
        if path.is_dir():
            if not isinstance(step, CopyStep):
                return _bad(f"{path} is a folder", "name the file")
            if next(_below(path), None) is None:
                return _bad(f"there is no file in {path}", "put something in it, or take it away")
        elif not path.is_file():
            return _bad(f"there is no file {path}", "a path is looked up beside the profile")
        if isinstance(step, CopyStep):
            for file in _below(path) if path.is_dir() else (path,):
                names = file.relative_to(path if path.is_dir() else path.parent).parts
                if any(len(name) > LONGEST_NAME or _NOT_ON_DISC.search(name) for name in names):
                    return _bad(
                        f"{file}: the answer disc cannot hold this name",
                        f"use at most {LONGEST_NAME} characters, and none that Windows refuses",
                    )
    except OSError as err:
        return _bad(f"{path} cannot be read: {err.strerror}", "look at its permissions")
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
    try:
        if path.is_dir():
            for below in _below(path):
                yield f"{folder}/{below.relative_to(path).as_posix()}", _file(below)
        else:
            name = path.name if isinstance(step, CopyStep) else disc_name(path)
            yield f"{folder}/{name}", _file(path)
    except OSError as err:
        raise ProfileError([_bad(f"{path} cannot be read: {err.strerror}", "try again")]) from err


def _below(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _file(path: Path) -> File:
    status = path.stat()
    return File(content=(HostFile(path=path, size=status.st_size),), modified=int(status.st_mtime))


def _bad(message: str, hint: str) -> Problem:
    return Problem(message=message, rule=RULE, hint=hint)
