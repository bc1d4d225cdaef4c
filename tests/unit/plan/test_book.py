"""The book of rules is complete, true, and no longer than needed."""

from __future__ import annotations

import pytest

from provisioner.errors import Problem, Severity, UsageError
from provisioner.plan.rules.explain import PARTS, book, described, explanation
from provisioner.plan.rules.pages import rules_page
from tests.unit.answers.test_lint import ENCODINGS, HOSTILE, lint
from tests.unit.answers.test_lint_mutations import MUTATIONS, problems_of
from tests.unit.plan.given_rules import given_rules
from tests.unit.plan.rule_ids import rule_ids


def test_every_rule_is_explained_and_no_other() -> None:
    printed = set(rule_ids()) | given_rules()
    unexplained = {rule for rule in printed - set(book()) if not rule.startswith("disc.")}
    assert unexplained == set(), "explain them in provisioner/plan/rules/book"
    assert set(book()) - printed == set(), "nothing prints these any more"


def test_every_explanation_is_whole() -> None:
    for entry in book().values():
        assert entry.part in PARTS
        assert entry.severities
        assert len(entry.title) <= 60, entry.rule
        assert not entry.title.endswith("."), entry.rule
        assert entry.cause.endswith(".") or entry.cause.endswith(")."), entry.rule
        assert entry.fix and entry.example, entry.rule
        assert len(described(entry).splitlines()) >= 6


def test_anchors_are_unique() -> None:
    assert len({entry.anchor for entry in book().values()}) == len(book())
    page = rules_page()
    for entry in book().values():
        assert page.count(f"\n### {entry.rule}\n") == 1


def _of_lint() -> list[Problem]:
    problems = [problem for mutation in MUTATIONS for problem in problems_of(mutation)]
    for _, data, *_ in ENCODINGS:
        problems += lint(data, file="a.xml")
    for text in HOSTILE.values():
        problems += lint(text.encode()[:300_000], file="a.xml")
    return problems


def test_every_rule_of_lint_is_shown_by_a_test_with_a_severity_of_the_book() -> None:
    shown: dict[str, set[Severity]] = {}
    for problem in _of_lint():
        shown.setdefault(problem.rule, set()).add(problem.severity)
        assert problem.severity in book()[problem.rule].severities, problem
    mine = {rule for rule, entry in book().items() if entry.part == "lint"}
    elsewhere = {
        "lint.architectures",
        "lint.driver-path",
        "lint.no-windowspe",
        "lint.range",
        "lint.setup-language",
        "lint.too-large",
        "lint.too-many",
    }
    assert mine - set(shown) <= elsewhere


def test_one_rule() -> None:
    entry = explanation("media.edition")
    text = described(entry)
    assert text.startswith("media.edition: An edition that is not on this disc (error)\n")
    assert "docs/rules.md#mediaedition" in text


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("edition", "did you mean media.edition?"),
        ("lint.unknwn-setting", "did you mean lint.unknown-setting"),
        ("zzz", "`provisioner check --explain` lists them"),
    ],
)
def test_no_such_rule(asked: str, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        explanation(asked)
    assert (raised.value.hint or "").startswith(hint)
