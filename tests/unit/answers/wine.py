"""Wine's own reg.exe: reads what we write, without a display and without a line of ours."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

WINE = Path("/usr/lib/wine/wine64")
"""Debian's; the package puts no `wine64` into the path."""
PATIENCE = 120
Value = tuple[str, int | str | tuple[str, ...] | bytes]
"""REG_* and data."""
_KINDS = {"1": "REG_SZ", "2": "REG_EXPAND_SZ", "7": "REG_MULTI_SZ", "b": "REG_QWORD"}


@dataclass(frozen=True, kw_only=True)
class Wine:
    """One prefix: a C drive and a registry of its own."""

    prefix: Path

    def run(self, *argv: str) -> str:
        """What a Windows program prints; its exit code has to be 0."""
        done = self.ended(*argv)
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def ended(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """A Windows program at its end."""
        return subprocess.run(
            [str(WINE), *argv],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.prefix.parent),
                "WINEPREFIX": str(self.prefix),
                "WINEDEBUG": "-all",
                "WINEDLLOVERRIDES": "mscoree,mshtml,winemenubuilder.exe=",
            },
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE,
            check=False,
        )

    def import_(self, data: bytes) -> None:
        """`reg import` of a file with these bytes."""
        path = self.prefix.parent / "import.reg"
        path.write_bytes(data)
        self.run("reg", "import", f"Z:{path}".replace("/", "\\"))

    def export(self, key: str) -> str:
        """What `reg export` writes of a key and everything below it."""
        path = self.prefix.parent / "export.reg"
        path.unlink(missing_ok=True)
        self.run("reg", "export", key, f"Z:{path}".replace("/", "\\"))
        return path.read_bytes().decode("utf-16")


def decoded(text: str) -> Mapping[tuple[str, str], Value]:
    """The values of a .reg file as Wine and regedit write it."""
    found: dict[tuple[str, str], Value] = {}
    key = ""
    for line in re.sub(r"\\\r?\n\s*", "", text).splitlines():
        if heading := re.fullmatch(r"\[(.*)\]", line):
            key = heading[1]
        elif value := re.fullmatch(r'(?:@|"((?:[^"\\]|\\.)*)")=(.*)', line):
            name = _unquoted(value[1] or "")
            found[key, name] = _value(value[2])
    return found


def _unquoted(text: str) -> str:
    """Wine also writes line breaks as backslash and letter."""
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "r": "\r"}.get(found[1], found[1]), text)


def _value(text: str) -> Value:
    if plain := re.fullmatch(r'"((?:[^"\\]|\\.)*)"', text):
        return "REG_SZ", _unquoted(plain[1])
    if text.startswith("dword:"):
        return "REG_DWORD", int(text[6:], 16)
    number, digits = re.fullmatch(r"hex(?:\(([0-9a-f]+)\))?:(.*)", text).groups()  # type: ignore[union-attr]
    data = bytes.fromhex(digits.replace(",", ""))
    match _KINDS.get(number or "", "REG_BINARY" if number is None else f"type {number}"):
        case "REG_BINARY" as kind:
            return kind, data
        case "REG_QWORD":
            return "REG_QWORD", int.from_bytes(data, "little")
        case "REG_MULTI_SZ":
            texts = data.decode("utf-16-le").split("\0")
            return "REG_MULTI_SZ", tuple(text for text in texts if text)
        case "REG_SZ" | "REG_EXPAND_SZ" as kind:
            return kind, data.decode("utf-16-le").removesuffix("\0")
        case kind:
            return kind, data
