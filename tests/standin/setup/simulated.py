"""Plays the programs of steps: there is neither cmd nor PowerShell here, and nobody pretends so.

A script tells in comments what it shall be taken for, one per line, `rem standin: ...` in batch
files and `# standin: ...` in PowerShell:

    out TEXT / err TEXT     a line on standard output or standard error
    lines N                 N numbered lines on standard output
    exit N [N ...]          the exit code, of the first run, the second, ...; the last stays
    sleep S                 takes S seconds
    hang                    never ends by itself
    freeze                  never ends, and takes the runner with it
    write PATH TEXT         leaves a file behind
    restart [N]             the machine restarts in the middle of it, at each of the first N runs

A script that says nothing of that kind exits 0, after a line that says that nothing was run.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.standin.setup.steps import TIMED_OUT, Restart

FOREVER = 1e9
_MARK = re.compile(r"^[ \t]*(?:@?rem|#) standin: (\w+) ?(.*?)\s*$", re.IGNORECASE | re.MULTILINE)
_EXISTS = re.compile(r'^@?if (not )?exist "([^"]*)" exit /b 0\s*$', re.IGNORECASE | re.MULTILINE)


@dataclass(kw_only=True)
class SimulatedPrograms:
    """What runs a step's batch file. `memory` survives restarts: files, and how often what ran."""

    folder: Path
    memory: dict[str, Any]
    remember: Callable[[], None]
    sleep: Callable[[float], None] = field(default=time.sleep)

    def run(self, file: str, seconds: int, heard: Callable[[str, str], None]) -> int:
        """Does what the script's marks say."""
        runs = self.memory.setdefault("runs", {})
        runs[file] = runs.get(file, 0) + 1
        self.remember()
        text = self._script(file)
        if condition := _EXISTS.search(text):
            there = condition[2].replace("%%", "%") in self.memory.get("files", {})
            return 0 if there is (condition[1] is None) else 1
        marks = [(found[1].lower(), found[2]) for found in _MARK.finditer(text)]
        if not marks:
            heard("stdout", f"stand-in: {file} is not run here\n")
            return 0
        return self._play(marks, runs[file], seconds, heard)

    def text_of(self, path: str) -> str | None:
        """A file that a script left behind."""
        found = self.memory.get("files", {}).get(path)
        return None if found is None else str(found)

    def _script(self, file: str) -> str:
        """The batch file, and the PowerShell script beside it that it calls."""
        text = (self.folder / file).read_bytes().decode()
        called = re.findall(r"%~dp0([\w.-]+\.ps1)", text)
        mark = b"\xef\xbb\xbf"
        scripts = [(self.folder / name).read_bytes().removeprefix(mark).decode() for name in called]
        return "\n".join([text, *scripts])

    def _play(
        self,
        marks: list[tuple[str, str]],
        run: int,
        seconds: int,
        heard: Callable[[str, str], None],
    ) -> int:
        code, took = 0, 0.0
        for verb, rest in marks:
            match verb:
                case "out" | "err":
                    heard("stdout" if verb == "out" else "stderr", rest + "\n")
                case "lines":
                    for text in _numbered(int(rest)):
                        heard("stdout", text)
                case "exit":
                    codes = [int(word) for word in rest.split()]
                    code = codes[min(run, len(codes)) - 1]
                case "sleep" | "hang":
                    wanted = float(rest) if verb == "sleep" else float("inf")
                    left = min(wanted, seconds - took)
                    self.sleep(max(0.0, left))
                    took += wanted
                    if took > seconds:
                        return TIMED_OUT
                case "freeze":
                    self.sleep(FOREVER)
                case "write":
                    path, _, content = rest.partition(" ")
                    self.memory.setdefault("files", {})[path] = content
                    self.remember()
                case "restart":
                    if run <= int(rest or 1):
                        raise Restart
                case _:
                    raise ValueError(f"the stand-in knows no mark {verb!r}")
        return code


def _numbered(count: int) -> Iterator[str]:
    return (f"line {number}\n" for number in range(1, count + 1))
