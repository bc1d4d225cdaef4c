"""`docs/rules.md` out of the book of rules."""

from __future__ import annotations

from provisioner.errors import Severity
from provisioner.plan.rules.explain import PARTS, Explanation, book

_PARTS = {
    "profile": "Reading a profile",
    "settings": "Network, disks and files of a profile",
    "plan": "Profile, discs and host",
    "lint": "Answer files",
    "sticks": "Sticks",
    "other": "Discs that are written, and settings",
}
_WORDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}


def rules_page() -> str:
    """The whole page, Markdown."""
    entries = book().values()
    lines = [
        "# Rules",
        "",
        "<!-- Made by `make golden` from provisioner/plan/rules/book; do not edit. -->",
        "",
        "Every finding of `provisioner check`, `plan`, `up` and `lint` has one of these ids.",
        "`provisioner check --explain RULE` prints the same. In `lint`, an *error* is what Setup",
        "stops at, or what makes it ignore the file. *Forceable* errors can be passed knowingly",
        "with `provisioner up --force`. Refusals of `provisioner usb` have ids as well; each one",
        "is [played](usb-faults.md) by a test.",
        "",
        f"There are {len(book())} rules.",
    ]
    for part in PARTS:
        mine = [entry for entry in entries if entry.part == part]
        lines += ["", f"## {_PARTS[part]}", "", "| rule | severity | what |", "| --- | --- | --- |"]
        lines += [
            f"| [{entry.rule}](#{entry.anchor}) | {_severities(entry)} | {_cell(entry.title)} |"
            for entry in mine
        ]
        for entry in mine:
            lines += ["", *_section(entry)]
    return "\n".join(lines) + "\n"


def _section(entry: Explanation) -> list[str]:
    return [
        f"### {entry.rule}",
        "",
        f"**{_text(entry.title)}** ({_severities(entry)})",
        "",
        f"- Cause: {_text(entry.cause)}",
        f"- Fix: {_text(entry.fix)}",
        "- Example:",
        "",
        "  ```text",
        *(f"  {line}" for line in entry.example.splitlines()),
        "  ```",
    ]


def _severities(entry: Explanation) -> str:
    words = ", ".join(_WORDS[severity] for severity in entry.severities)
    return f"{words}; forceable" if entry.forceable else words


def _text(text: str) -> str:
    """Markup in prose is text."""
    return text.replace("\\", "\\\\").replace("<", "&lt;").replace("*", "\\*")


def _cell(text: str) -> str:
    return _text(text).replace("|", "\\|")
