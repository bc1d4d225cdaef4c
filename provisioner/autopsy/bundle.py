"""Writes a case as one folder: the page, its parts as files, and the same for programs.

The folder appears whole or not at all, for its owner only.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

from provisioner.autopsy.case import Case, Finding
from provisioner.autopsy.present import page_of
from provisioner.errors import RefusedError
from provisioner.host.files import os_error
from provisioner.report.page import render

PAGE = "index.html"
FOLDER = "failures"
"""Beside the machines' folders, below the state folder: an autopsy outlives its machine."""


def bundle_folder(state: Path, subject: str, at: float) -> Path:
    """Where the bundle of a subject goes: `failures/NAME-DATE`, numbered where that is taken."""
    stem = f"{subject}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime(at))}"
    folder = state / FOLDER / stem
    number = 1
    while folder.exists():
        number += 1
        folder = state / FOLDER / f"{stem}-{number}"
    return folder


def bundles(state: Path, subject: str) -> tuple[Path, ...]:
    """The bundles that are kept of a machine, oldest first."""
    folder = state / FOLDER
    if not folder.is_dir():
        return ()
    return tuple(sorted(path for path in folder.iterdir() if _subject(path) == subject))


def write_bundle(case: Case, folder: Path) -> Path:
    """Writes the bundle; the path of its page.

    RefusedError where `folder` is there already, HostError or FailedError where it cannot be
    written; then nothing of it is left.
    """
    if folder.exists():
        raise RefusedError(f"{folder} exists already", hint="name a folder that does not exist yet")
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    html = render(page_of(case))
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(mode=0o700)
        _write(temporary / PAGE, html.encode())
        _write(temporary / "autopsy.json", json.dumps(members(case), indent=1).encode() + b"\n")
        _write(temporary / "reason.txt", _reason(case).encode())
        for document in case.documents:
            _write(temporary / document.name, document.text.encode("utf-8", "replace"))
        for shot in case.shots:
            _write(temporary / shot.name, shot.png)
        temporary.rename(folder)
    except BaseException as err:
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(err, OSError):
            raise os_error(err, f"write the autopsy {folder}") from err
        raise
    return folder / PAGE


def members(case: Case) -> dict[str, Any]:
    """A case as JSON holds it, without the texts and pictures themselves."""
    return {
        "name": case.subject,
        "at": round(case.at, 3),
        "reason": case.reason,
        "stage": case.stage,
        "verdict": _finding(case.verdict) if case.verdict else None,
        "findings": [_finding(finding) for finding in case.findings],
        "facts": [[label, text] for label, text in case.facts],
        "remarks": list(case.remarks),
        "documents": [
            {
                "file": each.name,
                "kind": each.kind.value,
                "from": each.origin,
                "bytes": each.size or len(each.text.encode("utf-8", "replace")),
                "cut": each.cut,
            }
            for each in case.documents
        ],
        "pictures": [shot.name for shot in case.shots],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "signature": finding.signature,
        "weight": finding.weight,
        "cause": finding.cause,
        "fix": finding.fix,
        "document": finding.document,
        "number": finding.number,
        "text": finding.line,
    }


def _reason(case: Case) -> str:
    lines = [case.reason or f"stage: {case.stage or 'unknown'}"]
    if case.verdict:
        lines += [f"cause: {case.verdict.cause}", f"fix: {case.verdict.fix}"]
    return "".join(f"{line}\n" for line in lines)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _subject(path: Path) -> str | None:
    """`dev11` of `dev11-20261122-101500` and `dev11-20261122-101500-2`."""
    parts = path.name.split("-")
    for length in (2, 3):
        if len(parts) > length and parts[-length].isdigit() and len(parts[-length]) == 8:
            return "-".join(parts[:-length])
    return None
