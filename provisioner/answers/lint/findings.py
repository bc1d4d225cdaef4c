"""A finding of `lint`: a problem that knows its position in the file and not yet the file."""

from __future__ import annotations

from provisioner.answers.lint.document import Element
from provisioner.errors import Severity
from provisioner.frozen import frozen

_OF_NAMES = frozenset(
    {
        "lint.deprecated",
        "lint.duplicate-setting",
        "lint.skeleton",
        "lint.spelling",
        "lint.undocumented-pass",
        "lint.unknown-setting",
        "lint.version",
    }
)
"""Rules about a setting itself, whatever its value is."""


@frozen
class Finding:
    """Lines and columns count from 1. The message never holds a value that may be a secret."""

    rule: str
    severity: Severity
    message: str
    hint: str | None = None
    line: int
    column: int
    length: int = 1


def error(rule: str, element: Element, message: str, hint: str | None = None) -> Finding:
    """Setup stops at it, or ignores the file."""
    return _at(rule, Severity.ERROR, element, message, hint)


def warning(rule: str, element: Element, message: str, hint: str | None = None) -> Finding:
    """Setup goes on and does something else than was meant, or stops on some Windows."""
    return _at(rule, Severity.WARNING, element, message, hint)


def note(rule: str, element: Element, message: str, hint: str | None = None) -> Finding:
    """Good to know; nothing has to change."""
    return _at(rule, Severity.NOTE, element, message, hint)


def _at(rule: str, severity: Severity, element: Element, message: str, hint: str | None) -> Finding:
    """Points to the value, or to the name where there is none or the rule is about that."""
    if element.text_line and not element.children and rule not in _OF_NAMES:
        first = element.value.split("\n", 1)[0]
        return Finding(
            rule=rule,
            severity=severity,
            message=message,
            hint=hint,
            line=element.text_line,
            column=element.text_column,
            length=max(len(first), 1),
        )
    return Finding(
        rule=rule,
        severity=severity,
        message=message,
        hint=hint,
        line=element.line,
        column=element.column,
        length=len(element.name) + 1,
    )
