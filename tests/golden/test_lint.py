"""Every answer file we render passes `lint` with nothing at all: no error, warning or note."""

from __future__ import annotations

from provisioner.answers.lint import Firmware, Purpose, lint
from provisioner.plan.rules.answers import answer_bytes, target_of
from tests.golden.test_answers import CASES, disc_of, every_case


@every_case
def test_lint_has_nothing_to_say(name: str) -> None:
    case = CASES[name]
    firmware: Firmware = "bios" if case.profile.firmware == "bios" else "uefi"
    purposes = (
        Purpose(),
        Purpose(windows=target_of(case.edition), firmware=firmware),
    )
    for purpose in purposes:
        assert lint(answer_bytes(disc_of(name)), file=name, purpose=purpose) == ()
