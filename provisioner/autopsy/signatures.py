"""The table of known failures: what a log or a screen says, why, and what to do.

The table is `signatures.toml` beside this module; docs/signatures.md is made from it. Pure.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from functools import cache
from pathlib import Path

from provisioner.autopsy.case import Document, Finding, Kind
from provisioner.frozen import frozen

LONGEST_VALUE = 120
"""Characters that a log may contribute to a cause."""
SEEN_LINE = 400
"""Characters of the line that a finding shows."""

CAUSE = 3
"""Weight of a signature that names the cause."""
MESSAGE = 2
"""Weight of a message that several causes have."""
STAGE = 1
"""Weight of what is known of the stage alone: better than nothing."""

_PREFERENCE = (
    Kind.STEPS,
    Kind.SYSPREP,
    Kind.JOIN,
    Kind.SETUP,
    Kind.EVENT,
    Kind.SERIAL,
    Kind.SCREEN,
    Kind.STATE,
)
"""Between signatures of one weight, what says most about the reason first."""


@frozen
class Signature:
    """One row. `pattern` matches without regard to case; its groups fill `{}` in cause and fix.

    `meanings` puts the group `code` into words. `sample` is what a log says, `source` who says so.
    """

    identifier: str
    kinds: tuple[Kind, ...]
    weight: int
    pattern: re.Pattern[str]
    contains: tuple[str, ...]
    cause: str
    fix: str
    source: str
    sample: str
    meanings: Mapping[str, str] = field(default_factory=dict)


@cache
def table() -> tuple[Signature, ...]:
    """Every signature, in the order of the file."""
    text = Path(__file__).with_name("signatures.toml").read_text(encoding="utf-8")
    return tuple(_signature(identifier, row) for identifier, row in tomllib.loads(text).items())


def findings(documents: Iterable[Document]) -> tuple[Finding, ...]:
    """What the table says about these texts, the best explanation first, each signature once."""
    found: dict[str, tuple[tuple[int, int, int], Finding]] = {}
    for document in documents:
        text = _searched(document)
        lowered = text.lower()
        for signature in table():
            if document.kind not in signature.kinds:
                continue
            if not any(word in lowered for word in signature.contains):
                continue
            match = _last(signature.pattern, text)
            if match is None:
                continue
            finding = _finding(signature, match, document.name, text)
            key = (-signature.weight, _PREFERENCE.index(document.kind), -finding.number)
            if signature.identifier not in found or key < found[signature.identifier][0]:
                found[signature.identifier] = (key, finding)
    return tuple(finding for _, finding in sorted(found.values(), key=lambda item: item[0]))


def _searched(document: Document) -> str:
    """A picture breaks sentences where its window ends; everything else keeps its lines."""
    if document.kind is Kind.SCREEN:
        return " ".join(document.text.split())
    return document.text


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """The last match: what came last ended it."""
    found = None
    for found in pattern.finditer(text):  # noqa: B007 -- the last one is wanted
        pass
    return found


def _finding(signature: Signature, match: re.Match[str], document: str, text: str) -> Finding:
    values = {name: _value(value) for name, value in match.groupdict().items()}
    if signature.meanings:
        code = values["code"]
        values["meaning"] = signature.meanings.get(code.lower(), f"code {code}")
    start = text.rfind("\n", 0, match.start()) + 1
    end = text.find("\n", match.end())
    line = text[start : end if end >= 0 else len(text)].strip()
    return Finding(
        signature=signature.identifier,
        weight=signature.weight,
        cause=_filled(signature.cause, values),
        fix=_filled(signature.fix, values),
        document=document,
        number=text.count("\n", 0, match.start()) + 1,
        line=line if len(line) <= SEEN_LINE else f"{line[:SEEN_LINE]} ...",
    )


def _filled(words: str, values: Mapping[str, str]) -> str:
    """`{name}` replaced."""
    return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], words)


def _value(value: str | None) -> str:
    text = " ".join((value or "?").split())
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."


def _signature(identifier: str, row: Mapping[str, object]) -> Signature:
    contains = tuple(str(words).lower() for words in _list(row["contains"]))
    pattern = row.get("pattern")
    meanings = row.get("meanings", {})
    assert isinstance(meanings, Mapping)
    return Signature(
        identifier=identifier,
        kinds=tuple(Kind(kind) for kind in _list(row["in"])),
        weight=int(str(row["weight"])),
        pattern=re.compile(
            str(pattern) if pattern else "|".join(map(re.escape, contains)),
            re.IGNORECASE | re.MULTILINE,
        ),
        contains=contains,
        cause=str(row["cause"]),
        fix=str(row["fix"]),
        source=str(row["source"]),
        sample=str(row["sample"]).strip("\n"),
        meanings={str(code): str(words) for code, words in meanings.items()},
    )


def _list(value: object) -> Iterator[str]:
    return iter(value) if isinstance(value, list) else iter((str(value),))
