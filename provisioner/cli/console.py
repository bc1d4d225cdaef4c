"""What a person sees: the story on stderr, results on stdout, `--json` as one object per line.

Nothing a guest or a file said reaches the terminal with control characters in it.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TextIO

from provisioner.cli.environment import is_terminal
from provisioner.cli.layout import cells, shortened, table, wrapped
from provisioner.cli.progress import DELAY, WORTH_TELLING, Transfer
from provisioner.errors import (
    Autopsy,
    GuestError,
    Place,
    Problem,
    ProfileError,
    ProvisionerError,
    Severity,
)

if TYPE_CHECKING:
    from provisioner.cli.story import Story

REDRAW = 0.25
"""Seconds between two drawings of a progress bar."""

STAGE_REDRAW = 0.5
"""The same for a stage of an installation, which may take hours."""

NARROWEST = 16
"""A terminal that says it is narrower is taken for this wide."""

_COLOURS = {"error": "31", "warning": "33", "note": "36", "bold": "1", "dim": "2", "good": "32"}


class TerminalConsole:
    """Implements `ports.Console`, and prints results and errors.

    With `as_json`, stdout carries one JSON object per line and the story is silent. Where a person
    is looking, lines are wrapped at spaces to the terminal's width; elsewhere nothing is wrapped,
    cut or coloured. `colour` is whether it is wanted: None is where a person is looking, unless
    the environment says no (`allowed`). `moving` is False for a terminal that cannot go back in a
    line.
    """

    def __init__(
        self,
        *,
        out: TextIO,
        err: TextIO,
        as_json: bool = False,
        colour: bool | None = None,
        allowed: bool = True,
        moving: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._out = out
        self._err = err
        self._clock = clock
        self.as_json = as_json
        self._colour = colour
        self._allowed = allowed
        self._live = moving and is_terminal(err) and not as_json
        self._drawn: tuple[int, ...] = ()
        self._last = 0.0
        self._transfers: dict[str, Transfer] = {}
        self._story: Story | None = None

    def use_colour(self, wanted: bool | None) -> None:
        """Decides anew, once the configuration is read."""
        self._colour = wanted

    @property
    def width(self) -> int | None:
        """Columns that results may take; None where nobody is looking."""
        return _width(self._out)

    def result(self, text: str, *, heading: str = "", wrap: bool = False) -> None:
        """A line of the result, on stdout; with `--json` results go through `event`.

        `heading` stands in bold before it. What a program may read or a person may copy is not to
        be wrapped.
        """
        if not self.as_json:
            lead = self._paint("bold", printable(heading), self._out) if heading else ""
            self._print(self._out, lead + printable(text), wrap=wrap)

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Rows of the result in columns, or below each other where the terminal is too narrow."""
        if not self.as_json:
            clean = [[printable(cell) for cell in row] for row in rows]
            for line in table(clean, _width(self._out)):
                self._print(self._out, line, wrap=False)

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

    def ask(self, prompt: str) -> None:
        """A question, without a line break; the answer is read elsewhere."""
        self._end_bar()
        _write(self._err, "\n".join(self._fitted(self._err, printable(prompt))) + " ")

    def event(self, name: str, members: Mapping[str, Any]) -> None:
        """One JSON object on stdout, only with `--json`."""
        if self.as_json:
            text = json.dumps({"event": name, **members}, ensure_ascii=True, default=str)
            self._print(self._out, text, wrap=False)

    def progress(self, label: str, done: int, total: int | None) -> None:
        """`done` of `total` bytes of what `label` names; the last call has `done == total`.

        May be called as often as one likes. A bar with rate and time left is drawn where a person
        is looking, once the thing lasts over a second; everywhere a thing that took over two
        seconds leaves one line (with `--json`: one `progress` event) when it is done.
        """
        now = self._clock()
        transfer = self._transfers.get(label)
        if transfer is None or done < transfer.done:
            transfer = self._transfers[label] = Transfer(
                label, now=now, plain=not _takes(self._err, "█░")
            )
        transfer.update(done, total, now=now)
        if transfer.finished:
            del self._transfers[label]
            self._end_bar()
            seconds = now - transfer.began
            if seconds >= WORTH_TELLING:
                self.say(transfer.summary(now=now))
                members = {"label": label, "bytes": done, "seconds": round(seconds, 1)}
                self.event("progress", members)
        elif self._live and now - transfer.began >= DELAY and now - self._last >= REDRAW:
            self._last = now
            self._draw([transfer.line(self._room)])

    def moment(self, event: str, members: Mapping[str, Any]) -> None:
        """One moment of an installation: its line of the story, or its JSON object."""
        if self.as_json:
            self.event(event, members)
            return
        self._last = -math.inf  # what is new is drawn at the next pulse, not half a second later
        for line in self._told().take(event, members, _width(self._err)):
            self._print(self._err, printable(line))

    def pulse(self, elapsed: float) -> None:
        """Draws the running stage anew, where a person is looking."""
        if not self._live or self._story is None:
            return
        now = self._clock()
        if now - self._last < STAGE_REDRAW:
            return
        self._last = now
        if line := self._story.live(elapsed, self._room):
            self._draw([line], self._story.tail(self._room))

    def _told(self) -> Story:
        if self._story is None:
            from provisioner.cli.story import Story

            self._story = Story(live=self._live, plain=not _takes(self._err, "●◐█░✔✘·±…"))
        return self._story

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
        if isinstance(error, GuestError) and error.autopsy is not None:
            for label, text in autopsy_rows(error.autopsy):
                self._print(self._err, f"  {label:<8} {printable(text)}")

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

    def _source(self, place: Place | None) -> None:
        if place is None or not place.line or place.source is None:
            return
        number = f"{place.line:>5}"
        source = printable(place.source).replace("\t", " ")
        start = max(place.column - 1, 0)
        length = max(1, min(place.length, max(1, len(source) - start)))
        width = _width(self._err)
        room = len(source) if width is None else max(width - len(number) - 4, 4)
        if len(source) > room:
            # The part around the caret; a line that wraps would put the caret under nothing.
            length = min(length, room - 2)
            cut = min(max(0, start + length + 1 - room), start)
            end = "…" if cut + room < len(source) else ""
            source = source[cut : cut + room - len(end)] + end
            if cut:
                source = "…" + source[1:]
            start -= cut
        self._print(self._err, f"{number} | {source}", wrap=False)
        caret = self._paint("error", "^" * length)
        indent = " " * cells(source[:start])
        self._print(self._err, f"{' ' * len(number)} | {indent}{caret}", wrap=False)

    def _hint(self, hint: str | None) -> None:
        if hint:
            lines = printable(hint).splitlines()
            self._print(self._err, f"  hint: {lines[0]}")
            for line in lines[1:]:  # commands, which must stay as they are
                self._print(self._err, f"        {line}", wrap=False)

    def _paint(self, style: str, text: str, stream: TextIO | None = None) -> str:
        painted = self._colour
        if painted is None:
            painted = self._allowed and is_terminal(stream or self._err)
        return f"\x1b[{_COLOURS[style]}m{text}\x1b[0m" if painted else text

    @property
    def _room(self) -> int:
        """Cells of a line that is drawn anew: one that fills the last column wraps on some
        terminals."""
        return (_width(self._err) or NARROWEST) - 1

    def _draw(self, lines: Sequence[str], quiet: Sequence[str] = ()) -> None:
        """Draws lines in the place of those that were drawn last; `quiet` ones are dimmed, and as
        many as the terminal's height has room for."""
        most = max(0, _height(self._err) - len(lines) - 1)
        quiet = quiet[len(quiet) - min(most, len(quiet)) :]
        clean = [shortened(printable(line), self._room) for line in (*lines, *quiet)]
        drawn = [
            line if number < len(lines) else self._paint("dim", line)
            for number, line in enumerate(clean)
        ]
        _write(self._err, self._erased() + "\n".join(drawn))
        self._drawn = tuple(cells(line) for line in clean)

    def _erased(self) -> str:
        """Back to the first drawn line, also where the terminal became narrower in between."""
        width = _width(self._err) or NARROWEST
        rows = sum(max(1, math.ceil(wide / width)) for wide in self._drawn)
        return f"\x1b[{rows - 1}A\r\x1b[J" if rows > 1 else "\r\x1b[K"

    def _end_bar(self) -> None:
        if self._drawn:
            _write(self._err, self._erased())
            self._drawn = ()

    def _print(self, stream: TextIO, text: str, *, wrap: bool = True) -> None:
        self._end_bar()
        for line in self._fitted(stream, text) if wrap else (text,):
            _write(stream, line + "\n")

    def _fitted(self, stream: TextIO, text: str) -> list[str]:
        width = _width(stream)
        return [text] if width is None else wrapped(text, width)


