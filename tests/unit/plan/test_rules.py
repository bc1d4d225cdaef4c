"""Every rule between profile, discs and host: shown when it must be, silent when it must not."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.errors import ProfileError, ProvisionerError, Severity
from provisioner.plan.rules.explain import book
from provisioner.plan.rules.force import FORCEABLE
from tests.unit.plan.cases import CASES, Case
from tests.unit.plan.scene import SERVER, SOUND, Scene, drivers, server_disc

NEVER_FROM_HERE = {
    "media.build": "the library's queries: tests/unit/profile",
    "media.moved": "the library's files: tests/unit/store and tests/unit/cli/test_media_query",
    "media.passed-over": "the same",
    "media.touched": "the same",
    "media.unsuitable": "the door for what the rules before it did not foresee",
    "windows.large-files": "tests/unit/plan/test_settings.py, which makes them",
    "windows.language": "tests/unit/profile and tests/unit/answers/test_locale",
}
every_case = pytest.mark.parametrize(
    "case", CASES, ids=[f"{number}-{case.rule}" for number, case in enumerate(CASES)]
)


@pytest.mark.parametrize(
    "scene",
    [Scene(), Scene(drivers=drivers()), Scene(profile=SERVER, install=server_disc())],
    ids=["client", "drivers", "server"],
)
def test_a_sound_machine_has_no_problems(scene: Scene, tmp_path: Path) -> None:
    assert scene.problems(tmp_path) == ()
    assert scene.plan(tmp_path).problems == ()


@every_case
def test_the_failing_case(case: Case, tmp_path: Path) -> None:
    mine = [problem for problem in case.bad.problems(tmp_path) if problem.rule == case.rule]
    assert mine, case.rule
    for problem in mine:
        assert problem.severity is case.severity
        assert problem.severity in book()[case.rule].severities
        assert len(problem.message) < 300
        if problem.severity is not Severity.NOTE:
            assert problem.hint


@every_case
def test_the_passing_case(case: Case, tmp_path: Path) -> None:
    assert case.rule not in {problem.rule for problem in case.good.problems(tmp_path)}


@every_case
def test_a_plan_is_made_only_without_errors(case: Case, tmp_path: Path) -> None:
    """`up` refuses what `check` calls an error, and says the same."""
    if case.severity is Severity.ERROR:
        with pytest.raises(ProvisionerError) as raised:
            case.bad.plan(tmp_path)
        if isinstance(raised.value, ProfileError):
            assert case.rule in {problem.rule for problem in raised.value.problems}
        else:
            assert case.rule == "answers.template"
    else:
        problems = case.bad.problems(tmp_path)
        if not any(problem.severity is Severity.ERROR for problem in problems):
            assert case.rule in {problem.rule for problem in case.bad.plan(tmp_path).problems}


def test_however_a_disc_is_asked_for_it_is_the_same_machine(tmp_path: Path) -> None:
    """The digest is of the disc's fingerprint: a path or a query do not count."""
    asked = ("{product: windows-11}", '{product: windows-11, build: ">=26100", language: en-US}')
    texts = [SOUND, *(SOUND.replace("/iso/install.iso", each) for each in asked)]
    assert len(set(texts)) == 3
    assert len({Scene(profile=text).plan(tmp_path).digest for text in texts}) == 1


def test_every_rule_has_a_case() -> None:
    mine = {rule for rule, entry in book().items() if entry.part == "plan"}
    assert mine - {case.rule for case in CASES} == NEVER_FROM_HERE.keys()


@pytest.mark.parametrize("rule", sorted(FORCEABLE))
def test_a_forceable_rule_has_a_case(rule: str) -> None:
    assert rule in book()
    assert any(case.rule == rule and case.severity is Severity.ERROR for case in CASES)


def test_problems_of_the_profile_point_into_it(tmp_path: Path) -> None:
    without_place = {
        case.rule
        for case in CASES
        for problem in case.bad.problems(tmp_path)
        if problem.rule == case.rule and problem.place is None
    }
    hostly = {"host.emulation", "host.space", "answers.template"}
    templated = {"cdrom-bus", "floppy", "usb-disk", "disk-driver", "firmware-path"}
    templated |= {"nvram-shared", "cpu-features"}
    assert without_place <= hostly | {f"machine.{rule}" for rule in templated}
