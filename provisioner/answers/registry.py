"""Registry values as the text of a `.reg` file, which `reg.exe import` reads in one go.

Format: Microsoft, "How to add, modify, or delete registry subkeys and values by using a .reg file".
All but plain text and DWORD is written as bytes, so that no character has to be quoted twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from provisioner.frozen import frozen
from provisioner.profile.settings import RegistryType
from provisioner.tree import File, Text

Data = int | str | tuple[str, ...] | bytes

HEADER = "Windows Registry Editor Version 5.00\n"
ROOTS = {"HKLM": "HKEY_LOCAL_MACHINE", "HKCU": "HKEY_CURRENT_USER"}
PER_LINE = 24
"""Bytes; regedit breaks its lines at about this length too."""
LOADED_HIVE = "provisioner-default"
"""Below HKEY_USERS, while the default user's hive is loaded."""
NUMBERS = {"REG_BINARY": 3, "REG_EXPAND_SZ": 2, "REG_MULTI_SZ": 7, "REG_QWORD": 11, "REG_SZ": 1}
"""REG_* of winnt.h, as `hex(N)` has them."""


@frozen
class Entry:
    """One value. `root` is `HKLM`, `HKCU` or `HKU\\Default`; `type` None means: a key and nothing
    else; `data` None means: take the value away."""

    root: str
    path: str
    name: str = ""
    type: RegistryType | None
    data: Data | None = None


def reg_file(entries: Iterable[Entry]) -> File:
    """A `.reg` file in UTF-16 with its byte-order mark, as regedit itself writes it."""
    return File(content=(Text(parts=(reg_text(entries),), encoding="utf-16"),))


def reg_text(entries: Iterable[Entry]) -> str:
    """The text; of two entries for one value the last counts, in the place of the first."""
    values: dict[tuple[str, str], dict[str, Entry]] = {}
    spelling: dict[tuple[str, str], str] = {}
    for entry in entries:
        place = (entry.root, entry.path.lower())
        spelling.setdefault(place, f"[{_root(entry.root)}\\{entry.path}]")
        below = values.setdefault(place, {})
        if entry.type is not None:
            below[entry.name.lower()] = entry
    lines = [HEADER, "\n"]
    for place, below in values.items():
        lines.append(spelling[place] + "\n")
        lines += [f"{_name(entry.name)}={_data(entry)}\n" for entry in below.values()]
        lines.append("\n")
    return "".join(lines)


def _root(root: str) -> str:
    return ROOTS.get(root, f"HKEY_USERS\\{LOADED_HIVE}")


def _name(name: str) -> str:
    return f'"{_quoted(name)}"' if name else "@"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _data(entry: Entry) -> str:
    if entry.data is None:
        return "-"
    match entry.type, entry.data:
        case "REG_DWORD", int(number):
            return f"dword:{number:08x}"
        case "REG_SZ", str(text) if text.isprintable():
            return f'"{_quoted(text)}"'
        case _:
            assert entry.type is not None
            data = _bytes(entry.data)
            number = NUMBERS[entry.type]
            head = "hex:" if entry.type == "REG_BINARY" else f"hex({number:x}):"
            rows = [data[start : start + PER_LINE] for start in range(0, len(data), PER_LINE)]
            return head + ",\\\n  ".join(row.hex(",") for row in rows)


def _bytes(data: Data) -> bytes:
    match data:
        case bytes():
            return data
        case int():
            return data.to_bytes(8, "little")
        case str():
            return (data + "\0").encode("utf-16-le")
        case tuple():
            return ("".join(text + "\0" for text in data) + "\0").encode("utf-16-le")
        case _:
            assert_never(data)