def _width(stream: TextIO) -> int | None:
    """Columns of a terminal; None where nobody is looking."""
    if not is_terminal(stream):
        return None
    try:
        return max(os.get_terminal_size(stream.fileno()).columns or 80, NARROWEST)
    except (OSError, ValueError):
        return 80


def _height(stream: TextIO) -> int:
    """Lines of a terminal."""
    try:
        return os.get_terminal_size(stream.fileno()).lines or 24
    except (OSError, ValueError):
        return 24


def _takes(stream: TextIO, text: str) -> bool:
    """Whether the stream's encoding has these characters."""
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _write(stream: TextIO, text: str) -> None:
    """Writes at once; what the stream's encoding does not have is escaped, never a failure."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    if not _takes(stream, text):
        text = text.encode(encoding, "backslashreplace").decode(encoding)
    stream.write(text)
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


def autopsy_rows(autopsy: Autopsy) -> tuple[tuple[str, str], ...]:
    """Cause, fix and page with their labels; what nobody knows is left out."""
    see = f"{autopsy.see}   screenshot, Setup's logs, timeline" if autopsy.see else ""
    rows = (("cause", autopsy.cause), ("fix", autopsy.fix), ("see", see))
    return tuple(row for row in rows if row[1])


def _error_members(error: ProvisionerError) -> dict[str, Any]:
    autopsy = error.autopsy if isinstance(error, GuestError) else None
    return {
        "type": type(error).__name__,
        "exit_code": error.exit_code,
        "message": error.message,
        "hint": error.hint,
        **_place_members(error.place),
        **({"autopsy": asdict(autopsy)} if autopsy else {}),
    }


def _place_members(place: Place | None) -> dict[str, Any]:
    if place is None:
        return {}
    return {"file": place.file, "line": place.line, "column": place.column}
