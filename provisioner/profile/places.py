"""From a path in a profile to the place in the file that supplied it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from provisioner.errors import Place, Problem, Severity
from provisioner.frozen import frozen
from provisioner.profile.fields import Path
from provisioner.profile.yamlfile import Node

LONGEST_MESSAGE = 300


@frozen
class Finding:
    """A problem that knows its path and not yet its place."""

    path: Path
    message: str
    rule: str
    severity: Severity = Severity.ERROR
    hint: str | None = None
    on_key: bool = False
    """Point to the key and not to what stands behind it."""


def path_of(dotted: str) -> Path:
    """The keys of `machine.disks[0].bus`."""
    return tuple(int(key) if key.isdigit() else key for key in re.findall(r"[^.\[\]]+", dotted))


@frozen
class Places:
    """Every place of a merged profile."""

    values: Mapping[Path, Place]
    keys: Mapping[Path, Place]

    def value(self, *path: str | int) -> Place:
        """Place of the value at `path`; where nobody wrote it, of the nearest key above it."""
        if path in self.values:
            return self.values[path]
        return self.key(*path)

    def key(self, *path: str | int) -> Place:
        """Place of the key at `path`; where nobody wrote it, of the nearest key above it."""
        while path and path not in self.keys:
            path = path[:-1]
            if path not in self.keys and path in self.values and path:
                return self.values[path]
        return self.keys[path] if path else self.values[()]

    def problem(self, finding: Finding) -> Problem:
        """The finding with its place."""
        find = self.key if finding.on_key else self.value
        return Problem(
            message=_one_line(finding.message),
            rule=finding.rule,
            severity=finding.severity,
            place=find(*finding.path),
            hint=None if finding.hint is None else _one_line(finding.hint),
        )


def _one_line(text: str) -> str:
    """A message that names a value of many lines still fits one."""
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - 1] + "…"


def places_of(root: Node) -> Places:
    """All places of a tree."""
    values: dict[Path, Place] = {}
    keys: dict[Path, Place] = {}

    def visit(node: Node, path: Path) -> None:
        values[path] = node.place
        if isinstance(node.value, Mapping):
            for name, entry in node.value.items():
                keys[*path, name] = entry.place
                visit(entry.node, (*path, name))
        elif isinstance(node.value, tuple):
            for index, item in enumerate(node.value):
                visit(item, (*path, index))

    visit(root, ())
    return Places(values=values, keys=keys)
