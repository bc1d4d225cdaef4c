"""Strict YAML: text in, a tree of values out, each with its place in the file.

The only door to PyYAML. Scalars follow YAML 1.2; duplicate keys, tags, merge keys and several
documents are refused; aliases may not multiply. No line that may hold a secret is quoted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from yaml.reader import Reader

from provisioner.errors import Place, Problem
from provisioner.frozen import frozen
from provisioner.pattern import pattern
from provisioner.profile.veil import veiled_lines

LARGEST_FILE = 256 * 1024
DEEPEST = 24
MOST_NODES = 20_000
"""Values a file may stand for once its aliases are written out."""

_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")

# YAML 1.2.2 section 10.3.2, except that a number with leading zeros stays text (YAML 1.1 reads
# 0777 as 511, YAML 1.2 as 777; whoever writes it means neither), and so do .inf and .nan.
_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLEAN = {"true": True, "True": True, "TRUE": True, "false": False, "False": False,
            "FALSE": False}  # fmt: skip
_INTEGER = pattern(r"[-+]?(?:0|[1-9][0-9]{0,29})")
_OTHER_BASE = pattern(r"0o[0-7]{1,30}|0x[0-9a-fA-F]{1,30}")
_FLOAT = pattern(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
# XML 1.0 cannot carry them, and with it neither answer file nor domain; JSON refuses surrogates;
# and the rest (C1) may steer the terminal a message is shown on.
_FORBIDDEN = pattern("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")

# A quoted line must not steer the terminal it is shown on.
_UNPRINTABLE = pattern("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

Scalar = str | int | float | bool | None


@frozen
class Mark:
    """A position in a text, counted from 0."""

    line: int = 0
    column: int = 0


def mark_of(mark: Any) -> Mark:
    """PyYAML's mark, which its stubs allow to be missing, as ours."""
    return Mark() if mark is None else Mark(line=mark.line, column=mark.column)


@frozen
class Node:
    """A value with its place."""

    value: Scalar | tuple[Node, ...] | Mapping[str, Entry]
    place: Place


@frozen
class Entry:
    """A key of a mapping with its place, and what stands behind it."""

    place: Place
    node: Node


@frozen
class Document:
    """What could be read of a file, and what was wrong with it."""

    root: Node | None
    """None where reading could not go to the end."""
    problems: tuple[Problem, ...]


