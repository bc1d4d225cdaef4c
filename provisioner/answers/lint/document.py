"""XML text -> a tree of elements that know where they stand. Bounded; no entities, no recursion.

Expat reports each event with its position; ElementTree would lose it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from provisioner.media.answer_xml import NAMESPACE

WCM = "http://schemas.microsoft.com/WMIConfig/2002/State"
DEEPEST = 64
"""The deepest setting of the reference stands nine elements below the root."""
MOST_ELEMENTS = 40_000
"""The largest public answer files have about two thousand."""

_HINTS = {
    expat.errors.codes[expat.errors.XML_ERROR_UNBOUND_PREFIX]: "declare the prefix on the root: "
    f'xmlns:wcm="{WCM}"',
    expat.errors.codes[expat.errors.XML_ERROR_UNDEFINED_ENTITY]: "only &amp; &lt; &gt; &apos; and "
    "&quot; exist; write other characters as &#NNN;",
    expat.errors.codes[expat.errors.XML_ERROR_TAG_MISMATCH]: "an element above this line is not "
    "closed, or is closed under another name",
    expat.errors.codes[expat.errors.XML_ERROR_NO_ELEMENTS]: "the file ends before it is complete",
    expat.errors.codes[expat.errors.XML_ERROR_INVALID_TOKEN]: "in text and attributes write "
    "& as &amp; and < as &lt;",
}


@dataclass(slots=True, eq=False)
class Element:
    """One element. `text` is all of its own text, as written; `value` without the space around."""

    name: str
    namespace: str
    attributes: dict[str, str]
    """By local name; those of a namespace as `{namespace}name`."""
    line: int
    column: int
    parent: Element | None
    children: list[Element] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    text_line: int = 0
    """Where its first character that is no space stands; 0 without one."""
    text_column: int = 0
    end_line: int = 0

    @property
    def text(self) -> str:
        """All text of its own."""
        return "".join(self.pieces)

    @property
    def value(self) -> str:
        """The text without surrounding space."""
        return self.text.strip()

    @property
    def in_unattend(self) -> bool:
        """Whether it belongs to the answer file's own namespace."""
        return self.namespace == NAMESPACE

    def all(self, path: str) -> Iterator[Element]:
        """Every descendant at this path, without regard to capitals: `A/B/C`."""
        wanted, _, rest = path.partition("/")
        name = wanted.lower()
        for child in self.children:
            if child.name.lower() == name:
                if rest:
                    yield from child.all(rest)
                else:
                    yield child

    def find(self, path: str) -> Element | None:
        """The first descendant at this path."""
        return next(self.all(path), None)

    def get(self, path: str) -> str:
        """The value at this path, empty where there is none."""
        found = self.find(path)
        return found.value if found is not None else ""

    def walk(self) -> Iterator[Element]:
        """All descendants in document order."""
        waiting = list(reversed(self.children))
        while waiting:
            element = waiting.pop()
            yield element
            waiting.extend(reversed(element.children))

    def wcm(self, name: str) -> str | None:
        """An attribute of the wcm namespace."""
        return self.attributes.get(f"{{{WCM}}}{name}")


class NotADocument(Exception):
    """The text is no XML that is read here; where and why, and which rule says so."""

    def __init__(self, rule: str, message: str, hint: str | None, line: int, column: int) -> None:
        super().__init__(message)
        self.rule = rule
        self.message = message
        self.hint = hint
        self.line = line
        self.column = column


def parse(text: str) -> Element:
    """The root element. Raises NotADocument."""
    builder = _Builder()
    try:
        builder.parser.Parse(text.encode("utf-8", "replace"), True)
    except expat.ExpatError as error:
        raise NotADocument(
            "lint.not-xml",
            f"not well-formed XML: {expat.ErrorString(error.code)}",
            _HINTS.get(error.code),
            error.lineno,
            error.offset + 1,
        ) from error
    assert builder.root is not None, "expat refuses a document without an element"
    return builder.root


class _Builder:
    """Expat's handlers."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate("utf-8", " ")
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.root: Element | None = None
        self._open: list[Element] = []
        self._count = 0

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > MOST_ELEMENTS:
            raise self._refused("lint.too-large", f"more than {MOST_ELEMENTS:,} elements")
        if len(self._open) >= DEEPEST:
            raise self._refused("lint.too-large", f"elements nested more than {DEEPEST} deep")
        namespace, _, local = name.rpartition(" ")
        parent = self._open[-1] if self._open else None
        element = Element(
            name=local,
            namespace=namespace,
            attributes={_clark(key): value for key, value in attributes.items()},
            line=self.parser.CurrentLineNumber,
            column=self.parser.CurrentColumnNumber + 1,
            parent=parent,
        )
        if parent is None:
            self.root = element
        else:
            parent.children.append(element)
        self._open.append(element)

    def _end(self, name: str) -> None:
        self._open.pop().end_line = self.parser.CurrentLineNumber

    def _text(self, text: str) -> None:
        element = self._open[-1]
        element.pieces.append(text)
        if not element.text_line and (begins := len(text) - len(text.lstrip())) < len(text):
            element.text_line = self.parser.CurrentLineNumber
            element.text_column = self.parser.CurrentColumnNumber + 1 + begins

    def _doctype(self, *_: object) -> None:
        raise self._refused(
            "lint.doctype",
            "a document type declaration; entities are not read here",
            "remove <!DOCTYPE ...>; answer files have none",
        )

    def _refused(self, rule: str, message: str, hint: str | None = None) -> NotADocument:
        parser = self.parser
        return NotADocument(
            rule, message, hint, parser.CurrentLineNumber, parser.CurrentColumnNumber + 1
        )


def _clark(name: str) -> str:
    namespace, separator, local = name.rpartition(" ")
    return f"{{{namespace}}}{local}" if separator else name
