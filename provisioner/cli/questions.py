"""Asks a person at a terminal, one line per answer; or takes every suggestion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TextIO, TypeVar

from provisioner.cli.console import TerminalConsole
from provisioner.errors import InterruptedByUser, ProvisionerError, UsageError

T = TypeVar("T")


class Questions:
    """`answers` is where a person types; None takes every suggestion without a word."""

    def __init__(self, console: TerminalConsole, answers: TextIO | None) -> None:
        self._console = console
        self._answers = answers

    @property
    def silent(self) -> bool:
        """Whether nobody is asked."""
        return self._answers is None

    def explain(self, line: str) -> None:
        """A line before a question."""
        if not self.silent:
            self._console.say(line)

    def ask(self, question: str, suggestion: str, read: Callable[[str], T]) -> T:
        """What `read` makes of the answer; asks again as long as it raises.

        An empty answer is the suggestion. The end of the input is InterruptedByUser.
        """
        if self._answers is None:
            return read(suggestion)
        shown = f" [{suggestion}]" if suggestion else ""
        while True:
            self._console.ask(f"{question}{shown}:")
            line = self._answers.readline()
            if not line:
                self._console.say("")
                raise InterruptedByUser("no answer, so nothing was written")
            try:
                return read(line.strip() or suggestion)
            except (ProvisionerError, ValueError) as err:
                message = getattr(err, "message", None) or str(err)
                hint = getattr(err, "hint", None)
                self._console.say(f"  {message}" + (f" ({hint})" if hint else ""))

    def choose(self, question: str, options: Sequence[tuple[str, str]], suggestion: str) -> str:
        """One of `options`, each a value and what it means; by value or by number."""

        def read(text: str) -> str:
            values = [value for value, _ in options]
            if text.isdigit() and 1 <= int(text) <= len(values):
                return values[int(text) - 1]
            for value in values:
                if value.casefold() == text.casefold():
                    return value
            raise UsageError(f"'{text}' is none of these")

        for number, (value, meaning) in enumerate(options, start=1):
            self.explain(f"  {number}  {value:<20}  {meaning}".rstrip())
        return self.ask(question, suggestion, read)
