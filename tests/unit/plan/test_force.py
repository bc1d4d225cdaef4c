"""`--force` goes past avoidable traps, and past nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.errors import Problem, ProfileError, ProvisionerError, Severity
from provisioner.plan.rules.force import can_be_forced, forced
from tests.unit.plan.cases import CASES, Case

ERRORS = [case for case in CASES if case.severity is Severity.ERROR]


@pytest.mark.parametrize("case", ERRORS, ids=lambda case: case.rule)
def test_force(case: Case, tmp_path: Path) -> None:
    scene = replace(case.bad, forced=True)
    if can_be_forced(case.rule):
        plan = scene.plan(tmp_path)
        (problem,) = [p for p in plan.problems if p.rule == case.rule][:1]
        assert problem.severity is Severity.WARNING
        assert problem.message.endswith("(forced)")
    else:
        with pytest.raises(ProvisionerError) as raised:
            scene.plan(tmp_path)
        if isinstance(raised.value, ProfileError):
            errors = [p for p in raised.value.problems if p.severity is Severity.ERROR]
            assert case.rule in {problem.rule for problem in errors}


def test_notes_and_warnings_stay() -> None:
    problems = (
        Problem(message="a", rule="media.product", severity=Severity.WARNING),
        Problem(message="b", rule="media.edition"),
    )
    assert forced(problems) == problems


@pytest.mark.parametrize(
    "rule",
    ["machine.usb-disk", "machine.nvram-shared", "host.kvm", "profile.type", "disc.case"],
)
def test_what_protects_other_things_cannot_be_forced(rule: str) -> None:
    assert not can_be_forced(rule)
