"""The record of an installation, and what is learnt from it: cut off, damaged, grown, replaced."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provisioner.store.timeline import Follower, Moment, Origin, Timeline
from provisioner.store.timings import KEYS, RUNS, Lesson, Timings, lesson


def moment(event: str, elapsed: float = 0.0, **members: Any) -> Moment:
    return Moment(
        at=1e9 + elapsed,
        event=event,
        origin=Origin.REPORTED,
        members={"elapsed": elapsed, **members},
    )


def test_what_is_appended_is_read(tmp_path: Path) -> None:
    timeline = Timeline(tmp_path / "t")
    assert timeline.read() == ((), 0)
    one, two = moment("stage", 1.5, stage="setup"), moment("output", 2, text="\ud800 ü\n")
    timeline.append(one)
    timeline.append(two)
    assert timeline.read()[0] == (one, two)
    moments, end = timeline.read()
    assert timeline.read(end) == ((), end)
    assert len(moments) == 2


def test_a_line_that_a_crash_cut_off_takes_no_other_along(tmp_path: Path) -> None:
    path = tmp_path / "t"
    timeline = Timeline(path)
    timeline.append(moment("started"))
    with path.open("ab") as file:
        file.write(b'{"at":1,"event":"sta')
    assert len(timeline.read()[0]) == 1
    timeline.append(moment("ready"))
    assert [m.event for m in timeline.read()[0]] == ["started", "ready"]


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    lines=st.lists(
        st.binary(max_size=80)
        | st.sampled_from(
            [
                b'{"at":1,"event":"stage","origin":"host","elapsed":"x","stage":{}}',
                b'{"at":NaN,"event":"stage","origin":"host"}',
                b'{"at":1e400,"event":"ready","origin":"host"}',
                b'{"at":1,"event":"progress","origin":"host","stage":"image","done":[1]}',
                b"[" * 5000,
                b'{"at":2,"event":"ready","origin":"reported","elapsed":5}',
            ]
        ),
        max_size=8,
    )
)
def test_a_damaged_file_is_read_as_far_as_it_goes(tmp_path: Path, lines: list[bytes]) -> None:
    path = tmp_path / "t"
    path.write_bytes(b"\n".join(lines) + b"\n")
    moments, _ = Timeline(path).read()
    follower = Follower(path)
    assert follower.news() == moments
    follower.close()
    lesson(moments)


def test_a_follower_sees_the_end_of_a_story_whose_file_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "t"
    timeline, follower = Timeline(path), Follower(path)
    assert follower.news() == ()
    timeline.append(moment("started"))
    assert [m.event for m in follower.news()] == ["started"]
    timeline.append(moment("ended", outcome="failed"))
    timeline.clear()
    assert [m.event for m in follower.news()] == ["ended"]
    assert follower.news() == ()
    timeline.append(moment("started", generation=2))
    assert [m.members.get("generation") for m in follower.news()] == [2]
    follower.close()


def test_one_writer(tmp_path: Path) -> None:
    timeline = Timeline(tmp_path / "t")
    with timeline.writing() as ours:
        assert ours
        with Timeline(tmp_path / "t").writing() as theirs:
            assert not theirs
    with Timeline(tmp_path / "t").writing() as now:
        assert now
    with Timeline(tmp_path / "no" / "t").writing() as impossible:
        assert impossible, "nobody else can write there either"


STORY = (
    moment("started", 1),
    moment("stage", 10, stage="setup"),
    moment("stage", 30, stage="image"),
    moment("progress", 50, stage="image", done=5000, total=None),
    moment("stage", 90, stage="image"),
    moment("stage", 100, stage="first-boot"),
    moment("ready", 160),
    moment("ended", 161, outcome="ready"),
)


def test_what_a_story_teaches() -> None:
    learnt = lesson(STORY)
    assert learnt == Lesson(
        stages={"power-on": 10, "setup": 20, "image": 70, "first-boot": 60}, total=160, bytes=5000
    )
    assert lesson(STORY[:-2]) is None, "it did not get ready"
    assert lesson((*STORY[:3], moment("gap", 40, reason="crash"), *STORY[3:])) is None
    assert lesson((*STORY[:3], moment("gap", 40, lines=2), *STORY[3:])) is not None


def test_median_and_spread_of_the_last_runs(tmp_path: Path) -> None:
    timings = Timings(tmp_path / "timings.json")
    assert timings.usual(("a", "b")).runs == 0
    for seconds in (1000, 10, 20, 30, 20, 20, 20, 40, 20, 20):
        timings.learn(
            ("a", "b"), Lesson(stages={"image": seconds}, total=2 * seconds, bytes=7), at=1
        )
    usual = timings.usual(("unknown", "b"))
    assert usual.runs == RUNS, "the first one is forgotten"
    assert usual.stages == {"image": (20, 0)}
    assert (usual.total, usual.bytes) == ((40, 0), 7)


def test_it_is_bounded_and_survives_damage(tmp_path: Path) -> None:
    path = tmp_path / "timings.json"
    timings = Timings(path)
    run = Lesson(stages={f"stage {n}": n for n in range(500)}, total=1)
    for number in range(KEYS + 20):
        timings.learn((f"key {number}",), run, at=number)
    assert path.stat().st_size < 100_000
    assert timings.usual(("key 0",)).runs == 0
    assert timings.usual((f"key {KEYS + 19}",)).runs == 1
    for damage in (b"", b"{", b"[]", b'{"format":1,"keys":[]}', b'{"format":9,"keys":{}}'):
        path.write_bytes(damage)
        assert timings.usual(("a",)).runs == 0
    strange = {"a": {"runs": [{"stages": {"image": "x", "setup": 3}, "total": None}, 7]}}
    path.write_text(json.dumps({"format": 1, "keys": strange}))
    assert timings.usual(("a",)).stages == {"setup": (3, 0)}
    timings.learn(("a",), run, at=1)
    assert timings.usual(("a",)).runs == 2


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, "5", None])
def test_numbers_that_are_none(value: object) -> None:
    assert lesson((moment("started"), Moment(at=1, event="ready", origin=Origin.HOST,
                                             members={"elapsed": value}))) is None  # fmt: skip
