"""The one exception family: every failure a person meets has a message, a place and a hint.

Nothing here prints; `cli` renders these, as text or as JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from provisioner.frozen import frozen


class Severity(StrEnum):
    """How bad a finding is; only an error stops the work."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@frozen
class Place:
    """A position in a file a person edits. `line` and `column` count from 1; 0 means unknown."""

    file: str
    line: int = 0
    column: int = 0
    length: int = 1
    """How many characters the caret line underlines."""
    source: str | None = None
    """The text of the line, for the caret display; never a line that holds a literal secret."""

    def __str__(self) -> str:
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column}"


@frozen
class Problem:
    """One finding: what is wrong, where, and what to do about it.

    `rule` is a stable id such as `profile.unknown-key` or `media.edition`.
    """

    message: str
    rule: str
    severity: Severity = Severity.ERROR
    place: Place | None = None
    hint: str | None = None


class ProvisionerError(Exception):
    """Base of everything raised on purpose. `exit_code` is what the process returns."""

    exit_code = 1

    def __init__(
        self, message: str, *, hint: str | None = None, place: Place | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.place = place


class UsageError(ProvisionerError):
    """The command line makes no sense."""

    exit_code = 2


class ProfileError(ProvisionerError):
    """A profile is wrong. Carries every problem of every file at once, in file order."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        first = self.problems[0]
        super().__init__(first.message, hint=first.hint, place=first.place)
        self.exit_code = exit_code_of(self.problems)


def exit_code_of(problems: Sequence[Problem]) -> int:
    """0 without an error, 3 where the profile is fine and only this host is not ready, else 2.

    Rules about the host begin with `host.`.
    """
    rules = [problem.rule for problem in problems if problem.severity is Severity.ERROR]
    if not rules:
        return 0
    return HostError.exit_code if all(rule.startswith("host.") for rule in rules) else 2


class HostError(ProvisionerError):
    """The host is not ready: no daemon, no firmware, no space, no permission."""

    exit_code = 3


class MediaError(ProvisionerError):
    """A medium is missing, damaged, or not what the profile needs."""

    exit_code = 3


class FailedError(ProvisionerError):
    """Something failed while doing."""

    exit_code = 4


class RefusedError(ProvisionerError):
    """Refused for safety: going on could destroy something that is not ours."""

    exit_code = 5


class GuestError(ProvisionerError):
    """The guest failed, stalled or was not ready in time."""

    exit_code = 6


class InterruptedByUser(ProvisionerError):
    """Ctrl-C, or SIGTERM."""

    exit_code = 130
