"""A profile's file, what it extends, and the command line on top, as one checked Profile.

Reads files and nothing else; the folders it needs are given. Every problem is told at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from provisioner.errors import Place, Problem, ProfileError, Severity
from provisioner.profile import fields, messages, rules
from provisioner.profile.fields import Form, Forms
from provisioner.profile.layers import Layer, Layers, read_layers
from provisioner.profile.merge import assign, merge, split_path
from provisioner.profile.model import Media, Profile
from provisioner.profile.places import Finding, Places, places_of
from provisioner.profile.values import BadValue, did_you_mean
from provisioner.profile.yamlfile import Entry, Node, read_value
from provisioner.resources import Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedProfile:
    """A profile without errors."""

    profile: Profile
    problems: tuple[Problem, ...]
    """Warnings and notes, in file order."""
    files: tuple[Path, ...]
    """The files it came from: the named one first, then what it extends."""
    places: Places
    """Where each value was written."""


def load_profile(
    source: str | Path,
    *,
    sets: Sequence[str] = (),
    media: Mapping[str, str] | None = None,
    resources: Resources,
    home: Path,
    cwd: Path,
) -> LoadedProfile:
    """Read and check a profile.

    `source` is a file, or the name of a shipped or user profile. `sets` are `path.to.key=VALUE`,
    `media` maps `install` and `drivers` to files relative to `cwd`. Raises ProfileError with every
    problem of every file, in the order of files and lines.
    """
    layers = read_layers(source, resources=resources, home=home, cwd=cwd)
    problems = list(layers.problems)
    root = _named(_stacked(layers), layers.stack[0])
    folders = {layer.shown: layer.folder for layer in layers.stack}
    order = [layer.shown for layer in layers.stack]
    for option in [*sets, *_media_options(media or {}, problems)]:
        is_media = isinstance(option, _MediaOption)
        root, file = (_with_media if is_media else _with_set)(root, option, problems)  # type: ignore[operator]
        folders[file] = cwd
        order.append(file)
    places = places_of(root)
    data = _Settled(folders=folders, home=home).data(root, (Form(Profile),))
    profile, found = _check(data)
    for finding in found:
        # With a file unread, what it would have supplied is not missing.
        if layers.complete or finding.rule not in ("profile.missing-key", "windows.no-account"):
            problems.append(places.problem(finding))
    problems.sort(key=lambda problem: _position(problem, order))
    if profile is None or any(problem.severity is Severity.ERROR for problem in problems):
        raise ProfileError(problems)
    return LoadedProfile(
        profile=profile,
        problems=tuple(problems),
        files=tuple(layer.path for layer in layers.stack),
        places=places,
    )