def read_file(path: Path, *, shown: str) -> Document:
    """Read a YAML file whose top is a mapping. `shown` is how places name the file."""

    def refused(message: str, rule: str, hint: str | None = None) -> Document:
        place = Place(file=shown)
        return Document(
            root=None, problems=(Problem(message=message, rule=rule, place=place, hint=hint),)
        )

    try:
        if path.exists() and not path.is_file():
            return refused(f"'{shown}' is not a file", "profile.unreadable")
        with path.open("rb") as stream:
            raw = stream.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as err:
        reason = err.strerror if isinstance(err, OSError) else "not a file name"
        return refused(f"cannot read '{shown}': {reason}", "profile.unreadable")
    if len(raw) > LARGEST_FILE:
        return refused(
            f"'{shown}' is larger than {LARGEST_FILE // 1024} KiB: not a profile", "yaml.size"
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        before = _BREAK.split(raw[: err.start].decode("utf-8", "replace"))
        return Document(
            root=None,
            problems=(
                Problem(
                    message="this is not UTF-8 text",
                    rule="yaml.encoding",
                    place=Place(file=shown, line=len(before), column=len(before[-1]) + 1),
                    hint="save the file as UTF-8; it may be Latin-1 or UTF-16",
                ),
            ),
        )
    return read_text(text, shown=shown)


def read_text(text: str, *, shown: str) -> Document:
    """Read YAML whose top is a mapping."""
    lines = _BREAK.split(text)
    veiled = veiled_lines(lines)
    # Made once for each line: a line may hold thousands of values.
    quotable = [
        None
        if index in veiled
        else line
        if line.isprintable()
        else _UNPRINTABLE.sub("\ufffd", line)
        for index, line in enumerate(lines)
    ]

    def place(start: Mark, end: Mark | None = None) -> Place:
        length = 1
        if end is not None:
            stop = end.column if end.line == start.line else len(lines[start.line].rstrip())
            length = max(1, stop - start.column)
        return Place(
            file=shown,
            line=start.line + 1,
            column=start.column + 1,
            length=length,
            source=quotable[start.line],
        )

    document = _read(text, place)
    root = document.root
    if root is None or isinstance(root.value, Mapping):
        return document
    message = "this file is empty" if root.value is None else "a profile is a mapping of keys"
    problem = Problem(
        message=message,
        rule="yaml.root",
        place=root.place,
        hint="begin with `extends: windows-11`, or copy a shipped profile",
    )
    return Document(root=None, problems=(*document.problems, problem))


def read_value(text: str, *, place: Place) -> Document:
    """Read one YAML value from a command line; everything in it has the same place."""
    return _read(text, lambda start, end=None: place)


def _read(text: str, place: Callable[..., Place]) -> Document:
    """By libyaml, which is ten times as fast; what that refuses, by PyYAML's own reader, which says
    in words why."""
    if yaml.__with_libyaml__ and not Reader.NON_PRINTABLE.search(text):
        builder = _Builder(place=place)
        with suppress(_Stop, yaml.YAMLError, ValueError, IndexError, OverflowError):
            root = builder.document(yaml.parse(text, Loader=yaml.CSafeLoader))
            return Document(root=root, problems=tuple(builder.problems))
    return _read_slowly(text, place)


def _read_slowly(text: str, place: Callable[..., Place]) -> Document:
    builder = _Builder(place=place)
    root: Node | None = None
    try:
        if bad := Reader.NON_PRINTABLE.search(text):
            before = _BREAK.split(text[: bad.start()])
            mark = Mark(line=len(before) - 1, column=len(before[-1]))
            raise _Stop(f"U+{ord(bad[0]):04X}, a character that YAML forbids",
                        "yaml.control-character", mark)  # fmt: skip
        root = builder.document(yaml.parse(text, Loader=yaml.SafeLoader))
    except _Stop as stop:
        builder.refuse(stop.message, stop.rule, place(stop.mark), stop.hint)
    except yaml.MarkedYAMLError as err:
        from provisioner.profile.syntax import explain

        found = explain(err)
        builder.refuse(found.message, found.rule, place(mark_of(found.mark)), found.hint)
    except (yaml.YAMLError, ValueError, IndexError, OverflowError):
        # PyYAML's scanner lets such things escape: chr() of a \U escape beyond Unicode is one.
        builder.refuse("this cannot be read as YAML", "yaml.syntax", place(builder.mark), None)
    return Document(root=root, problems=tuple(builder.problems))


class _Stop(Exception):
    """Reading cannot go on."""

    def __init__(self, message: str, rule: str, mark: Mark, hint: str | None = None) -> None:
        self.message, self.rule, self.mark, self.hint = message, rule, mark, hint


class _Builder:
    """Builds the tree from PyYAML's events, so that nothing is constructed before it is counted."""

    def __init__(self, *, place: Callable[..., Place]) -> None:
        self.place = place
        self.problems: list[Problem] = []
        self.mark = Mark()
        self.count = 0
        self.anchors: dict[str, tuple[Node, int]] = {}
        self.events: Iterator[yaml.Event] = iter(())

    def refuse(self, message: str, rule: str, place: Place, hint: str | None) -> None:
        self.problems.append(Problem(message=message, rule=rule, place=place, hint=hint))

    def document(self, events: Iterator[yaml.Event]) -> Node:
        self.events = events
        root: Node | None = None
        while not isinstance(event := self._next(), yaml.StreamEndEvent):
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise _Stop(
                        "a second document begins here",
                        "yaml.documents",
                        mark_of(event.start_mark),
                        "one file is one profile; remove '---' and what follows",
                    )
                root, _ = self._node(self._next(), depth=0)
        return root or Node(value=None, place=self.place(mark_of(event.start_mark)))

    def _next(self) -> yaml.Event:
        event = next(self.events)
        self.mark = mark_of(event.start_mark)
        return event

    def _node(self, event: yaml.Event, *, depth: int) -> tuple[Node, int]:
        """The value that begins with `event`, and how many values it stands for."""
        if depth > DEEPEST:
            raise _Stop(
                f"nested deeper than {DEEPEST} levels", "yaml.depth", mark_of(event.start_mark)
            )
        self.count += 1
        if self.count > MOST_NODES:
            message = f"more than {MOST_NODES} values: not a profile"
            raise _Stop(message, "yaml.size", mark_of(event.start_mark))
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        assert isinstance(event, yaml.NodeEvent)
        if getattr(event, "tag", None) is not None:
            self.refuse(
                "YAML tags are not used in profiles",
                "yaml.tag",
                self.place(mark_of(event.start_mark), mark_of(event.end_mark)),
                "put a text that begins with '!' in quotes",
            )
        if isinstance(event, yaml.ScalarEvent):
            node, weight = self._scalar(event), 1
        elif isinstance(event, yaml.SequenceStartEvent):
            node, weight = self._sequence(event, depth=depth)
        else:
            node, weight = self._mapping(event, depth=depth)
        if weight > MOST_NODES:
            raise _Stop(
                f"this stands for more than {MOST_NODES} values",
                "yaml.alias",
                mark_of(event.start_mark),
            )
        if event.anchor is not None:
            self.anchors[event.anchor] = (node, weight)
        return node, weight

    def _alias(self, event: yaml.AliasEvent) -> tuple[Node, int]:
        if found := self.anchors.get(event.anchor or ""):
            return found
        self.refuse(
            "this alias refers to no anchor above it",
            "yaml.alias",
            self.place(mark_of(event.start_mark), mark_of(event.end_mark)),
            "put a text that begins with '*' in quotes",
        )
        return Node(value=None, place=self.place(mark_of(event.start_mark))), 1

    def _scalar(self, event: yaml.ScalarEvent) -> Node:
        place = self.place(mark_of(event.start_mark), mark_of(event.end_mark))
        if not event.value.isprintable() and (bad := _FORBIDDEN.search(event.value)):
            self.refuse(
                f"this text holds U+{ord(bad[0]):04X}, a control character",
                "yaml.control-character",
                place,
                "in double quotes a backslash begins an escape; single quotes leave it alone",
            )
        return Node(value=_resolved(event), place=place)

    def _sequence(self, event: yaml.Event, *, depth: int) -> tuple[Node, int]:
        items: list[Node] = []
        weight = 1
        while not isinstance(inner := self._next(), yaml.SequenceEndEvent):
            node, count = self._node(inner, depth=depth + 1)
            items.append(node)
            weight += count
        return Node(value=tuple(items), place=self._span(event, inner)), weight

    def _mapping(self, event: yaml.Event, *, depth: int) -> tuple[Node, int]:
        entries: dict[str, Entry] = {}
        weight = 1
        while not isinstance(inner := self._next(), yaml.MappingEndEvent):
            key, _ = self._node(inner, depth=depth + 1)
            node, count = self._node(self._next(), depth=depth + 1)
            weight += count
            if (name := self._key(key, entries)) is not None:
                entries[name] = Entry(place=key.place, node=node)
        return Node(value=entries, place=self._span(event, inner)), weight

    def _key(self, key: Node, entries: Mapping[str, Entry]) -> str | None:
        if not isinstance(key.value, str):
            self.refuse("a key must be a text", "yaml.key", key.place, "put it in quotes")
        elif key.value == "<<":
            self.refuse(
                "merge keys are not part of YAML 1.2",
                "yaml.merge-key",
                key.place,
                "use `extends:`, or give the whole mapping an anchor and an alias",
            )
        elif key.value in entries:
            first = entries[key.value].place
            self.refuse(
                f"key '{key.value}' appears twice in this mapping",
                "yaml.duplicate-key",
                key.place,
                f"the first is on line {first.line}; keep one" if first.line else None,
            )
        else:
            return key.value
        return None

    def _span(self, start: yaml.Event, end: yaml.Event) -> Place:
        """A flow collection in one line is underlined whole, every other where it begins."""
        flow = getattr(start, "flow_style", False)
        one_line = flow and mark_of(start.start_mark).line == mark_of(end.end_mark).line
        return self.place(mark_of(start.start_mark), mark_of(end.end_mark) if one_line else None)


def _resolved(event: yaml.ScalarEvent) -> Scalar:
    text: str = event.value
    if event.style:
        return text
    if text in _NULL:
        return None
    if text in _BOOLEAN:
        return _BOOLEAN[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _OTHER_BASE.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text
