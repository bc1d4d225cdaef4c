"""What stands on a terminal after a story was told to it: a pty, and a reader of its bytes."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import termios
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from provisioner.cli.console import TerminalConsole
from provisioner.cli.layout import cells


def screen_of(
    moments: Sequence[tuple[str, Mapping[str, Any]]],
    *,
    columns: int,
    until: float,
    rows: int = 40,
) -> list[str]:
    """The lines that are visible in the end, of a terminal of this size."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    now = [0.0]
    with os.fdopen(slave, "w", encoding="utf-8") as stream:
        console = TerminalConsole(
            out=io.StringIO(), err=stream, allowed=False, clock=lambda: now[0]
        )
        for event, members in moments:
            console.moment(event, members)
            now[0] += 1
            console.pulse(until)
    return played(everything_from(master).decode(), columns)


def everything_from(master: int) -> bytes:
    """What was written to a pseudo-terminal whose other end is closed by now."""
    data = b""
    with suppress(OSError):  # EIO is its end
        while piece := os.read(master, 1 << 16):
            data += piece
    os.close(master)
    return data


def played(data: str, columns: int) -> list[str]:
    """Follows CR, LF, "up" and the two kinds of erasing; whatever is too long wraps. Lines are only
    ever written from their beginning."""
    lines, row = [""], 0
    for up, rest, character in re.findall(r"\x1b\[(\d+)A|(\x1b\[[KJ]|\x1b\[\d*m)|(.)", data, re.S):
        if up:
            row -= int(up)
            assert row >= 0, "above the first line"
        elif rest == "\x1b[K":
            lines[row] = ""
        elif rest == "\x1b[J":
            del lines[row:]
            lines.append("")
        elif character == "\n" or (character > "\r" and cells(lines[row] + character) > columns):
            row += 1
            lines += [""] * (row + 1 - len(lines))
            lines[row] += character.strip("\n")
        elif character > "\r":
            lines[row] += character
    return lines
