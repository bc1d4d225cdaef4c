"""docs/rules.md and docs/traps.md are what the code says: `make golden` writes them anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.answers.lint import Purpose, lint, target
from provisioner.plan.rules.explain import book
from provisioner.plan.rules.pages import rules_page
from tests.unit.answers.answer_files import GOOD, changed
from tests.unit.answers.test_lint_mutations import MUTATIONS, problems_of
from tests.unit.plan.cases import CASES
from tests.unit.plan.traps import TRAPS

DOCS = Path(__file__).parents[2] / "docs"
FACTS = DOCS / "facts/peers.md"

SECOND = (
    '<SynchronousCommand wcm:action="add"><Order>2</Order>'
    "<CommandLine>a.exe</CommandLine></SynchronousCommand>"
)
BYTES = {
    "lint.before-declaration": b"\n" + GOOD.encode(),
    "lint.encoding": GOOD.encode("utf-16"),
    "lint.setup-language": changed(
        ("<UILanguage>en-US</UILanguage>", ""), ("<UILanguage>en-US</UILanguage>", "")
    ),
    "lint.first-logon-commands": changed(("<FirstLogonCommands>", f"<FirstLogonCommands>{SECOND}")),
    "lint.length": changed(('<Path>cmd.exe /c "echo', f'<Path>cmd.exe /c "{"x" * 260}')),
}


def messages(folder: Path) -> dict[str, str]:
    """What each rule of a trap says in its failing case."""
    found: dict[str, str] = {}
    for number, case in enumerate(CASES):
        if case.rule not in found:
            place = folder / str(number)
            place.mkdir()
            mine = (p for p in case.bad.problems(place) if p.rule == case.rule)
            found[case.rule] = f"{(problem := next(mine)).severity.value}: {problem.message}"
    for rule, data in BYTES.items():
        for problem in lint(data, file="a.xml", purpose=Purpose(windows=target("11"))):
            if problem.rule == rule:
                found.setdefault(rule, f"{problem.severity.value}: {problem.message}")
    for mutation in MUTATIONS:
        for problem in problems_of(mutation):
            found.setdefault(problem.rule, f"{problem.severity.value}: {problem.message}")
    return found


def traps_page(folder: Path) -> str:
    """The table of traps, Markdown."""
    said = messages(folder)
    lines = [
        "# Known traps",
        "",
        "<!-- Made by `make golden` from tests/unit/plan/traps.py; do not edit. -->",
        "",
        "What stops unattended installations of Windows, from the issue threads of other projects",
        "and from Microsoft's documentation, and what says so before anything boots. The messages",
        "are those of the failing case that each rule is tested with.",
        "",
        "| What one sees | Why | Rule | What it says |",
        "| --- | --- | --- | --- |",
    ]
    for trap in TRAPS:
        rows: list[tuple[str, str]] = [
            (f"[{rule}](rules.md#{book()[rule].anchor})", said[rule]) for rule in trap.rules
        ]
        if trap.avoided:
            rows.append(("–", trap.avoided))
        for number, (rule, message) in enumerate(rows):
            head = (trap.sees, trap.cause) if number == 0 else ("", "")
            lines.append(f"| {_cell(head[0])} | {_cell(head[1])} | {rule} | {_cell(message)} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


@pytest.mark.parametrize("name", ["rules.md", "traps.md"])
def test_a_page_is_fresh(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    text = rules_page() if name == "rules.md" else traps_page(tmp_path)
    path = DOCS / name
    if request.config.getoption("golden", default=False):
        path.write_text(text, encoding="utf-8")
        return
    assert path.read_text(encoding="utf-8") == text, "run `make golden` and read the difference"


def test_every_trap_has_a_rule_or_a_reason() -> None:
    for trap in TRAPS:
        assert trap.rules or trap.avoided, trap.sees
        for rule in trap.rules:
            assert rule in book(), rule


def test_every_row_of_the_facts_is_there() -> None:
    """peers.md, "Known traps to turn into checks": 19 rows, in its order."""
    table = FACTS.read_text(encoding="utf-8").partition("## Known traps")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][2:]
    assert len(rows) == 19
    assert len(TRAPS) >= len(rows)
    for row, trap in zip(rows, TRAPS, strict=False):
        words = {word.strip('".,').lower() for word in row.split("|")[1].split()}
        mine = {word.strip('".,').lower() for word in trap.sees.split()}
        assert len(words & mine) >= 1, (row, trap.sees)
