"""A profile's file and, one after the other, the files it extends."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from provisioner.errors import Place, Problem
from provisioner.frozen import frozen
from provisioner.profile.values import did_you_mean
from provisioner.profile.yamlfile import Entry, Node, read_file
from provisioner.resources import Resources

LONGEST_CHAIN = 16


@frozen
class Layer:
    """One file."""

    path: Path
    shown: str
    """How places name the file."""
    root: Node
    """Its mapping, without `extends`."""


@frozen
class Layers:
    """The named file first, then what it extends."""

    stack: tuple[Layer, ...]
    problems: tuple[Problem, ...]
    complete: bool
    """Whether every file could be found and read, so that a missing key is really missing."""


def read_layers(source: str | Path, *, resources: Resources, home: Path, cwd: Path) -> Layers:
    """Read a profile's file and the files below it. Every problem is in the result."""
    stack: list[Layer] = []
    problems: list[Problem] = []
    path = find(str(source), folder=cwd, home=home, resources=resources, asking=None)
    shown = str(source) if is_file_name(str(source)) else _shown(path, cwd)
    if isinstance(path, str):
        problem = Problem(
            message=f"there is no profile '{source}'",
            rule="profile.not-found",
            place=Place(file=str(source)),
            hint=path,
        )
        return Layers(stack=(), problems=(problem,), complete=False)
    while True:
        document = read_file(path, shown=shown)
        problems += document.problems
        if document.root is None or not isinstance(document.root.value, Mapping):
            return Layers(stack=tuple(stack), problems=tuple(problems), complete=False)
        entries = dict(document.root.value)
        extends = entries.pop("extends", None)
        root = Node(value=entries, place=document.root.place)
        stack.append(Layer(path=path, shown=shown, root=root))
        if extends is None or extends.node.value is None:
            return Layers(stack=tuple(stack), problems=tuple(problems), complete=True)
        found = _next(extends, stack, resources=resources, home=home)
        if isinstance(found, Problem):
            return Layers(stack=tuple(stack), problems=(*problems, found), complete=False)
        path, shown = found, _shown(found, cwd)


def _next(
    extends: Entry, stack: list[Layer], *, resources: Resources, home: Path
) -> Path | Problem:
    place, name = extends.node.place, extends.node.value
    if not isinstance(name, str) or not name:
        return Problem(
            message="'extends' wants the name of a profile, or a file",
            rule="profile.extends",
            place=place,
            hint="a list of profiles is not possible; let one extend the other",
        )
    current = stack[-1].path
    found = find(name, folder=current.parent, home=home, resources=resources, asking=current)
    if isinstance(found, str):
        message = f"there is no profile '{name}' to extend"
        return Problem(message=message, rule="profile.extends", place=place, hint=found)
    chain = [layer.path.resolve() for layer in stack]
    if found.resolve() in chain:
        circle = [layer.shown for layer in stack[chain.index(found.resolve()) :]]
        return Problem(
            message="these profiles extend each other: " + " -> ".join([*circle, circle[0]]),
            rule="profile.extends-cycle",
            place=place,
            hint="one of them must stand alone",
        )
    if len(stack) >= LONGEST_CHAIN:
        message = f"more than {LONGEST_CHAIN} profiles extend each other"
        return Problem(message=message, rule="profile.extends", place=place)
    return found


def is_file_name(source: str) -> bool:
    """Whether this names a file; otherwise it is the name of a shipped or user profile."""
    return "/" in source or source.endswith((".yaml", ".yml"))


def find(
    source: str, *, folder: Path, home: Path, resources: Resources, asking: Path | None
) -> Path | str:
    """The file, or a hint when there is none."""
    if is_file_name(source):
        path = host_path(source, folder=folder, home=home)
        if _exists(path):
            return path
        names = [f"{name}.yaml" for name in resources.profiles()]
        beside = (
            sorted(near.name for near in path.parent.glob("*.y*ml")) if "\0" not in source else []
        )
        if path.name in names and not beside:
            return f"did you mean the shipped profile '{path.stem}'?"
        return did_you_mean(path.name, beside) or f"looked for {path}"
    if found := resources.profile(source, other_than=asking):
        return found
    if _exists(folder / source):
        return f"to name the file in this folder, write './{source}'"
    if _exists(folder / f"{source}.yaml"):
        return f"to name the file in this folder, write '{source}.yaml'"
    known = resources.profiles()
    return did_you_mean(source, known) or f"known profiles: {', '.join(known) or 'none'}"


def host_path(text: str, *, folder: Path, home: Path) -> Path:
    """A path a person wrote: `~` is the home folder, a relative one starts at `folder`."""
    path = home / text[2:] if text == "~" or text.startswith("~/") else folder / text
    if ".." in path.parts and "\0" not in text:
        # `..` behind a symbolic link is not the folder above the link, so the system is asked.
        return Path(os.path.realpath(path.parent)) / path.name
    return path


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        # A name no file can have: too long, or with a null character.
        return False


def _shown(path: Path | str, cwd: Path) -> str:
    if isinstance(path, Path) and path.is_relative_to(cwd):
        return str(path.relative_to(cwd))
    return str(path)
