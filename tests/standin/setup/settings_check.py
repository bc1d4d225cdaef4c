"""Checks the settings of one pass against the table: known, typed, not empty, unique, in range.

Unknown components are ignored with a note, unknown settings of a known component are fatal
(docs/facts/windows-setup.md §6.1, §6.5, §6.8).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.standin.setup.answers import WCM, AnswerFile, Component
from tests.standin.setup.elements import Element
from tests.standin.setup.outcome import (
    DOES_NOT_EXIST,
    DUPLICATE,
    INVALID,
    SetupStopped,
    refused,
)

LIST_KEYS: Mapping[str, str] = {
    "disk": "DiskID",
    "createpartition": "Order",
    "modifypartition": "Order",
    "metadata": "Key",
    "dataimage": "Order",
    "runsynchronouscommand": "Order",
    "runasynchronouscommand": "Order",
    "synchronouscommand": "Order",
    "asynchronouscommand": "Order",
    "localaccount": "Name",
    "domainaccountlist": "Domain",
    "domainaccount": "Name",
    "interface": "Identifier",
    "route": "Identifier",
}
"""List items and the child that is their key (facts §6.5)."""

VALUE_LISTS = ("pathandcredentials", "firewallgroup", "ipaddress", "domainname")
"""List items whose key is the attribute wcm:keyValue (facts §6.5)."""

COMMAND_LISTS = (
    *("runsynchronouscommand", "runasynchronouscommand", "synchronouscommand"),
    "asynchronouscommand",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One row of settings.tsv."""

    name: str
    passes: frozenset[str]
    kind: str
    choices: tuple[str, ...]
    longest: int | None
    span: tuple[int, int] | None
    empty: str


@cache
def settings_table() -> Mapping[str, Mapping[str, Setting]]:
    """Component -> setting path -> row, both in lower case."""
    table: dict[str, dict[str, Setting]] = {}
    text = Path(__file__).with_name("settings.tsv").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        component, name, passes, kind, choices, longest, span, empty = line.split("\t")
        low, _, high = span.partition("-")
        table.setdefault(component.lower(), {})[name.lower()] = Setting(
            name=name,
            passes=frozenset(passes.split(",")),
            kind=kind,
            choices=tuple(choices.split("|")) if choices else (),
            longest=int(longest) if longest else None,
            span=(int(low), int(high)) if high else None,
            empty=empty,
        )
    return table


