"""A profile's file, what it extends, and the command line on top, as one checked Profile.

Reads files and nothing else; the folders it needs are given. Every problem is told at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from provisioner.errors import Place, Problem, ProfileError, Severity
from provisioner.frozen import frozen
from provisioner.profile import fields, rules
from provisioner.profile.fields import Form, Forms
from provisioner.profile.layers import Layer, host_path, read_layers
from provisioner.profile.merge import merge
from provisioner.profile.model import Profile
from provisioner.profile.options import with_options
from provisioner.profile.places import Finding, Places, places_of
from provisioner.profile.yamlfile import Entry, Node
from provisioner.resources import Resources


@frozen
class LoadedProfile:
    """A profile without errors."""

    profile: Profile
    problems: tuple[Problem, ...]
    """Warnings and notes, in file order."""
    files: tuple[Path, ...]
    """The files it came from: the named one first, then what it extends."""
    places: Places
    """Where each value was written."""


class FaultyProfile(ProfileError):
    """A profile with errors, and what is left without them, for what can be said of that."""

    def __init__(
        self,
        problems: Sequence[Problem],
        *,
        rest: LoadedProfile | None = None,
        unread: frozenset[fields.Path] = frozenset(),
    ) -> None:
        super().__init__(problems)
        self.rest = rest
        """Without its faulty keys; None where so much is wrong that nothing can be said."""
        self.unread = unread
        """The keys that were taken out: what is said about these, or below them, means nothing."""


@frozen
class _Rest:
    profile: Profile
    unread: frozenset[fields.Path] = frozenset()


def load_profile(
    source: str | Path,
    *,
    sets: Sequence[str] = (),
    media: Mapping[str, str] | None = None,
    defaults: Sequence[Layer] = (),
    forgive: Callable[[Sequence[Problem]], tuple[Problem, ...]] = tuple,
    resources: Resources,
    home: Path,
    cwd: Path,
) -> LoadedProfile:
    """Read and check a profile.

    `source` is a file, or the name of a shipped or user profile. `sets` are `path.to.key=VALUE`,
    `media` maps `install` and `drivers` to files relative to `cwd`. `defaults` apply where no file
    says anything. `forgive` may turn errors into warnings (`up --force`). Raises ProfileError with
    every problem of every file, in the order of files and lines.
    """
    layers = read_layers(source, resources=resources, home=home, cwd=cwd)
    if not layers.stack:
        raise ProfileError(layers.problems)
    stack = (*layers.stack, *_fitting(defaults, _stacked(layers.stack)))
    stacked, wrong, options = with_options(_stacked(stack), sets=sets, media=media or {})
    root = _named(stacked, layers.stack[0])
    folders = {layer.shown: layer.path.parent for layer in stack}
    folders |= dict.fromkeys(options, cwd)
    places = places_of(root)
    data = _settled(root, (Form(kind=Profile),), folders=folders, home=home)
    findings, rest = _checked(data)
    # With a file unread, what it would have supplied is not missing.
    ignored = () if layers.complete else ("profile.missing-key", "windows.no-account")
    problems = forgive(
        _in_order(
            (
                *layers.problems,
                *wrong,
                *(places.problem(one) for one in findings if one.rule not in ignored),
            ),
            files=(*folders,),
        )
    )
    if rest is None:
        raise FaultyProfile(problems)
    loaded = LoadedProfile(
        profile=rest.profile,
        problems=problems,
        files=tuple(layer.path for layer in layers.stack),
        places=places,
    )
    if rest.unread or any(problem.severity is Severity.ERROR for problem in problems):
        raise FaultyProfile(problems, rest=loaded if layers.complete else None, unread=rest.unread)
    return loaded


def _fitting(defaults: Sequence[Layer], profile: Node) -> tuple[Layer, ...]:
    """The defaults, one key each, without those for virtual machines where the profile is of a
    physical PC."""
    metal = _entries(profile).get("metal")
    if metal is None or metal.node.value is None:
        return tuple(defaults)
    return tuple(
        layer
        for layer in defaults
        if not (below := _entries(layer.root)).keys() & {"machine"}
        and not ("media" in below and "drivers" in _entries(below["media"].node))
    )


def _stacked(stack: Sequence[Layer]) -> Node:
    """The layers as one tree, the named file on top."""
    main, *bases = stack
    roots = [*(_without_identity(base.root) for base in reversed(bases)), main.root]
    return reduce(merge, roots)


def _without_identity(root: Node) -> Node:
    """What a profile may inherit: not the names that make one machine of it, or two would clash."""
    entries = {key: entry for key, entry in _entries(root).items() if key != "name"}
    windows = entries.get("windows")
    if windows is not None and "computer_name" in (names := _entries(windows.node)):
        kept = {key: entry for key, entry in names.items() if key != "computer_name"}
        node = Node(value=kept, place=windows.node.place)
        entries["windows"] = Entry(place=windows.place, node=node)
    return Node(value=entries, place=root.place)


def _entries(node: Node) -> Mapping[str, Entry]:
    return node.value if isinstance(node.value, Mapping) else {}


def _named(root: Node, main: Layer) -> Node:
    """The tree with a name: where none is given, that of the file."""
    given = _entries(root).get("name")
    if given is not None and given.node.value is not None:
        return root
    place = Place(file=main.shown)
    name = Entry(place=place, node=Node(value=main.path.stem, place=place))
    return Node(value={**_entries(root), "name": name}, place=root.place)


def _settled(node: Node, forms: Forms, *, folders: Mapping[str, Path], home: Path) -> Any:
    """Plain data for pydantic: nulls that only take a key away are gone, paths are absolute."""

    def path_of(node: Node) -> Any:
        if not isinstance(node.value, str) or not node.value:
            return node.value
        return str(host_path(node.value, folder=folders[node.place.file], home=home))

    def visit(node: Node, forms: Forms) -> Any:
        if isinstance(node.value, tuple):
            return [
                visit(item, fields.below(forms, index)) for index, item in enumerate(node.value)
            ]
        if not isinstance(node.value, Mapping):
            return path_of(node) if any(form.is_host_path for form in forms) else node.value
        settled: dict[str, Any] = {}
        known = fields.keys(forms)
        for key, entry in node.value.items():
            below = fields.below(forms, key)
            if entry.node.value is None and key in known and not fields.null_is_a_value(below):
                continue
            if key == "file" and any(form.is_secret for form in forms):
                settled[key] = path_of(entry.node)
            else:
                settled[key] = visit(entry.node, below)
        return settled

    return visit(node, forms)


def _checked(data: dict[str, Any]) -> tuple[tuple[Finding, ...], _Rest | None]:
    """Everything that is wrong, and the profile without that.

    The rules across keys also run beside errors in single keys: on the profile without those keys.
    """
    found: tuple[Finding, ...] = ()
    try:
        rest: _Rest | None = _Rest(profile=_validated(data))
    except ValidationError as err:
        from provisioner.profile import messages

        found = tuple(messages.findings(err, data, Profile))
        rest = _without_faults(data, messages.faulty_paths(err, data))
    if rest is not None:
        found += tuple(rules.check(rest.profile, unread=rest.unread))
    return found, rest


def _without_faults(data: Any, unread: frozenset[fields.Path]) -> _Rest | None:
    """The profile without the faulty keys; without their mappings where they are needed."""
    from provisioner.profile import messages

    while () not in unread:
        rest = _without(data, unread)
        try:
            return _Rest(profile=_validated(rest), unread=unread)
        except ValidationError as err:
            more = {_parent(path) for path in messages.faulty_paths(err, rest)}
        if more <= unread:
            break
        unread |= more
    return None


def _parent(path: fields.Path) -> fields.Path:
    """The key above; a list is taken as one, so that its items keep their numbers."""
    path = path[:-1]
    while path and isinstance(path[-1], int):
        path = path[:-1]
    return path


def _validated(data: dict[str, Any]) -> Profile:
    # JSON mode: strict Python mode refuses YAML's lists where a tuple is wanted.
    return Profile.model_validate_json(json.dumps(data), strict=True)


def _without(data: Any, paths: frozenset[fields.Path]) -> Any:
    """The data without the mapping keys at these paths."""
    heads: dict[str | int, set[fields.Path]] = {}
    for path in paths:
        if path:
            heads.setdefault(path[0], set()).add(path[1:])

    def inner(key: str | int, value: Any) -> Any:
        return _without(value, frozenset(heads.get(key, ())))

    if isinstance(data, dict):
        return {
            key: inner(key, value) for key, value in data.items() if () not in heads.get(key, ())
        }
    if isinstance(data, list):
        return [inner(index, value) for index, value in enumerate(data)]
    return data


def _in_order(problems: Sequence[Problem], *, files: Sequence[str]) -> tuple[Problem, ...]:
    """The order of files, then of lines."""

    def position(problem: Problem) -> tuple[int, int, int]:
        place = problem.place
        if place is None or place.file not in files:
            return (len(files), 0, 0)
        return (files.index(place.file), place.line, place.column)

    return tuple(sorted(dict.fromkeys(problems), key=position))
