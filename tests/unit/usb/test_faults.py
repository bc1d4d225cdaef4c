"""Every gate and every fault: its words, its exit code, and nothing written anywhere else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from provisioner.usb import gates

from tests.unit.usb.faults import FAULTS, GATES, Case, play


@pytest.mark.parametrize("case", GATES, ids=lambda case: case.name)
def test_a_gate(case: Case) -> None:
    outcome = play(case)
    assert case.says in outcome.said
    assert (outcome.code, outcome.state, outcome.others) == (5, "as before", 0)


@pytest.mark.parametrize("case", FAULTS, ids=lambda case: case.name)
def test_a_fault(case: Case) -> None:
    outcome = play(case)
    assert case.says in outcome.said
    assert (outcome.code, outcome.state) == (case.code, case.state)
    assert outcome.others == 0


def test_every_rule_is_played() -> None:
    """Those that need a terminal, or an undo, are in the tests of the commands."""
    played = {play(case).rule for case in GATES}
    folder = Path(gates.__file__).parent
    written = {
        rule
        for path in folder.glob("*.py")
        for rule in re.findall(r'rule="(usb\.[a-z-]+)"', path.read_text())
    }
    assert written - played == {"usb.no-capsule"}
