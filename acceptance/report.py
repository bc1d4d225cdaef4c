"""The one file to send back: Markdown, without passwords, host names or the person's paths."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from acceptance.claims import FACTS, Claim
from acceptance.main_job import Assertion
from acceptance.trials import Verdict

HOLDS = {True: "holds", False: "**does not hold**", None: "undecided"}
STANDIN = (
    "**This was the stand-in, a small Linux that plays Setup. It is not Windows. Nothing is settled"
    " by this report.**"
)


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that was seen. `system` is what the main machine said it is, None: nothing."""

    system: str | None
    versions: Mapping[str, str]
    disc: Mapping[str, str]
    assertions: Sequence[Assertion]
    verdicts: Mapping[str, Sequence[tuple[str, Verdict]]]
    """By claim: where it was seen, and what."""
    claims: Mapping[str, Claim]
    private: Sequence[str] = field(default=(), repr=False)
    """Texts that must not be in the report: folders, the host's name."""

    @property
    def is_windows(self) -> bool:
        """Only then anything is settled."""
        return self.system == "windows"


def markdown(report: Report) -> str:
    """The whole text."""
    lines = ["# Acceptance report", ""]
    if report.system is None:
        lines += ["**No machine became ready, so that nobody looked inside.**", ""]
    elif not report.is_windows:
        lines += [STANDIN, ""]
    lines += ["| | |", "| --- | --- |"]
    rows = {**report.versions, **report.disc}
    lines += [f"| {_cell(name)} | {_cell(value)} |" for name, value in rows.items()]
    lines += ["", "## Seen from the inside", ""]
    lines += ["| what | expected | found | |", "| --- | --- | --- | --- |"]
    for check in report.assertions:
        found = "not told" if check.found is None else check.found
        sign = {True: "as expected", False: "**differs**", None: "undecided"}[check.holds]
        lines.append(
            f"| {_cell(check.subject)} | {_cell(check.expected)} | {_cell(found)} | {sign} |"
        )
    lines += ["", "## Claims", ""]
    word = "outcome" if report.is_windows else "outcome here, which settles nothing"
    lines += [f"| | claim | {word} | evidence |", "| --- | --- | --- | --- |"]
    for name, claim in report.claims.items():
        for where, verdict in report.verdicts.get(name, ()):
            outcome = HOLDS[verdict.holds]
            evidence = _cell(f"{where}: {verdict.evidence}")
            lines.append(f"| {name} | {_cell(claim.text)} | {outcome} | {evidence} |")
    lines += ["", "## Left to a person", ""]
    lines += ["| | claim | experiment | settled by |", "| --- | --- | --- | --- |"]
    for name, claim in report.claims.items():
        if name not in report.verdicts:
            cells = (name, _cell(claim.text), _cell(claim.experiment), claim.settled)
            lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "## Questions of the fact sheets", "", "| question | claims |", "| --- | --- |"]
    for (sheet, number), names in FACTS.items():
        told = ", ".join(f"{name} ({_told(report, name)})" for name in names)
        lines.append(f"| {sheet}, {number} | {told} |")
    return _public("\n".join(lines) + "\n", report.private)


def _told(report: Report, name: str) -> str:
    """In one word; where trials disagree, undecided."""
    seen = {verdict.holds for _, verdict in report.verdicts.get(name, ())}
    if not seen:
        return "left to a person"
    outcome = HOLDS[seen.pop()] if len(seen) == 1 else HOLDS[None]
    return outcome if report.is_windows else "rehearsed"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")[:600]


def _public(text: str, private: Sequence[str]) -> str:
    for word in sorted((word for word in private if len(word) > 2), key=len, reverse=True):
        text = re.sub(rf"(?<![\w-]){re.escape(word)}(?![\w-])", "…", text)
    return text
