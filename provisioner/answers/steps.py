"""The profile's steps as files of the answer disc, and as the first-logon script calls them."""

from __future__ import annotations

import re
from typing import assert_never

from provisioner.frozen import frozen
from provisioner.profile.windows import CommandStep, PowerShellStep, Step
from provisioner.secret import SecretSlot
from provisioner.tree import File, Text

FOLDER = "provision/steps"


@frozen
class StepFile:
    """One step. `file` is relative to `provision`, with a backslash."""

    name: str
    file: str
    exit_codes: tuple[int, ...]
    seconds: int
    path: str
    """On the disc."""
    entry: File


def files(steps: tuple[Step, ...]) -> tuple[StepFile, ...]:
    """A file for each step, numbered in order: `provision/steps/01-tools-folder.ps1`."""
    return tuple(_file(number, step) for number, step in enumerate(steps, start=1))


def script(parts: tuple[str | SecretSlot, ...]) -> File:
    """A PowerShell script. PowerShell 5.1 takes a file without byte-order mark for ANSI text."""
    ascii_only = all(isinstance(part, str) and part.isascii() for part in parts)
    return File(content=(Text(parts=parts, encoding="ascii" if ascii_only else "utf-8-sig"),))


def _file(number: int, step: PowerShellStep | CommandStep) -> StepFile:
    slug = re.sub(r"[^a-z0-9]+", "-", step.name.lower())[:30].strip("-") or "step"
    match step:
        case PowerShellStep(powershell=text):
            name, entry = f"{number:02}-{slug}.ps1", script((_lines(text),))
        case CommandStep(cmd=text):
            name, entry = f"{number:02}-{slug}.cmd", _batch(_lines(text))
        case _:
            assert_never(step)
    return StepFile(
        name=step.name,
        file=f"steps\\{name}",
        exit_codes=step.exit_codes,
        seconds=step.timeout.seconds,
        path=f"{FOLDER}/{name}",
        entry=entry,
    )


def _lines(text: str) -> str:
    """Lines that end in a line feed, the last one too; the writer turns them into CRLF."""
    text = text.replace("\r\n", "\n")
    return text if text.endswith("\n") else text + "\n"


def _batch(text: str) -> File:
    """A batch file. cmd reads it in its current code page and trips over a byte-order mark."""
    if text.isascii():
        return File(content=(Text(parts=(text,)),))
    return File(content=(Text(parts=("@chcp 65001 >nul\n" + text,), encoding="utf-8"),))
