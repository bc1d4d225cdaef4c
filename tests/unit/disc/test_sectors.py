"""The map of a rip, against a plain list of bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.disc.sectors import Run, SectorMap, Status, parse_map
from provisioner.errors import MediaError

SIZE = 60


@given(
    marks=st.lists(
        st.tuples(
            st.integers(0, SIZE),
            st.integers(0, SIZE),
            st.sampled_from([Status.GOOD, Status.BAD, Status.UNTRIED]),
        )
    ),
    cut=st.integers(1, SIZE),
)
def test_marks(marks: list[tuple[int, int, Status]], cut: int) -> None:
    found = SectorMap(SIZE)
    plain = [Status.UNTRIED] * SIZE
    for start, end, status in marks:
        found.mark(start, end, status)
        plain[start:end] = [status] * max(0, end - start)
    check(found, plain)
    found.cut(cut)
    check(found, plain[:cut])
    assert parse_map(found.text()) == found


def check(found: SectorMap, plain: list[Status]) -> None:
    spread: list[Status] = []
    for run in found.runs:
        assert run.start == len(spread) and run.end > run.start
        spread += [run.status] * (run.end - run.start)
    assert spread == plain
    assert all(a.status is not b.status for a, b in zip(found.runs, found.runs[1:], strict=False))
    for status in Status:
        assert found.total(status) == plain.count(status)


def test_what_ddrescue_writes() -> None:
    text = """\
# Mapfile. Created by GNU ddrescue version 1.27
# Command line: ddrescue -b 2048 /dev/sr0 x.iso x.map
# current_pos  current_status  current_pass
0x00120000     ?               1
#      pos        size  status
0x00000000  0x00117000  +
0x00117000  0x00000800  -
0x00117800  0x00009000  /
0x00120800  0x00001000  ?
"""
    assert parse_map(text).runs == (
        Run(0, 0x117000, Status.GOOD),
        Run(0x117000, 0x117800, Status.BAD),
        Run(0x117800, 0x120800, Status.UNTRIED),
        Run(0x120800, 0x121800, Status.UNTRIED),
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0 ? 1\n",
        "0 ? 1\n5 5 +\n",
        "0 ? 1\n0 0 +\n",
        "0 ? 1\nx",
        f"0 ? 1\n0 {'9' * 5000} +\n",
        "0 ? 1\n٠ 5 +\n",  # digits, but nobody's in a map
    ],
)
def test_damaged_maps(text: str) -> None:
    with pytest.raises(MediaError):
        parse_map(text)


def test_leading_zeros_are_decimal() -> None:
    assert parse_map("0 ? 1\n00 010 +\n").runs == (Run(0, 10, Status.GOOD),)
