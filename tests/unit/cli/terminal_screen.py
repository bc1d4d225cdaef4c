"""What stands on a terminal after a story was told to it: a pty, and a reader of its bytes."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import termios
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from provisioner.cli.console import TerminalConsole
from provisioner.cli.layout import cells


def screen_of(
    moments: Sequence[tuple[str, Mapping[str, Any]]], *, columns: int, until: float
) -> list[str]:
    """The lines that are visible in the end, of a terminal of this width."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
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
    """Follows CR, LF and "erase to the end of the line"; whatever is too long wraps."""
    lines = [""]
    pieces = data.replace("\r\n", "\n").replace("\r\x1b[K", "\x00")
    for character in pieces:
        if character == "\n":
            lines.append("")
        elif character == "\x00":
            lines[-1] = ""
        elif cells(lines[-1] + character) > columns:
            lines.append(character)
        else:
            lines[-1] += character
    return lines
