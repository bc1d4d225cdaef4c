"""Findings as SARIF 2.1.0, which code review understands.

OASIS, "Static Analysis Results Interchange Format (SARIF) Version 2.1.0".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from provisioner import __version__
from provisioner.errors import Place, Problem, Severity
from provisioner.plan.rules.explain import Explanation, book

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}


def sarif(problems: Iterable[Problem]) -> dict[str, Any]:
    """One run with these findings, and the rules they belong to."""
    found = tuple(problems)
    rules = [rule for rule in book() if any(problem.rule == rule for problem in found)]
    index = {rule: number for number, rule in enumerate(rules)}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "provisioner",
                        "version": __version__,
                        "rules": [_rule(book()[rule]) for rule in rules],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_result(problem, index) for problem in found],
            }
        ],
    }


def _rule(entry: Explanation) -> dict[str, Any]:
    return {
        "id": entry.rule,
        "name": "".join(part.capitalize() for part in entry.rule.replace(".", "-").split("-")),
        "shortDescription": {"text": entry.title},
        "fullDescription": {"text": entry.cause},
        "help": {"text": f"{entry.cause}\n\nFix: {entry.fix}\n\nExample: {entry.example}"},
        "defaultConfiguration": {"level": _LEVELS[entry.severities[0]]},
    }


def _result(problem: Problem, index: Mapping[str, int]) -> dict[str, Any]:
    text = problem.message if problem.hint is None else f"{problem.message}. {problem.hint}"
    result: dict[str, Any] = {
        "ruleId": problem.rule,
        "level": _LEVELS[problem.severity],
        "message": {"text": text},
        "locations": [] if problem.place is None else [_location(problem.place)],
    }
    if problem.rule in index:
        result["ruleIndex"] = index[problem.rule]
    return result


def _location(place: Place) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(place.file)}}
    # Code review shows a result only where it has a line.
    line, column = max(place.line, 1), max(place.column, 1)
    physical["region"] = {"startLine": line, "startColumn": column}
    if place.line and place.length > 1:
        physical["region"]["endColumn"] = column + place.length
    return {"physicalLocation": physical}


def _uri(file: str) -> str:
    """Relative paths stay relative: they are looked up in the repository."""
    return quote(PurePath(file).as_posix(), safe="/:@!$&'()*+,;=~-._")
