"""Finds a marked secret in whatever encoding it was written: the checker of the canary test."""

from __future__ import annotations

import base64
import threading
from collections.abc import Collection, Iterator
from pathlib import Path

METACHARACTERS = "\"'<&>%PATH%^!|;$(x)`${y}\\*?[]{}#~ äß€"
"""What means something to XML, cmd, PowerShell, a shell, YAML or a regular expression."""


def secret_with(marker: str) -> str:
    """A password that every place has to quote. Quoting leaves the marker in it as it is."""
    assert marker.isalnum() and len(marker) >= 12
    return f"A1a{METACHARACTERS}{marker}{METACHARACTERS}z"


def traces(marker: str) -> dict[str, bytes]:
    """Every form a text can be recognised by, whatever stands before and behind it."""
    forms = {"UTF-8": marker.encode(), "UTF-16": marker.encode("utf-16-le")}
    found = dict(forms)
    for name, data in forms.items():
        for shift in range(3):
            found[f"base64 of {name}, {shift}"] = _inner_base64(data, shift)
        found[f"hexadecimal {name}"] = data.hex().encode()
        found[f"upper-case hexadecimal {name}"] = data.hex().upper().encode()
    return found


def _inner_base64(data: bytes, shift: int) -> bytes:
    """The characters that are the same in base64 of any text with `data` at 3n + `shift`."""
    encoded = base64.b64encode(bytes(shift) + data)
    first = -(-shift * 8 // 6)
    last = (shift + len(data)) * 8 // 6
    return encoded[first:last]


def leaks_in_bytes(data: bytes, markers: Collection[str], where: str) -> list[str]:
    """One line for each marker and form in which it occurs."""
    return [
        f"{where} holds {marker} as {form}"
        for marker in markers
        for form, trace in traces(marker).items()
        if trace in data
    ]


def leaks_in_files(
    folder: Path, markers: Collection[str], *, may_hold: Collection[Path]
) -> list[str]:
    """All files below a folder but those that may hold secrets, and their names."""
    found = []
    for path in sorted(folder.rglob("*")):
        found += leaks_in_bytes(str(path).encode(), markers, f"the name {path}")
        allowed = any(path == other or other in path.parents for other in may_hold)
        if path.is_file() and not path.is_symlink() and not allowed:
            found += leaks_in_bytes(path.read_bytes(), markers, str(path))
    return found


class ProcessWatch:
    """Looks at all command lines on this host again and again while the block runs."""

    def __init__(self, markers: Collection[str]) -> None:
        self._markers = markers
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.found: set[str] = set()
        self.looks = 0

    def __enter__(self) -> ProcessWatch:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            self.looks += 1
            for line in _command_lines():
                self.found |= set(leaks_in_bytes(line, self._markers, line.decode("latin-1")))


def _command_lines() -> Iterator[bytes]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue  # it has just ended
            if b"env\0-i\0-C\0" not in line:  # how a test gives a program its environment
                yield line
