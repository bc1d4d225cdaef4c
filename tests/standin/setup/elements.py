"""XML elements with line numbers, read with expat. Knows nothing about answer files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from xml.parsers import expat

_SEPARATOR = "\n"  # cannot occur in a namespace name


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One element. `text` is its own character data, untouched: wrapping it would break commands
    (docs/facts/windows-setup.md §3.8). Attribute names are `name` or `{namespace}name`."""

    namespace: str
    name: str
    attributes: Mapping[str, str]
    children: tuple[Element, ...]
    text: str
    line: int

    def all(self, name: str) -> tuple[Element, ...]:
        """The children of that name; names are compared without case (facts §3.2, PartitionId)."""
        return tuple(child for child in self.children if child.name.lower() == name.lower())

    def find(self, path: str) -> Element | None:
        """The first element at a path of child names, or None."""
        element: Element | None = self
        for name in path.split("/"):
            if element is None:
                return None
            element = next(iter(element.all(name)), None)
        return element

    def value(self, path: str) -> str | None:
        """The text at a path, or None if there is no such element."""
        element = self.find(path)
        return None if element is None else element.text

    def flag(self, path: str, *, default: bool = False) -> bool:
        """The boolean at a path; anything but `true` counts as false (types are checked before)."""
        text = self.value(path)
        return default if text is None else text.strip() == "true"

    def walk(self, path: str = "") -> Iterator[tuple[str, Element]]:
        """Every element below this one with its path, parents first."""
        for child in self.children:
            here = f"{path}/{child.name}" if path else child.name
            yield here, child
            yield from child.walk(here)


def parse(data: bytes) -> Element:
    """Read a document; raises `xml.parsers.expat.ExpatError` if it is not well-formed."""
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=_SEPARATOR)
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    reader.parser = parser
    parser.Parse(data, True)
    return reader.root


class _Reader:
    root: Element
    parser: Any

    def __init__(self) -> None:
        self._open: list[tuple[str, dict[str, str], list[Element], list[str], int]] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._open.append((name, attributes, [], [], self.parser.CurrentLineNumber))

    def text(self, data: str) -> None:
        if self._open:
            self._open[-1][3].append(data)

    def end(self, _name: str) -> None:
        name, attributes, children, texts, line = self._open.pop()
        namespace, _, local = name.rpartition(_SEPARATOR)
        element = Element(
            namespace=namespace,
            name=local,
            attributes={_attribute(key): value for key, value in attributes.items()},
            children=tuple(children),
            text="".join(texts),
            line=line,
        )
        if self._open:
            self._open[-1][2].append(element)
        else:
            self.root = element


def _attribute(name: str) -> str:
    namespace, separator, local = name.rpartition(_SEPARATOR)
    return f"{{{namespace}}}{local}" if separator else local
