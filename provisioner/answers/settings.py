"""The table of settings that answer files can hold, from Microsoft's unattend reference.

The table is `unattend-settings.tsv` beside this module; its first lines say where it comes from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One row. `passes`, `maximum_length` and `may_be_empty` are reliable; the rest is advice,
    read out of prose (windows-setup.md §0.3)."""

    component: str
    path: str
    passes: frozenset[str]
    type: str
    choices: tuple[str, ...]
    maximum_length: int | None
    may_be_empty: bool | None
    """None where the reference does not say."""


@cache
def table() -> Mapping[tuple[str, str], Setting]:
    """Every setting by component (lower case: real files vary it) and path such as
    `UserAccounts/LocalAccounts/LocalAccount/Name`."""
    text = files(__package__).joinpath("unattend-settings.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines() if not line.startswith("#"))
    next(rows)
    settings = {}
    for component, path, passes, kind, choices, length, _range, empty, _note in rows:
        settings[component.lower(), path] = Setting(
            component=component,
            path=path,
            passes=frozenset(passes.split(",")),
            type=kind,
            choices=tuple(choices.split("|")) if choices else (),
            maximum_length=int(length) if length else None,
            may_be_empty={"yes": True, "no": False}.get(empty),
        )
    return MappingProxyType(settings)


def may_be_empty(component: str, path: str) -> bool:
    """Whether the reference allows `<Setting></Setting>`; what it does not mention, it does not."""
    setting = table().get((component.lower(), path))
    return setting is not None and setting.may_be_empty is True
