"""PyYAML's complaints in words that say what to change. Never repeats text of the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from provisioner.frozen import frozen


@frozen
class SyntaxFault:
    """What is wrong and where; `mark` is PyYAML's, or None where it does not say."""

    message: str
    rule: str
    mark: Any
    hint: str | None


@dataclass(frozen=True, slots=True)
class _Complaint:
    problem: str
    """A piece of PyYAML's own message."""
    message: str
    hint: str | None = None
    context: str = ""
    """A piece of what it was doing."""
    at_start: bool = False
    """Point to where the construct began, not to where reading stopped."""
    rule: str = "yaml.syntax"


_COMPLAINTS = (
    _Complaint(
        r"found character '\t'",
        "a tab where YAML wants spaces",
        "indent with spaces",
        rule="yaml.tab",
    ),
    _Complaint(
        "that cannot start any token",
        "a value cannot begin with this character",
        "put the value in quotes",
    ),
    _Complaint(
        "mapping values are not allowed",
        "this ':' does not belong to a key",
        "indent the line like its neighbours, or put a value that holds ': ' in quotes",
    ),
    _Complaint(
        "sequence entries are not allowed",
        "a list item ('-') cannot stand here",
        "begin the list on its own line, or put the value in quotes",
    ),
    _Complaint(
        "could not find expected ':'",
        "this line is neither 'key: value' nor part of the value above",
        "put ': ' behind the key",
        at_start=True,
    ),
    _Complaint(
        "found unexpected end of stream",
        "this quote is never closed",
        context="quoted scalar",
        at_start=True,
    ),
    _Complaint(
        "found unexpected document separator",
        "this quote is never closed",
        context="quoted scalar",
        at_start=True,
    ),
    _Complaint(
        "found unknown escape character",
        "this backslash begins no escape that YAML knows",
        "write the text in single quotes, which leave backslashes alone",
    ),
    _Complaint(
        "expected escape sequence of",
        "this escape sequence is too short",
        "write the text in single quotes, which leave backslashes alone",
    ),
    _Complaint("expected ',' or ']'", "this '[' is never closed, or a ',' is missing",
               at_start=True),
    _Complaint("expected ',' or '}'", "this '{' is never closed, or a ',' is missing",
               at_start=True),
    _Complaint(
        "found '<stream end>'",
        "the file ends here, and a bracket or brace is still open",
    ),
    _Complaint(
        "expected <block end>",
        "this line does not fit the lines above it",
        "keys of one mapping begin in the same column",
    ),
    _Complaint(
        "expected alphabetic or numeric character",
        "'*' and '&' begin an alias or an anchor, and here no name follows",
        "put the value in quotes",
    ),
)  # fmt: skip


def explain(error: yaml.MarkedYAMLError) -> SyntaxFault:
    """The fault behind one of PyYAML's errors."""
    problem, context = error.problem or "", error.context or ""
    for complaint in _COMPLAINTS:
        if complaint.problem in problem and complaint.context in context:
            start = error.context_mark if complaint.at_start else None
            return SyntaxFault(
                message=complaint.message,
                rule=complaint.rule,
                mark=start or error.problem_mark or error.context_mark,
                hint=complaint.hint,
            )
    return SyntaxFault(
        message="this is not valid YAML",
        rule="yaml.syntax",
        mark=error.problem_mark or error.context_mark,
        hint="look for a missing quote, bracket or ':' here or in the line above",
    )
