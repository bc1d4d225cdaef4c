"""A plan with an answer file of the user's own: what is in it, and what `--force` goes past."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.answers.supplied import Supplied, SuppliedFile
from provisioner.errors import ProfileError, Severity
from provisioner.plan.show import as_json
from tests.unit.answers.answer_files import GOOD
from tests.unit.plan.cases import OWN, own
from tests.unit.plan.scene import Scene

UNKNOWN = GOOD.replace("HideEULAPage", "HideEulaPages")


def test_what_setup_stops_at_is_refused_unless_forced(tmp_path: Path) -> None:
    scene = own(UNKNOWN)
    with pytest.raises(ProfileError) as refused:
        scene.plan(tmp_path)
    assert "lint.unknown-setting" in {problem.rule for problem in refused.value.problems}
    plan = replace(scene, forced=True).plan(tmp_path)
    (forced,) = (p for p in plan.problems if p.rule == "lint.unknown-setting")
    assert (forced.severity, forced.place.file if forced.place else "") == (
        Severity.WARNING,
        "/mine.xml",
    )


def test_no_plan_holds_what_is_in_the_file(tmp_path: Path) -> None:
    plan = own().plan(tmp_path)
    assert GOOD[200:300] not in repr(plan) + str(as_json(plan))
    assert dict(plan.facts)["disk layout"] == "your answer file erases disk 0"
    assert plan.secrets == {}


def test_the_digest_is_of_the_content_and_not_of_the_place(tmp_path: Path) -> None:
    def digest(data: str, name: str) -> str:
        file = SuppliedFile(path=Path(name), data=data.encode())
        profile = OWN.replace("/mine.xml", name)
        return Scene(profile=profile, supplied=Supplied(answer_file=file)).plan(tmp_path).digest

    same = digest(GOOD, "/mine.xml")
    assert digest(GOOD, "/elsewhere/mine.xml") == same
    assert digest(GOOD.replace("DEV11", "DEV12"), "/mine.xml") != same
