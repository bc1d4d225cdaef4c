"""`config.yaml` as text: read strictly, and changed in place so that comments stay."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from provisioner.errors import FailedError, Place, Problem
from provisioner.profile.yamlfile import Node, read_file, read_text

HEADER = "# Defaults for all machines; `provisioner config` shows them and where they come from.\n"

_PLAIN = re.compile(r"[A-Za-z/~][\w/~.+:?=&@%-]*(?:(?<!:) [A-Za-z0-9][\w.-]*)*(?<!:)", re.ASCII)

Keys = tuple[str, ...]


def read_settings(file: Path) -> tuple[tuple[tuple[Keys, Place, Node], ...], tuple[Problem, ...]]:
    """Every value that is not null, with its keys and the place of the last; and the problems."""
    document = read_file(file, shown=str(file))
    if document.root is None:
        if _is_blank(file):
            return (), ()
        return (), document.problems
    return tuple(_leaves(document.root, ())), document.problems


def yaml_text(text: str) -> str:
    """A text as a YAML scalar in one line, quoted only where that is needed."""
    if _PLAIN.fullmatch(text) and _scalar(f"x: {text}") == text:
        return text
    if text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return json.dumps(text)


def changed(text: str, path: Keys, value: str | None) -> str:
    """The file's text with one value set, or (None) taken away; all else stays as it is.

    FailedError where the text is laid out in a way that this does not understand.
    """
    wanted = _values(text)
    if value is None:
        if path not in wanted:
            return text
        del wanted[path]
    else:
        wanted[path] = value
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    if value is None:
        _remove(lines, _find(text), path)
    else:
        _set(lines, _find(text), path, yaml_text(value))
    result = "".join(lines)
    try:
        understood = _values(result) == wanted
    except FailedError:
        understood = False
    if not understood:
        raise FailedError(
            f"'{'.'.join(path)}' cannot be changed without rewriting the file",
            hint="change that line in an editor",
        )
    return result


def _set(
    lines: list[str], places: Mapping[Keys, tuple[Place, Node]], path: Keys, value: str
) -> None:
    if path in places:
        place = places[path][1].place
        line, start = place.line - 1, place.column - 1
        old = lines[line][start : start + place.length]
        if old.strip():
            lines[line] = lines[line][:start] + value + lines[line][start + len(old) :]
        else:
            lines[line] = f"{lines[line][:start].rstrip()} {value}{lines[line][start:]}"
        return
    parent = path[:-1]
    if not parent or parent not in places:
        if not lines:
            lines.append(HEADER)
        for depth, key in enumerate(parent):
            lines.append(f"{'  ' * depth}{key}:\n")
        lines.append(f"{'  ' * len(parent)}{path[-1]}: {value}\n")
        return
    key_place, node = places[parent]
    children = [place for inner, (place, _) in places.items() if inner[:-1] == parent]
    if children and children[0].line > key_place.line:
        indent = " " * (children[0].column - 1)
        lines.insert(children[0].line - 1, f"{indent}{path[-1]}: {value}\n")
    elif isinstance(node.value, Mapping):
        line, start = node.place.line - 1, node.place.column
        more = ", " if children else ""
        lines[line] = f"{lines[line][:start]}{path[-1]}: {value}{more}{lines[line][start:]}"
    else:
        indent = " " * (key_place.column + 1)
        lines.insert(key_place.line, f"{indent}{path[-1]}: {value}\n")


def _remove(lines: list[str], places: Mapping[Keys, tuple[Place, Node]], path: Keys) -> None:
    gone = [places[path][0].line - 1]
    parent = path[:-1]
    if parent and sum(inner[:-1] == parent for inner in places) == 1:
        gone.append(places[parent][0].line - 1)
    for line in sorted(set(gone), reverse=True):
        del lines[line]


def _find(text: str) -> dict[Keys, tuple[Place, Node]]:
    """Key places and nodes of every path, mappings too."""
    found: dict[Keys, tuple[Place, Node]] = {}

    def visit(node: Node, path: Keys) -> None:
        if isinstance(node.value, Mapping):
            for key, entry in node.value.items():
                found[(*path, key)] = (entry.place, entry.node)
                visit(entry.node, (*path, key))

    root = read_text(text, shown="config").root
    if root is not None:
        visit(root, ())
    return found


def _values(text: str) -> dict[Keys, object]:
    document = read_text(text, shown="config")
    if document.root is None:
        if all(_blank(line) for line in text.splitlines()):
            return {}
        raise FailedError("the file cannot be read")
    if document.problems:
        raise FailedError("the file has problems")
    return {path: node.value for path, _, node in _leaves(document.root, ())}


def _leaves(node: Node, path: Keys) -> Iterator[tuple[Keys, Place, Node]]:
    assert isinstance(node.value, Mapping)
    for key, entry in node.value.items():
        if isinstance(entry.node.value, Mapping):
            yield from _leaves(entry.node, (*path, key))
        elif entry.node.value is not None:
            yield (*path, key), entry.place, entry.node


def _scalar(text: str) -> object:
    root = read_text(text, shown="config").root
    if root is None or not isinstance(root.value, Mapping):
        return None
    return root.value["x"].node.value


def _is_blank(file: Path) -> bool:
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return all(_blank(line) for line in lines)


def _blank(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")
