"""What a person sees: the story on stderr, results on stdout, `--json` as one object per line.

Nothing a guest or a file said reaches the terminal with control characters in it.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from provisioner.cli.environment import is_terminal
from provisioner.errors import Place, Problem, ProfileError, ProvisionerError, Severity

BAR_WIDTH = 18
REDRAW = 0.25
"""Seconds between two drawings of a progress bar."""

_COLOURS = {"error": "31", "warning": "33", "note": "36", "bold": "1", "dim": "2", "good": "32"}


class TerminalConsole:
    """Implements `ports.Console`, and prints results and errors.

    With `as_json`, stdout carries one JSON object per line and the story is silent.
    """

    def __init__(
        self,
        *,
        colour: bool,
        as_json: bool,
        out: TextIO | None = None,
        err: TextIO | None = None,
    ) -> None:
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self.as_json = as_json
        self._colour = colour and is_terminal(self._err)
        self._live = is_terminal(self._err) and not as_json
        self._drawn = False
        self._last = 0.0
        self._began: dict[str, float] = {}

    def result(self, text: str) -> None:
        """A line of the result, on stdout; with `--json` results go through `event`."""
        if not self.as_json:
            self._print(self._out, printable(text))

    def say(self, line: str) -> None:
        """A line of the story."""
        if not self.as_json:
            self._print(self._err, printable(line))

    def warn(self, line: str) -> None:
        """A line that must not be missed."""
        if self.as_json:
            self.event("warning", {"message": line})
        else:
            self._print(self._err, f"{self._paint('warning', 'warning:')} {printable(line)}")

    def event(self, name: str, members: Mapping[str, Any]) -> None:
        """One JSON object on stdout, only with `--json`."""
        if self.as_json:
            text = json.dumps({"event": name, **members}, ensure_ascii=True, default=str)
            self._print(self._out, text)

    def progress(self, label: str, done: int, total: int | None) -> None:
        """Draws a bar where a person is looking; says nothing elsewhere."""
        now = time.monotonic()
        began = self._began.setdefault(label, now)
        finished = total is not None and done >= total
        if not self._live or (now - self._last < REDRAW and not finished):
            return
        self._last = now
        rate = done / (now - began) if now > began else 0.0
        text = f"  {label}"
        if total:
            filled = BAR_WIDTH * done // total
            text += f"  {'█' * filled}{'░' * (BAR_WIDTH - filled)}  {100 * done // total} %"
            if rate and not finished:
                text += f"  {rate / 2**20:.0f} MiB/s  {int((total - done) / rate)} s left"
        else:
            text += f"  {done / 2**20:.0f} MiB"
        width = shutil.get_terminal_size().columns
        self._err.write("\r\x1b[K" + text[: width - 1])
        self._err.flush()
        self._drawn = True
        if finished:
            self._began.pop(label, None)
            self._end_bar()

    def error(self, error: ProvisionerError) -> None:
        """An error with its place and hint; every problem of a profile."""
        if isinstance(error, ProfileError):
            self.problems(error.problems)
            return
        if self.as_json:
            self.event("error", _error_members(error))
            return
        place = f"{error.place}: " if error.place else ""
        self._print(
            self._err, f"{place}{self._paint('error', 'error:')} {printable(error.message)}"
        )
        self._source(error.place)
        self._hint(error.hint)

    def problems(self, problems: Iterable[Problem]) -> None:
        """Findings as `file:line:col: error[rule]: message`, the line, a caret, a hint."""
        for problem in problems:
            if self.as_json:
                self.event("problem", problem_members(problem))
                continue
            tag = self._paint(problem.severity.value, f"{problem.severity.value}[{problem.rule}]:")
            place = f"{problem.place}: " if problem.place else ""
            self._print(self._err, f"{place}{tag} {printable(problem.message)}")
            self._source(problem.place)
            self._hint(problem.hint)

    def bold(self, text: str) -> str:
        """Emphasis, where colour is on."""
        return self._paint("bold", text)

    def _source(self, place: Place | None) -> None:
        if place is None or not place.line or place.source is None:
            return
        number = f"{place.line:>5}"
        source = printable(place.source).replace("\t", " ")
        start = max(place.column - 1, 0)
        length = max(1, min(place.length, max(1, len(source) - start)))
        self._print(self._err, f"{number} | {source}")
        caret = self._paint("error", "^" * length)
        self._print(self._err, f"{' ' * len(number)} | {' ' * start}{caret}")

    def _hint(self, hint: str | None) -> None:
        if hint:
            lines = printable(hint).splitlines()
            self._print(self._err, f"  hint: {lines[0]}")
            for line in lines[1:]:
                self._print(self._err, f"        {line}")

    def _paint(self, style: str, text: str) -> str:
        return f"\x1b[{_COLOURS[style]}m{text}\x1b[0m" if self._colour else text

    def _end_bar(self) -> None:
        if self._drawn:
            self._err.write("\r\x1b[K")
            self._drawn = False

    def _print(self, stream: TextIO, text: str) -> None:
        self._end_bar()
        stream.write(text + "\n")
        stream.flush()


def printable(text: str) -> str:
    """The text with control characters other than line breaks shown as `�`."""
    return "".join(
        character if character.isprintable() or character == "\n" else "\ufffd"
        for character in text.replace("\t", "    ")
    )


def problem_members(problem: Problem) -> dict[str, Any]:
    """A finding as JSON members."""
    return {
        "rule": problem.rule,
        "severity": problem.severity.value,
        "message": problem.message,
        "hint": problem.hint,
        **_place_members(problem.place),
    }


def count_line(problems: Iterable[Problem]) -> str:
    """`2 errors, 1 warning`."""
    counts = dict.fromkeys(Severity, 0)
    for problem in problems:
        counts[problem.severity] += 1
    parts = [
        f"{number} {severity.value}{'s' if number != 1 else ''}"
        for severity, number in counts.items()
        if number
    ]
    return ", ".join(parts) or "no problems"


def _error_members(error: ProvisionerError) -> dict[str, Any]:
    return {
        "type": type(error).__name__,
        "exit_code": error.exit_code,
        "message": error.message,
        "hint": error.hint,
        **_place_members(error.place),
    }


def _place_members(place: Place | None) -> dict[str, Any]:
    if place is None:
        return {}
    return {"file": place.file, "line": place.line, "column": place.column}
