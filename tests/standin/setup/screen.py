"""What a person sees on the graphics display: a banner and the stages, in large plain text."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

TERMINAL = Path("/dev/tty1")
TITLE = "STAND-IN FOR WINDOWS SETUP"
NOTICE = "a test system; this is not Windows"

_CLEAR = "\x1b[2J\x1b[H\x1b[?25l"
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"


@dataclass(slots=True)
class Screen:
    """Draws everything again on each change; text only, so it works on VGA text and on efifb."""

    subtitle: str
    _lines: list[str] = field(default_factory=list)

    def add(self, line: str) -> None:
        """Add a line below the others; the oldest leave when there is no room."""
        self._lines.append(line)
        self._draw()

    def _draw(self) -> None:
        try:
            self._write()
        except OSError:
            # A machine without graphics has no virtual terminal; the serial line says the same.
            return

    def _write(self) -> None:
        descriptor = os.open(TERMINAL, os.O_WRONLY | os.O_NOCTTY)
        try:
            columns, rows = os.get_terminal_size(descriptor)
            text = self._text(columns, rows)
            os.write(descriptor, text.encode("ascii", "replace"))
        finally:
            os.close(descriptor)

    def _text(self, columns: int, rows: int) -> str:
        room = max(4, rows - 8)
        lines = [
            "",
            f"   {_BOLD}{TITLE}{_PLAIN}",
            f"   {NOTICE}",
            "",
            f"   {_BOLD}{self.subtitle}{_PLAIN}",
            "",
            *(f"   {line[: columns - 4]}" for line in self._lines[-room:]),
        ]
        return _CLEAR + "\r\n".join(lines) + "\r\n"
