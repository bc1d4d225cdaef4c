"""The timeline as people read it: wide, narrow, without a terminal, and from hostile members."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import struct
import termios
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.cli.console import TerminalConsole
from provisioner.cli.layout import cells, wrapped
from provisioner.cli.story import Story
from tests.unit.cli.terminal_screen import everything_from, screen_of

Told = tuple[str, Mapping[str, Any]]

STARTED: Told = (
    "started",
    {"elapsed": 1.0, "origin": "host", "usual": {"image": [250, 4], "setup": [20, 9]},
     "usual_total": [900, 30]},
)  # fmt: skip
INSTALLATION: tuple[Told, ...] = (
    STARTED,
    ("stage", {"stage": "firmware", "elapsed": 3, "origin": "inferred", "evidence": "a line"}),
    ("stage", {"stage": "answers", "elapsed": 21, "origin": "reported"}),
    ("detail", {"stage": "answers", "elapsed": 22, "path": "E:\\Autounattend.xml",
                "sha256": "ab" * 32, "origin": "reported"}),
    ("stage", {"stage": "disks", "elapsed": 34, "origin": "reported"}),
    ("detail", {"stage": "disks", "elapsed": 34, "origin": "reported",
                "disks": [{"disk_id": 0, "bus": "virtio", "size_mib": 65536}]}),
    ("stage", {"stage": "image", "elapsed": 52, "origin": "reported"}),
    ("progress", {"stage": "image", "elapsed": 142, "done": 61 * 2**26, "total": 100 * 2**26,
                  "rate": 92 * 2**20, "origin": "inferred"}),
)  # fmt: skip


def told(moments: Sequence[Told], *, live: bool, width: int | None) -> tuple[Story, list[str]]:
    story = Story(live=live)
    return story, [line for event, members in moments for line in story.take(event, members, width)]


def test_at_eighty_columns() -> None:
    story, lines = told(INSTALLATION, live=True, width=80)
    assert lines == [
        "  00:00  ● started (usually ready after 15:00)",
        "  00:03  ● firmware, 0:18                                              inferred",
        "  00:21  ● Setup found our answers, 0:13                               reported",
        "           E:\\Autounattend.xml, SHA-256 abababababab…",
        "  00:34  ● disk laid out: disk 0 virtio 64 GiB, 0:18                   reported",
    ]
    name, numbers = "  00:52  ◐ applying the image", "61 %  92 MiB/s  ~27 s left"
    assert story.live(142, 100) == f"{name}  ██████████░░░░░░░░  {numbers}  (usually 4:10)"
    assert story.live(142, 79) == f"{name}  ██████████░░░░░░░░  {numbers}"
    assert story.live(142, 60) == f"{name}  ███████░░░░░░  61 %  92 MiB/s"


def test_a_wide_terminal_has_room_for_what_was_found() -> None:
    _, lines = told(INSTALLATION, live=True, width=100)
    found = "Setup found our answers: E:\\Autounattend.xml, SHA-256 abababababab…, 0:13"
    assert lines[2].split("  ") == ["", "00:21", f"● {found}", *[""] * 2, " reported"]


def test_the_lines_of_steps_stand_below_that_of_their_stage() -> None:
    moments: list[Told] = [
        STARTED,
        ("stage", {"stage": "steps", "elapsed": 400, "origin": "reported"}),
        ("step", {"name": "one", "state": "start", "elapsed": 401}),
        ("step", {"name": "one", "state": "end", "exit_code": 0, "elapsed": 404}),
        ("step", {"name": "two", "state": "start", "elapsed": 404}),
    ]
    story, lines = told(moments, live=True, width=80)
    assert [line.split(maxsplit=2)[2].removesuffix("reported").rstrip() for line in lines[1:]] == [
        "running the steps",
        "step one exited 0, 0:03",
    ]
    assert story.live(410, 79) == "  06:44  ◐ step two  0:06"
    last = ("stage", {"stage": "cleanup", "elapsed": 420, "origin": "reported"})
    assert story.take(*last, 80) == [], "it has been named"


def test_without_a_terminal_every_stage_is_told_when_it_begins() -> None:
    _, lines = told(INSTALLATION, live=False, width=None)
    assert lines[-1].split() == ["00:52", "●", "applying", "the", "image", "reported"]
    assert any("E:\\Autounattend.xml" in line for line in lines)


@pytest.mark.parametrize("width", [15, 19, 30, 49, 50, 79])
def test_the_running_line_never_fills_the_terminal(width: int) -> None:
    for end in range(1, len(INSTALLATION) + 1):
        story, _ = told(INSTALLATION[:end], live=True, width=width + 1)
        line = story.live(200, width)
        assert line and cells(line) <= width, line
    assert "61 %" in line, "the number that moves stays"


def test_time_left_from_earlier_runs_and_spread() -> None:
    story, _ = told([STARTED, ("stage", {"stage": "setup", "elapsed": 10})], live=True, width=80)
    assert story.live(12, 79) == "  00:10  ◐ Setup started  0:02  ~18 s left  (usually 0:20 ± 0:09)"
    assert story.live(60, 79) == "  00:10  ◐ Setup started  0:50  (usually 0:20 ± 0:09)"


def test_a_stage_that_was_inferred_and_is_then_reported() -> None:
    moments: list[Told] = [
        STARTED,
        ("stage", {"stage": "setup", "elapsed": 10, "origin": "inferred"}),
        ("stage", {"stage": "setup", "elapsed": 12, "origin": "reported"}),
        ("stage", {"stage": "answers", "elapsed": 20, "origin": "reported"}),
    ]
    _, lines = told(moments, live=True, width=80)
    assert lines[1].split() == ["00:10", "●", "Setup", "started,", "0:10", "reported"]


def test_without_a_terminal_the_report_behind_a_guess_is_told() -> None:
    moments: list[Told] = [
        STARTED,
        ("stage", {"stage": "setup", "elapsed": 10, "origin": "inferred"}),
        ("stage", {"stage": "setup", "elapsed": 12, "origin": "reported"}),
        ("stage", {"stage": "setup", "elapsed": 13, "origin": "reported"}),
    ]
    _, lines = told(moments, live=False, width=None)
    assert [line.split() for line in lines[1:]] == [
        ["00:10", "●", "Setup", "started", "inferred"],
        ["00:12", "·", "Setup", "started:", "now", "the", "guest", "says", "so", "reported"],
    ]


def test_time_never_goes_backwards_on_a_terminal() -> None:
    """A stage is printed when it ends, with the time when it began; a restart waits for that."""
    moments: list[Told] = [
        STARTED,
        ("stage", {"stage": "image", "elapsed": 28, "origin": "reported"}),
        ("reboot", {"elapsed": 40, "origin": "inferred"}),
        ("stage", {"stage": "first-boot", "elapsed": 41, "origin": "inferred"}),
        ("reboot", {"elapsed": 50, "origin": "inferred"}),
    ]
    story, lines = told(moments, live=True, width=80)
    lines += story.close(80)
    assert [line.split()[0] for line in lines] == ["00:00", "00:28", "00:40", "00:41", "00:50"]


def test_words_of_a_guest_make_no_line_of_their_own() -> None:
    hostile: Told = ("stage", {"stage": "x\n  00:00  ✔ ready", "elapsed": 2, "origin": "reported"})
    _, lines = told(
        [STARTED, hostile, ("stage", {"stage": "y", "elapsed": 3})], live=True, width=80
    )
    assert len(lines) == 2 and not any("\n" in line for line in lines)
    assert "\n" not in told([STARTED, hostile], live=True, width=80)[0].live(5, 79)


def test_the_ends() -> None:
    stalled: Told = (
        "stalled",
        {
            "stage": "image",
            "seconds": 372,
            "looked_at": ["disc reads", "the screen"],
            "elapsed": 500,
        },
    )
    story, lines = told([*INSTALLATION, stalled], live=True, width=120)
    assert lines[-1].strip() == (
        '08:20  ✘ stalled: no progress for 6:12 in "applying the image" (disc reads, the screen)'
    )
    assert story.live(501, 79) == ""
    steps: list[Told] = [
        STARTED,
        ("step", {"name": "runtime", "state": "start", "elapsed": 5}),
        ("output", {"step": "runtime", "stream": "stdout", "text": "hello", "elapsed": 5}),
        ("step", {"name": "runtime", "state": "retry", "exit_code": 1618, "elapsed": 6}),
        ("step", {"name": "runtime", "state": "start", "attempt": 2, "elapsed": 7}),
        ("step", {"name": "runtime", "state": "end", "exit_code": 0, "elapsed": 9}),
        ("step", {"name": "other", "state": "skip", "elapsed": 9}),
        ("gap", {"reason": "libvirt did not answer", "seconds": 65, "elapsed": 80}),
        ("ready", {"elapsed": 90, "origin": "reported"}),
    ]
    _, lines = told(steps, live=False, width=None)
    assert [line.split(maxsplit=2)[2].removesuffix("reported").rstrip() for line in lines[1:]] == [
        "step runtime",
        "runtime: hello",
        "step runtime exited 1618, 0:01; once more",
        "step runtime, attempt 2",
        "step runtime exited 0, 0:02",
        "step other skipped",
        "gap: libvirt did not answer for 1:05",
        "the guest says it is ready",
    ]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)
MEMBERS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("stage", "elapsed", "done", "total", "rate", "usual", "usual_total", "seconds",
                     "disks", "drivers", "path", "name", "state", "exit_code", "attempt", "reason",
                     "looked_at", "message", "outcome", "origin", "system", "text"),
        ANYTHING,
    ),
)  # fmt: skip
EVENTS = st.sampled_from(
    ["started", "stage", "detail", "progress", "step", "output", "result", "ready",
     "failed", "stalled", "ended", "gap", "reboot", "agent", "warning", "screen", "ejected",
     "unheard of"]
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(EVENTS, MEMBERS), max_size=8), st.sampled_from([15, 79, None]))
def test_whatever_is_recorded_can_be_shown(moments: list[Told], width: int | None) -> None:
    story = Story(live=width is not None)
    for event, members in moments:
        for line in story.take(event, members, width):
            wrapped(line, width or 80)
        drawn = [story.live(50, width or 79), *story.tail(width or 79)]
        assert all(cells(line) <= (width or 79) and "\n" not in line for line in drawn)


@pytest.mark.parametrize("columns", [20, 80])
def test_in_a_real_terminal(columns: int) -> None:
    """What stands there at the end: nothing of the redrawn line is left over, nothing wraps."""
    lines = screen_of(INSTALLATION, columns=columns, until=200)
    assert all(cells(line) <= columns for line in lines)
    last = lines[-1]
    assert "61 %" in last
    assert sum("image" in line for line in lines) == (1 if columns == 80 else 0)
    text = " ".join(" ".join(lines).split())
    assert "Setup found our answers" in text and "inferred" in text


STEPS: tuple[Told, ...] = (
    STARTED,
    ("stage", {"stage": "steps", "elapsed": 5, "origin": "reported"}),
    ("step", {"name": "runtime", "number": 1, "state": "start", "elapsed": 5}),
    *(
        ("output", {"step": "runtime", "stream": "stdout", "text": f"file {n} is unpacked\t{n} %"})
        for n in range(1, 31)
    ),
)  # fmt: skip
FAILED: tuple[Told, ...] = (
    ("step", {"name": "runtime", "state": "end", "exit_code": 5, "elapsed": 9}),
    ("failed", {"stage": "steps", "message": "step 'runtime' exited 5", "elapsed": 9}),
)


@pytest.mark.parametrize(
    ("columns", "rows", "shown"), [(80, 40, 4), (80, 4, 2), (80, 2, 0), (20, 40, 2)]
)
def test_a_step_writes_under_the_running_line(columns: int, rows: int, shown: int) -> None:
    """Its last lines only, and nothing of them is left when the next thing happens."""
    lines = screen_of(STEPS, columns=columns, rows=rows, until=12)
    assert all(cells(line) < columns for line in lines[-shown - 1 :])
    running, *tail = [line for line in lines if "00:00" not in line][-shown - 1 :]
    assert "step runt" in running and ("0:07" if columns == 80 else "00:12") in running
    assert [line.split()[1] for line in tail] == [str(n) for n in range(31 - shown, 31)]
    assert sum("file" in line for line in lines) == shown

    ended = screen_of([*STEPS, FAILED[0]], columns=columns, rows=rows, until=12)
    text = " ".join(" ".join(ended).split())
    assert "step runtime exited 5" in text and "file" not in text
    assert "running the steps" in text or columns == 20, "the stage goes on"


@pytest.mark.parametrize("columns", [80, 20])
def test_what_a_failed_step_wrote_last_stays(columns: int) -> None:
    lines = screen_of([*STEPS, *FAILED], columns=columns, until=12)
    assert sum("failed:" in line for line in lines) == 1
    kept = [line for line in lines if line.startswith("  | file")]
    assert [line.split()[2] for line in kept] == [str(n) for n in range(11, 31)]


def test_a_terminal_that_is_made_narrower() -> None:
    """What was drawn wraps then, and is wiped all the same."""
    master, slave = pty.openpty()
    now = [0.0]
    with os.fdopen(slave, "w", encoding="utf-8") as stream:

        def wide(columns: int) -> None:
            fcntl.ioctl(stream, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))

        console = TerminalConsole(
            out=io.StringIO(), err=stream, allowed=False, clock=lambda: now[0]
        )
        wide(60)
        for event, members in STEPS:
            console.moment(event, members)
        console.pulse(12)
        wide(30)
        console.say("next")
    told_there = everything_from(master).decode().replace("\r\n", "\n")
    drawn, _, wiped = told_there.rpartition("\x1b[K")[2].partition("\x1b")
    lines = drawn.split("\n")
    assert len(lines) == 5 and max(map(cells, lines)) > 30
    rows = sum(-(-cells(line) // 30) for line in lines)
    assert wiped == f"[{rows - 1}A\r\x1b[Jnext\n"


def test_without_a_terminal_what_a_step_writes_is_told_line_by_line() -> None:
    _, lines = told([*STEPS[:4], *FAILED], live=False, width=None)
    assert lines[3].split(maxsplit=2)[2] == "runtime: file 1 is unpacked 1 %"
    assert lines[-1] == "  | file 1 is unpacked 1 %"
    given: Told = ("result", {"step": "runtime", "name": "version", "text": "24.9"})
    _, lines = told([STARTED, given], live=False, width=None)
    assert lines[-1].endswith("runtime: version = 24.9")


def test_json_is_one_event_per_line() -> None:
    out = io.StringIO()
    told_to = TerminalConsole(out=out, err=io.StringIO(), as_json=True)
    for event, members in (*INSTALLATION, *STEPS):
        told_to.moment(event, members)
        told_to.pulse(5)
    events = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(e["event"], e.get("elapsed"), e.get("text")) for e in events] == [
        (e, m.get("elapsed"), m.get("text")) for e, m in (*INSTALLATION, *STEPS)
    ]


def test_a_terminal_without_these_characters() -> None:
    master, slave = pty.openpty()
    with os.fdopen(slave, "w", encoding="ascii") as stream:
        told_to = TerminalConsole(out=io.StringIO(), err=stream, allowed=False)
        for event, members in INSTALLATION[:3]:
            told_to.moment(event, members)
    written = everything_from(master).decode("ascii")
    assert "* firmware" in written and "\\u" not in written
