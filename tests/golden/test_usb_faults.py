"""Every gate and every fault: its words, its exit code, nothing written anywhere else; and
docs/usb-faults.md, which `make golden` writes from what was said and measured."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from provisioner.usb import gates
from tests.unit.usb.faults import FAULTS, GATES, Case, play

PAGE = Path(__file__).parents[2] / "docs/usb-faults.md"
TARGET = {
    "as before": "as it was",
    "unfinished": "marked as unfinished, no partition table",
    "written": "written",
}

pytestmark = pytest.mark.xdist_group("usb-faults")


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


def test_the_table_is_what_happens(request: pytest.FixtureRequest) -> None:
    text = page()
    if request.config.getoption("--golden"):
        PAGE.write_text(text, "utf-8")
    assert PAGE.read_text("utf-8") == text, "make golden, and read the difference"


def page() -> str:
    """The page, Markdown. Amounts that depend on timing are not in it."""
    lines = [
        "# What goes wrong with a stick, and what is said",
        "",
        "<!-- Made by `make golden` from tests/unit/usb/faults.py; do not edit. -->",
        "",
        "Each line is a test: a stick in memory fails in this way while another one is plugged in.",
        "The last column is how many bytes the other stick was given, as measured there.",
        "[How a stick is written](how-to/usb-safety.md) tells the order of things.",
        "",
        "What a kernel can play is played on real block devices too, loop devices over files:",
        "`tests/integration/test_usb_gates.py` (partitions, swap, mounts, chains of loop devices,",
        "a disk that shrinks or is write-protected meanwhile), `test_usb_faults.py` (a FUSE file",
        "that fails, QEMU's blkdebug), `test_usb.py` (another disk behind the name, somebody else",
        "holds it), `test_usb_person.py` (`kill -9`, a user who is not root). Power fails at any",
        "byte in `tests/unit/usb/test_power.py`.",
        "",
        "## Refused: nothing changed (exit code 5)",
        "",
        "| what | what is said | rule | the stick then | written elsewhere |",
        "| --- | --- | --- | --- | --: |",
    ]
    for case in GATES:
        outcome = play(case)
        said = re.sub(r"/\S+/usb:", "~/.local/state/provisioner/usb:", outcome.said)
        cells = (case.name, said, f"`{outcome.rule}`", TARGET[outcome.state])
        lines.append(f"| {' | '.join(map(_cell, cells))} | {outcome.others} |")
    lines += [
        "",
        "## While it is written, read back, or cancelled",
        "",
        "| what | what is said | exit code | the stick then | written elsewhere |",
        "| --- | --- | --: | --- | --: |",
    ]
    for case in FAULTS:
        outcome = play(case)
        said = re.sub(r"disappeared at byte \d+", "disappeared at byte N", outcome.said)
        said = re.sub(r"(protected|takes nothing more) at byte \d+", r"\1 at byte N", said)
        cells = (case.name, said, str(outcome.code), TARGET[outcome.state])
        lines.append(f"| {' | '.join(map(_cell, cells))} | {outcome.others} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
