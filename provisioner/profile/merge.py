"""Putting layers of a profile over each other: mappings merge, sequences replace, null removes.

Knows nothing of what the keys mean, except which keys exclude each other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from provisioner.errors import Place
from provisioner.profile.secrets import KINDS
from provisioner.profile.steps import STEP_KINDS
from provisioner.profile.values import BadValue
from provisioner.profile.yamlfile import Entry, Node

# One of these keys says what the whole mapping is; with another one it is another thing.
_ALTERNATIVES = (frozenset(KINDS), frozenset(STEP_KINDS))

_STEP_OF_PATH = re.compile(r"(?:^|\.)([A-Za-z_][\w-]*)|\[([0-9]{1,6})\]")


def merge(under: Node, over: Node) -> Node:
    """`over` on top of `under`. A null stays in the tree, and takes away what was below it."""
    if (
        not isinstance(under.value, Mapping)
        or not isinstance(over.value, Mapping)
        or _is_another_thing(under.value, over.value)
    ):
        return over
    merged = dict(under.value)
    for key, entry in over.value.items():
        below = merged.get(key)
        node = entry.node if below is None else merge(below.node, entry.node)
        merged[key] = Entry(place=entry.place, node=node)
    return Node(value=merged, place=over.place)


def _is_another_thing(under: Mapping[str, Entry], over: Mapping[str, Entry]) -> bool:
    return any(
        (under.keys() & kinds)
        and (over.keys() & kinds)
        and under.keys() & kinds != over.keys() & kinds
        for kinds in _ALTERNATIVES
    )


def split_path(text: str) -> tuple[str | int, ...]:
    """`windows.users[0].name` as its parts, or BadValue."""
    parts: list[str | int] = []
    position = 0
    while match := _STEP_OF_PATH.match(text, position):
        if match.end() == position:
            break
        parts.append(match[1] if match[2] is None else int(match[2]))
        position = match.end()
    if not parts or position != len(text) or isinstance(parts[0], int):
        raise BadValue(
            f"'{text}' is not a path of keys",
            rule="profile.set",
            hint="write it like windows.edition or windows.users[0].name",
        )
    return tuple(parts)


def assign(
    node: Node, path: tuple[str | int, ...], value: Node, *, place: Place, done: str = ""
) -> Node:
    """The tree with `value` merged in at `path`; BadValue where the tree has another shape."""
    if not path:
        return merge(node, value)
    part, rest = path[0], path[1:]
    if isinstance(part, int):
        if not isinstance(node.value, tuple):
            raise BadValue(f"'{done}' is not a list, so it has no [{part}]", rule="profile.set")
        items = list(node.value)
        if part >= len(items):
            raise BadValue(
                f"'{done}' has no [{part}]",
                rule="profile.set",
                hint=f"it has {len(items)}, counted from 0; give the whole list to add one",
            )
        items[part] = assign(items[part], rest, value, place=place, done=f"{done}[{part}]")
        return Node(value=tuple(items), place=node.place)
    if not isinstance(node.value, Mapping) and node.value is not None:
        raise BadValue(f"'{done}' has no keys, so it has no '{part}'", rule="profile.set")
    entries = dict(node.value or {})
    name = f"{done}.{part}" if done else part
    below = entries[part].node if part in entries else Node(value=None, place=place)
    child = assign(below, rest, value, place=place, done=name)
    entries[part] = Entry(
        place=place if not rest or part not in entries else entries[part].place, node=child
    )
    return Node(value=entries, place=node.place)
