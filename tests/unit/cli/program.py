"""Runs the command line as a person would: a program with a home of its own, or a terminal."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROGRAM = (sys.executable, "-m", "provisioner")


@dataclass(frozen=True)
class Home:
    """A home folder, a working folder and an environment that nobody else knows."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("home", "work", "bin"):
            (self.folder / name).mkdir(parents=True)

    @property
    def work(self) -> Path:
        return self.folder / "work"

    @property
    def config(self) -> Path:
        return self.folder / "home/.config/provisioner/config.yaml"

    @property
    def state(self) -> Path:
        return self.folder / "home/.local/state/provisioner"

    def environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.folder / "home"),
            "PATH": f"{self.folder / 'bin'}:/usr/bin:/bin",
            "PYTHONPATH": str(Path(__file__).resolve().parents[3]),
            "LC_ALL": "C.UTF-8",
            "TERM": "xterm",
            "TZ": "Europe/Berlin",
            "USER": "jane",
            **self.variables,
        }

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            (*PROGRAM, *arguments),
            env=self.environment(),
            cwd=self.work,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def events(self, *arguments: str) -> list[dict[str, Any]]:
        """What `--json` prints; every line has to be an object."""
        done = self.run(*arguments, "--json")
        assert done.stderr == ""
        return [json.loads(line) for line in done.stdout.splitlines()]

    def program(self, name: str, script: str) -> None:
        """A program of this name in PATH."""
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def on_terminal(
        self,
        *arguments: str,
        columns: int = 80,
        answers: Sequence[tuple[str, bytes]] = (),
        argv: Sequence[str] = PROGRAM,
    ) -> tuple[int, str]:
        """Exit code and everything that came to a terminal of this width.

        `answers` are what to type, and the text that has to be on the screen before each.
        """
        child, terminal = pty.fork()
        if child == 0:
            try:
                os.chdir(self.work)
                os.execvpe(argv[0], [*argv, *arguments], self.environment())
            finally:
                os._exit(127)
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        screen = _talk(terminal, answers)
        _, status = os.waitpid(child, 0)
        os.close(terminal)
        return os.waitstatus_to_exitcode(status), screen


def _talk(terminal: int, answers: Sequence[tuple[str, bytes]]) -> str:
    screen = b""
    left = list(answers)
    seen = 0
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        ready, _, _ = select.select([terminal], [], [], 0.2)
        if ready:
            try:
                data = os.read(terminal, 65536)
            except OSError as err:
                assert err.errno == errno.EIO  # the other side is closed
                data = b""
            if not data:
                assert not left, f"never asked: {left[0]}\n{screen.decode()}"
                return screen.decode().replace("\r\n", "\n")
            screen += data
        # What is on the screen may be broken over lines and coloured.
        flat = re.sub(rb"\s+", b" ", re.sub(rb"\x1b\[[0-9;]*m", b"", screen))
        while left and left[0][0].encode() in flat[seen:]:
            expected, typed = left.pop(0)
            seen = flat.index(expected.encode(), seen) + len(expected)
            with contextlib.suppress(OSError):
                os.write(terminal, typed)
    raise AssertionError(f"still running, waiting for {left[:1]}:\n{screen.decode()}")


def plain(screen: str) -> str:
    """The text without styles."""
    return re.sub(r"\x1b\[[0-9;]*m", "", screen)


def members(events: Sequence[Mapping[str, Any]], name: str) -> list[Mapping[str, Any]]:
    """The events of this name."""
    return [event for event in events if event["event"] == name]
