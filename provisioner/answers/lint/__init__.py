"""The linter of answer files, ours or anyone's: bytes -> problems with line and column.

The recipe is windows-setup.md §6.8; each rule is explained by `provisioner check --explain RULE`.
Pure: reads no file. Never fails, whatever the bytes are, and is bounded in time and memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, islice

from provisioner.answers.lint import (
    accounts,
    commands,
    disks,
    identity,
    reference,
    skeleton,
)
from provisioner.answers.lint.answerfile import AnswerFile, Firmware, Purpose, answer_file
from provisioner.answers.lint.document import Element, NotADocument, parse
from provisioner.answers.lint.encoding import LARGEST, Decoded, decode
from provisioner.answers.lint.findings import Finding
from provisioner.answers.lint.targets import TARGETS, Target, target
from provisioner.errors import Place, Problem, Severity

__all__ = ["LARGEST", "TARGETS", "Firmware", "Purpose", "Target", "lint", "target"]

MOST_FINDINGS = 200
"""A file with more is another kind of file, or was made to have them."""
_LONGEST_LINE = 300
_SECRET_NAMES = frozenset(
    {
        "password",
        "administratorpassword",
        "offlineadministratorpassword",
        "productkey",
        "machinepassword",
        "accountdata",
        "credentials",
        "faxuserpassword",
    }
)
_MAY_BE_SECRET = re.compile(
    r"password|credential|productkey|<value|<key|accountdata", re.IGNORECASE
)


def lint(data: bytes, *, file: str, purpose: Purpose | None = None) -> tuple[Problem, ...]:
    """Everything wrong with an answer file, in the order of its lines.

    `file` is what places are named after. No message and no place holds a password or a key.
    """
    if len(data) > LARGEST:
        message = f"{len(data):,} bytes; no answer file has more than {LARGEST:,}"
        return (
            Problem(
                rule="lint.too-large",
                message=message,
                place=Place(file=file),
                hint="is this the right file?",
            ),
        )
    if not data.strip():
        return (
            Problem(
                rule="lint.not-xml",
                message="the file is empty",
                place=Place(file=file),
                hint="is this the right file?",
            ),
        )
    decoded = decode(data)
    root: Element | None = None
    try:
        root = parse(decoded.text)
        found = _checked(root, purpose or Purpose())
    except NotADocument as refusal:
        found = iter((_refusal(refusal),))
    findings = [
        *decoded.findings,
        *(_shifted(f, decoded) for f in islice(found, MOST_FINDINGS + 1)),
    ]
    findings.sort(key=lambda finding: (finding.line, finding.column))
    places = _Places(data=data, decoded=decoded, root=root, file=file)
    problems = [places.problem(finding) for finding in findings[:MOST_FINDINGS]]
    if len(findings) > MOST_FINDINGS:
        problems.append(
            Problem(
                rule="lint.too-many",
                message=f"more than {MOST_FINDINGS} findings; the rest is not shown",
                severity=Severity.NOTE,
                place=Place(file=file),
                hint="mend the first ones and lint it again",
            )
        )
    return tuple(problems)


def _checked(root: Element, purpose: Purpose) -> Iterator[Finding]:
    wrong = tuple(skeleton.check_root(root))
    if wrong and root.name != "unattend":
        return iter(wrong)
    file: AnswerFile = answer_file(root, purpose)
    return chain(
        wrong,
        skeleton.check(file),
        reference.check(file),
        disks.check(file),
        identity.check(file),
        accounts.check(file),
        commands.check(file),
    )


def _refusal(refusal: NotADocument) -> Finding:
    return Finding(
        rule=refusal.rule,
        severity=Severity.ERROR,
        message=refusal.message,
        hint=refusal.hint,
        line=refusal.line,
        column=refusal.column,
    )


def _shifted(finding: Finding, decoded: Decoded) -> Finding:
    """Positions of the parser begin at the declaration; those of people at the first byte."""
    if not decoded.skipped_lines and not decoded.skipped_columns:
        return finding
    return Finding(
        rule=finding.rule,
        severity=finding.severity,
        message=finding.message,
        hint=finding.hint,
        line=finding.line + decoded.skipped_lines,
        column=finding.column + (decoded.skipped_columns if finding.line == 1 else 0),
        length=finding.length,
    )


class _Places:
    """Turns positions into places, with the line's text where that holds no secret."""

    def __init__(self, *, data: bytes, decoded: Decoded, root: Element | None, file: str) -> None:
        self._file = file
        skipped = [""] * decoded.skipped_lines
        self._lines = [*skipped, *re.split(r"\r\n|\r|\n", decoded.text)]
        self._first = decoded.skipped_lines
        self._secret: set[int] | None = None if root is None else set()
        if self._secret is not None and root is not None:
            for element in (root, *root.walk()):
                if element.name.lower() in _SECRET_NAMES:
                    self._secret.update(range(element.line, element.end_line + 1))

    def problem(self, finding: Finding) -> Problem:
        """The finding with its place."""
        return Problem(
            rule=finding.rule,
            message=finding.message,
            severity=finding.severity,
            place=Place(
                file=self._file,
                line=finding.line,
                column=finding.column,
                length=finding.length,
                source=self._source(finding.line),
            ),
            hint=finding.hint,
        )

    def _source(self, line: int) -> str | None:
        """The line, unless it may hold a secret or is no line for people."""
        if not self._first < line <= len(self._lines):
            return None
        text = self._lines[line - 1]
        if len(text) > _LONGEST_LINE:
            return None
        if commands.holds_password(text):
            return None
        if self._secret is None:
            # What is no XML has no elements to tell secrets by: only lines with a tag are shown.
            return None if _MAY_BE_SECRET.search(text) or "<" not in text else text
        return None if line - self._first in self._secret else text
