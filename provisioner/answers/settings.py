"""The table of settings that answer files can hold, from Microsoft's unattend reference.

The table is `unattend-settings.tsv` beside this module; its first lines say where it comes from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from provisioner.errors import ProvisionerError
from provisioner.frozen import frozen

Kind = Literal["string", "bool", "int", "enum", "container", ""]
_KINDS: Mapping[str, Kind] = {
    "string": "string",
    "bool": "bool",
    "int": "int",
    "enum": "enum",
    "container": "container",
    "": "",
}
_COLUMNS, _PASSES, _NOTE = 10, 2, 8
_KEY_VALUE = "expressed as wcm:keyValue attribute, not an element"
_PARENT_TEXT = "expressed as the text of the parent element"


class SettingsTableError(ProvisionerError):
    """The table is not what this module reads; it is our own file, so this is a bug or damage."""


@frozen
class Setting:
    """One row. `passes`, `maximum_length` and `may_be_empty` are reliable; the rest is advice,
    read out of prose (windows-setup.md §0.3)."""

    component: str
    path: str
    passes: frozenset[str]
    type: Kind
    choices: tuple[str, ...]
    maximum_length: int | None
    limits: tuple[int, int] | None
    """Smallest and largest number, both allowed."""
    may_be_empty: bool | None
    """None where the reference does not say."""
    note: str
    since: int | None
    """First Windows build that knows it, where older ones refuse the file for it."""

    def allows(self, value: str) -> bool:
        """Whether `value` is one of the choices; they came out of prose, so capitals are free."""
        wanted = value.casefold()
        for choice in self.choices:
            low, dash, high = choice.partition("-")
            if dash and low.isdecimal() and high.isdecimal():
                if value.isdecimal() and int(low) <= int(value) <= int(high):
                    return True
            elif wanted == choice.casefold():
                return True
        return not self.choices


@frozen
class Component:
    """All settings of one component."""

    name: str
    settings: Mapping[str, Setting]
    """By path in lower case, containers included."""
    passes: frozenset[str]
    key_value_items: frozenset[str]
    """Paths, lower case, of list items whose key is the attribute wcm:keyValue (§6.5)."""
    text_items: frozenset[str]
    """Those of them whose value is their own text."""

    def find(self, path: str) -> Setting | None:
        """The row of a path such as `UserAccounts/LocalAccounts/LocalAccount/Name`."""
        return self.settings.get(path.lower())


def table() -> Mapping[tuple[str, str], Setting]:
    """Every row by component (lower case: real files vary it) and path as the reference has it."""
    return MappingProxyType(read_table(_text()))


def _text() -> str:
    return Path(__file__).with_name("unattend-settings.tsv").read_text(encoding="utf-8")


def read_table(text: str) -> dict[tuple[str, str], Setting]:
    """The rows of a table; SettingsTableError with the line of the first bad one."""
    settings: dict[tuple[str, str], Setting] = {}
    header_seen = False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("#") or not line:
            continue
        if not header_seen:
            header_seen = True
            continue
        cells = line.split("\t")
        try:
            setting = _setting(cells)
        except (ValueError, KeyError, IndexError) as error:
            raise SettingsTableError(
                f"line {number} of the settings table cannot be read: {type(error).__name__}"
            ) from error
        settings[setting.component.lower(), setting.path] = setting
    return settings


def _setting(cells: list[str]) -> Setting:
    if len(cells) != _COLUMNS:
        raise ValueError(f"{len(cells)} cells")
    component, path, passes, kind, choices, length, limits, empty, note, since = cells
    low, dash, high = limits.partition("-")
    return Setting(
        component=component,
        path=path,
        passes=frozenset(passes.split(",")),
        type=_KINDS[kind],
        choices=tuple(choices.split("|")) if choices else (),
        maximum_length=int(length) if length else None,
        limits=(int(low), int(high)) if dash else None,
        may_be_empty={"yes": True, "no": False}.get(empty),
        note=note,
        since=int(since) if since else None,
    )


@cache
def _lines() -> Mapping[str, tuple[str, list[str]]]:
    """The name of every component, and its lines: few of the eighty are wanted of one file."""
    found: dict[str, tuple[str, list[str]]] = {}
    rows = (line for line in _text().splitlines() if line and not line.startswith("#"))
    next(rows)  # the header
    for line in rows:
        name = line.partition("\t")[0]
        found.setdefault(name.lower(), (name, []))[1].append(line)
    return found


class _Settings(Mapping[str, Setting]):
    """Settings by path in lower case. Each is read when it is asked for: few of many are."""

    def __init__(self, lines: Mapping[str, str]) -> None:
        self._lines = lines

    def __getitem__(self, path: str) -> Setting:
        return _of_line(self._lines[path])

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)


@cache
def _of_line(line: str) -> Setting:
    return _setting(line.split("\t"))


@cache
def _rows(component: str) -> Mapping[str, str]:
    """The lines of a component, given in lower case, by path in lower case."""
    _, lines = _lines().get(component, ("", []))
    return {line.split("\t", 2)[1].lower(): line for line in lines}


def component_names() -> Mapping[str, str]:
    """Every component's name by its name in lower case."""
    return {key: name for key, (name, _) in _lines().items()}


@cache
def component(key: str) -> Component | None:
    """A component by its name in lower case."""
    rows = _rows(key)
    return _component(rows) if rows else None


def _component(rows: Mapping[str, str]) -> Component:
    settings = dict(rows)
    keyed: set[str] = set()
    texts: set[str] = set()
    passes: set[str] = set()
    for path, line in rows.items():
        cells = line.split("\t")
        passes.add(cells[_PASSES])
        if (note := cells[_NOTE]) in (_KEY_VALUE, _PARENT_TEXT):
            (keyed if note == _KEY_VALUE else texts).add(path.rpartition("/")[0])
            del settings[path]
    # Some containers have no page of their own in the reference.
    for path, line in rows.items():
        if path not in settings:
            continue
        name, written, its_passes, *rest = line.split("\t")
        names = written.split("/")
        for depth in range(1, len(names)):
            above = "/".join(names[:depth])
            if above.lower() not in settings:
                cells = [name, above, its_passes, "container", *("" for _ in rest[1:])]
                settings[above.lower()] = "\t".join(cells)
    return Component(
        name=next(iter(rows.values())).partition("\t")[0],
        settings=_Settings(settings),
        passes=frozenset(each for some in passes for each in some.split(",")),
        key_value_items=frozenset(keyed),
        text_items=frozenset(texts),
    )


def may_be_empty(component: str, path: str) -> bool:
    """Whether the reference allows `<Setting></Setting>`; what it does not mention, it does not."""
    line = _rows(component.lower()).get(path.lower())
    if line is None:
        return False
    setting = _of_line(line)
    return setting.path == path and setting.may_be_empty is True
