"""Finds the processes that a test has started, by the short folder in their command lines."""

from __future__ import annotations

import os
from pathlib import Path


def processes_mentioning(text: str) -> dict[int, str]:
    """Command lines of all other processes in which `text` occurs."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has just ended
        if text in line and not line.startswith("unshare "):  # the namespace of the test itself
            found[int(entry.name)] = line
    return found