def check_pass(answer: AnswerFile, pass_name: str) -> tuple[str, ...]:
    """Check every component of the pass; returns notes, raises `SetupStopped` if one is refused."""
    notes: list[str] = []
    seen: set[str] = set()
    for component in answer.components:
        if component.pass_name != pass_name:
            continue
        key = component.name.lower()
        if key in seen:
            raise refused(answer.path, pass_name, DUPLICATE, f"component {component.name}")
        seen.add(key)
        rows = settings_table().get(key)
        if rows is None:
            notes.append(f"{pass_name}/{component.name}: ignored, unknown component")
        elif not any(pass_name in row.passes for row in rows.values()):
            notes.append(f"{pass_name}/{component.name}: ignored, the component has no such pass")
        else:
            _Checker(answer=answer, component=component, rows=rows, notes=notes).run()
    return tuple(notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checker:
    answer: AnswerFile
    component: Component
    rows: Mapping[str, Setting]
    notes: list[str]

    def run(self) -> None:
        self._duplicates(self.component.element, "")
        for path, element in self.component.element.walk():
            row = self._row(path, element)
            if self.component.pass_name not in row.passes:
                self.notes.append(
                    f"{self.component.pass_name}/{self.component.name}/{path}: not documented for "
                    "this pass"
                )
            if element.children:
                if element.text.strip():
                    # Public templates carry stray text there and work (corpus: Packer, Windows 10).
                    self.notes.append(f"line {element.line}: text beside elements in {path}")
                continue
            self._value(path, element, row)

    def _row(self, path: str, element: Element) -> Setting:
        row = self.rows.get(path.lower())
        if row is None:
            raise self._stop(DOES_NOT_EXIST, path, element, "unknown setting")
        if row.kind != "container" and element.children:
            raise self._stop(DOES_NOT_EXIST, path, element.children[0], "it takes no elements")
        return row

    def _value(self, path: str, element: Element, row: Setting) -> None:
        text = element.text
        name = element.name.lower()
        if row.kind == "container":
            if text.strip() and name not in VALUE_LISTS:
                raise self._stop(INVALID, path, element, "text where elements belong")
            # An empty ProductKey is what dockur/windows leaves of it, and works (facts §3.5).
            if not text.strip() and name != "productkey":
                raise self._stop(INVALID, path, element, "empty element")
            return
        if not text.strip():
            # Passwords may be empty, and the table does not say so for every one of them.
            allowed = row.empty == "yes" or (row.kind == "string" and row.empty == "")
            if not allowed:
                raise self._stop(INVALID, path, element, "empty element")
            return
        if row.kind == "bool" and text.strip() not in {"true", "false"}:
            raise self._stop(INVALID, path, element, "not true or false")
        if row.kind == "int" and not text.strip().lstrip("-").isdigit():
            raise self._stop(INVALID, path, element, "not a number")
        if row.kind == "enum" and not _is_choice(text.strip(), row.choices):
            raise self._stop(INVALID, path, element, f"not one of {', '.join(row.choices)}")
        if row.longest is not None and len(text) > row.longest:
            detail = f"{len(text)} characters, at most {row.longest} are allowed"
            raise self._stop(INVALID, path, element, detail)
        if row.span is not None and not row.span[0] <= int(text) <= row.span[1]:
            raise self._stop(INVALID, path, element, f"not in {row.span[0]}..{row.span[1]}")

    def _duplicates(self, parent: Element, path: str) -> None:
        """Settings that are no lists occur once; list items have a key, and each its own."""
        groups: dict[str, list[Element]] = {}
        for child in parent.children:
            groups.setdefault(child.name.lower(), []).append(child)
        for name, items in groups.items():
            here = f"{path}/{items[0].name}" if path else items[0].name
            if name in LIST_KEYS:
                self._unique(here, items, [item.value(LIST_KEYS[name]) for item in items])
            elif name in VALUE_LISTS:
                self._unique(
                    here, items, [item.attributes.get(f"{{{WCM}}}keyValue") for item in items]
                )
            elif len(items) > 1 and f"{{{WCM}}}action" not in items[1].attributes:
                raise self._stop(DUPLICATE, here, items[1], "given twice")
            for item in items:
                action = item.attributes.get(f"{{{WCM}}}action")
                if action not in {None, "add", "modify", "remove"}:
                    raise self._stop(INVALID, here, item, f"wcm:action {action!r}")
                if action is None and (name in LIST_KEYS or name in VALUE_LISTS):
                    self.notes.append(f"line {item.line}: {here} without wcm:action")
                self._duplicates(item, here)

    def _unique(self, path: str, items: list[Element], keys: Iterable[str | None]) -> None:
        seen: set[str] = set()
        for item, key in zip(items, keys, strict=True):
            if key is None or not key.strip():
                raise self._stop(INVALID, path, item, "list item without its key")
            folded = key.strip().lower()
            if folded in seen:
                raise self._stop(DUPLICATE, path, item, f"key {key.strip()} twice")
            seen.add(folded)
            if items[0].name.lower() in COMMAND_LISTS:
                order = key.strip()
                if not order.isdigit() or not 1 <= int(order) <= 500:
                    raise self._stop(INVALID, path, item, f"Order {order} is not in 1..500")

    def _stop(self, reason: str, path: str, element: Element, detail: str) -> SetupStopped:
        where = f"{self.component.name}/{path}, line {element.line}"
        return refused(self.answer.path, self.component.pass_name, reason, f"{where}: {detail}")


def _is_choice(text: str, choices: tuple[str, ...]) -> bool:
    """Whether a value is allowed; the table's choices were read from prose, so compare kindly."""
    for choice in choices:
        if text.lower() == choice.lower():
            return True
        low, dash, high = choice.partition("-")
        span = dash and low.isdigit() and high.isdigit() and text.isdigit()
        if span and int(low) <= int(text) <= int(high):
            return True
    return not choices
