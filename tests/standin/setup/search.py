"""The implicit search for an answer file, in the documented order (windows-setup.md §2.1).

Rows of the table that do not exist here: the registry pointer and the root of %SYSTEMDRIVE%.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.standin.setup.answers import AnswerFile, read_answer_file
from tests.standin.setup.outcome import AnswerFileIgnored

NAME = "Autounattend.xml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """A drive with a letter: `writable` tells a USB stick from a CD-ROM; both are removable."""

    letter: str
    root: Path
    writable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The chosen file, its bytes, and why candidates before it were passed over."""

    answer: AnswerFile
    data: bytes
    drive: Drive | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    data: bytes
    path: str
    drive: Drive | None


def find_answer_file(
    pass_name: str,
    drives: Sequence[Drive],
    *,
    distribution: Drive | None = None,
    cached: Sequence[tuple[str, bytes]] = (),
) -> tuple[Found | None, tuple[str, ...]]:
    """Search; returns what was found and notes on what was not used.

    `cached` are copies below %WINDIR%\\Panther as (Windows path, content), first in rank and only
    there once an image is on the disk. A candidate that is not usable, or has nothing for the
    pass, is skipped. `distribution` is the drive Setup was started from, for its \\Sources.
    """
    notes: list[str] = []
    for candidate in _candidates(drives, distribution, cached):
        try:
            answer = read_answer_file(candidate.data, candidate.path)
        except AnswerFileIgnored as reason:
            notes.append(f"{candidate.path} ignored: {reason}")
            continue
        if not answer.has_pass(pass_name):
            notes.append(f"{candidate.path} skipped: nothing for pass {pass_name}")
            continue
        found = Found(answer=answer, data=candidate.data, drive=candidate.drive, notes=tuple(notes))
        return found, tuple(notes)
    return None, tuple(notes)


def _candidates(
    drives: Sequence[Drive], distribution: Drive | None, cached: Sequence[tuple[str, bytes]]
) -> list[_Candidate]:
    found = [_Candidate(data=data, path=path, drive=None) for path, data in cached]
    by_letter = sorted(drives, key=lambda drive: drive.letter)
    for writable in (True, False):
        for drive in by_letter:
            if drive.writable == writable:
                found += _named(drive, drive.root, f"{drive.letter}:\\")
    if distribution is not None and not cached:
        sources = _child(distribution.root, "sources")
        if sources is not None:
            found += _named(distribution, sources, f"{distribution.letter}:\\Sources\\")
    return found


def _named(drive: Drive, folder: Path, prefix: str) -> list[_Candidate]:
    path = _child(folder, NAME)
    if path is None or not path.is_file():
        return []
    return [_Candidate(data=path.read_bytes(), path=prefix + path.name, drive=drive)]


def _child(folder: Path, name: str) -> Path | None:
    """Windows' file systems know no case; Linux' do."""
    for path in sorted(folder.iterdir()):
        if path.name.lower() == name.lower():
            return path
    return None
