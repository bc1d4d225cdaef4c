"""The book of rules: what each finding means, why it matters, and what to do about it.

The texts are the TOML files of `book/`, one per origin; `docs/rules.md` is made from them.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from provisioner.errors import Severity, UsageError
from provisioner.frozen import frozen
from provisioner.plan.rules.force import can_be_forced

PARTS = ("profile", "settings", "plan", "lint", "sticks", "other")
"""Files of the book, in the order a person meets their rules."""
PAGE = "docs/rules.md"


@frozen
class Explanation:
    """One rule. `severities` are those it can have, the usual one first."""

    rule: str
    part: str
    severities: tuple[Severity, ...]
    title: str
    cause: str
    fix: str
    example: str

    @property
    def anchor(self) -> str:
        """Its heading in docs/rules.md, as Markdown makes anchors."""
        return self.rule.replace(".", "")

    @property
    def page(self) -> str:
        """Where the documentation tells it."""
        return f"{PAGE}#{self.anchor}"

    @property
    def forceable(self) -> bool:
        """Whether `up --force` goes past it."""
        return Severity.ERROR in self.severities and can_be_forced(self.rule)


@cache
def book() -> Mapping[str, Explanation]:
    """Every rule by its id, sorted."""
    found: dict[str, Explanation] = {}
    for part in PARTS:
        text = Path(__file__).with_name("book").joinpath(f"{part}.toml").read_text(encoding="utf-8")
        for rule, entry in tomllib.loads(text).items():
            found[rule] = Explanation(
                rule=rule,
                part=part,
                severities=tuple(Severity(severity) for severity in entry["severity"]),
                title=entry["title"],
                cause=entry["cause"],
                fix=entry["fix"],
                example=entry["example"],
            )
    return MappingProxyType(dict(sorted(found.items())))


def explanation(rule: str) -> Explanation:
    """One rule; UsageError with the nearest where there is none."""
    found = book().get(rule)
    if found is not None:
        return found
    short = [known for known in book() if known.partition(".")[2] == rule]
    near = short or difflib.get_close_matches(rule, book(), n=3, cutoff=0.5)
    raise UsageError(
        f"there is no rule {rule!r}",
        hint=f"did you mean {' or '.join(near)}?"
        if near
        else "`provisioner check --explain` lists them",
    )


def described(entry: Explanation) -> str:
    """One rule for a terminal."""
    severities = " or ".join(severity.value for severity in entry.severities)
    lines = [
        f"{entry.rule}: {entry.title} ({severities})",
        "",
        f"  cause    {entry.cause}",
        f"  fix      {entry.fix}",
        f"  example  {_indented(entry.example)}",
    ]
    if entry.forceable:
        lines.append("  force    `provisioner up --force` goes on in spite of it")
    lines.append(f"  page     {entry.page}")
    return "\n".join(lines)


def _indented(text: str) -> str:
    return text.replace("\n", "\n           ")
