"""What a person sees at 80 and at 20 columns, on a pipe, and while something lasts."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from provisioner.cli import layout
from provisioner.cli.console import TerminalConsole
from provisioner.cli.progress import Transfer
from provisioner.errors import Place, Problem, UsageError
from tests.unit.cli.program import Home, plain

MIB = 2**20
GIB = 2**30

HEAVY = ("pydantic", "jinja2", "yaml", "pycdlib", "libvirt", "rich", "argcomplete", "babel")


class Screen(io.StringIO):
    """A terminal that cannot tell its width, which then counts as 80."""

    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


# Layout.


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("short", 20, ["short"]),
        ("one two three four five", 12, ["one two", "  three four", "  five"]),
        ("  disc    a b c d e f g", 20, ["  disc    a b c d e", "          f g"]),
        ("  answer disc   6 files, all", 20, ["  answer disc 6", "    files, all"]),
        ("/a/long/path/to/the/file is gone", 20, ["/a/long/path/to/the/file", "  is gone"]),
        ("日本語 日本語 日本語", 14, ["日本語 日本語", "  日本語"]),
        ("a\nb", 20, ["a", "b"]),
        ("", 20, [""]),
        (" " * 30, 20, [""]),
    ],
)  # fmt: skip
def test_wrapping(text: str, width: int, lines: list[str]) -> None:
    found = layout.wrapped(text, width)
    assert [line.rstrip() for line in found] == lines


def test_styles_take_no_room() -> None:
    assert layout.cells("\x1b[31merror:\x1b[0m x") == len("error: x")
    assert layout.cells("é") == layout.cells("e\u0301") == 1


def test_a_table_falls_apart_where_it_does_not_fit() -> None:
    rows = [("dev11", "ready", "qemu:///system"), ("x", "failed", "")]
    assert layout.table(rows, None) == ["dev11  ready   qemu:///system", "x      failed"]
    assert layout.table(rows, 20) == ["dev11", "  ready", "  qemu:///system", "x", "  failed"]
    assert layout.table([], 20) == []


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 KiB"), (1536, "1.5 KiB"), (92 * MIB, "92 MiB"),
     (5.1 * GIB, "5.1 GiB"), (9.97 * GIB, "10 GiB"), (3 * 2**40, "3.0 TiB")],
)  # fmt: skip
def test_amounts(count: float, text: str) -> None:
    assert layout.amount(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (27.4, "0:27"), (59.6, "1:00"), (3723, "1:02:03")]
)
def test_durations(seconds: float, text: str) -> None:
    assert layout.duration(seconds) == text


# Progress.


def transfer(*, seconds: float = 10, done: int = GIB, total: int | None = 5 * GIB) -> Transfer:
    made = Transfer("writing the disc", now=0)
    for second in range(int(seconds) + 1):
        made.update(int(done * second / seconds), total, now=float(second))
    return made


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (79, "  writing the disc  ████░░░░░░░░░░░░░░░░░░░░   20 %  102 MiB/s  0:40 left"),
        (50, "  writing the disc  █░░░░░░░░   20 %  0:40 left"),
        (33, "  writing the disc  █░░░░   20 %"),
        (26, "  writing the disc   20 %"),
        (19, "  writing t…   20 %"),
    ],
)
def test_a_bar_fits_every_width(width: int, line: str) -> None:
    shown = transfer().line(width)
    assert layout.cells(shown) <= width
    assert re.sub("[█░]+", "▒", shown) == re.sub("[█░]+", "▒", line) or width == 33


@pytest.mark.parametrize("total", [5 * GIB, None])
def test_no_width_is_too_small(total: int | None) -> None:
    for width in range(1, 100):
        assert layout.cells(transfer(total=total).line(width)) <= width


def test_the_rate_is_that_of_the_last_seconds() -> None:
    made = Transfer("x", now=0)
    for second in range(30):
        made.update(
            second * MIB if second < 15 else (15 + (second - 15) * 50) * MIB, None, now=second
        )
    assert made.rate() == pytest.approx(50 * MIB)


def test_a_resumed_transfer_is_not_faster_than_it_is() -> None:
    made = Transfer("x", now=0)
    made.update(4 * GIB, 5 * GIB, now=0)
    made.update(4 * GIB + 10 * MIB, 5 * GIB, now=1)
    assert made.rate() == pytest.approx(10 * MIB)


def run_transfer(console: TerminalConsole, clock: Clock, *, seconds: float) -> None:
    steps = int(seconds * 10)
    for step in range(steps + 1):
        clock.now = step / 10
        console.progress("copying", step * MIB, steps * MIB)


def test_progress_on_a_terminal() -> None:
    clock, err = Clock(), Screen()
    console = TerminalConsole(out=io.StringIO(), err=err, clock=clock)
    run_transfer(console, clock, seconds=5)
    drawn = err.getvalue().split("\r\x1b[K")
    assert drawn[0] == ""
    assert 10 <= len(drawn) <= 20  # not before a second, then four times a second
    assert all(layout.cells(line) <= 79 and "\n" not in line for line in drawn[1:-1])
    assert "10 MiB/s" in drawn[5] and "left" in drawn[5]
    assert drawn[-1] == "  copying  50 MiB in 0:05 (10 MiB/s)\n"


def test_progress_on_a_pipe_is_one_line() -> None:
    clock, err = Clock(), io.StringIO()
    run_transfer(TerminalConsole(out=io.StringIO(), err=err, clock=clock), clock, seconds=5)
    assert err.getvalue() == "  copying  50 MiB in 0:05 (10 MiB/s)\n"


def test_progress_as_json_is_one_event() -> None:
    clock, out, err = Clock(), io.StringIO(), Screen()
    run_transfer(TerminalConsole(out=out, err=err, clock=clock, as_json=True), clock, seconds=5)
    assert json.loads(out.getvalue()) == {
        "event": "progress", "label": "copying", "bytes": 50 * MIB, "seconds": 5.0,
    }  # fmt: skip
    assert err.getvalue() == ""


@pytest.mark.parametrize("err", [Screen(), io.StringIO()])
def test_what_is_quick_leaves_no_line(err: io.StringIO) -> None:
    clock = Clock()
    run_transfer(TerminalConsole(out=io.StringIO(), err=err, clock=clock), clock, seconds=0.8)
    assert err.getvalue() == ""


def test_a_line_of_the_story_wipes_the_bar() -> None:
    clock, err = Clock(), Screen()
    console = TerminalConsole(out=io.StringIO(), err=err, clock=clock)
    for second in range(3):
        clock.now = second
        console.progress("copying", second * MIB, 9 * MIB)
    console.say("hello")
    assert err.getvalue().endswith("\r\x1b[Khello\n")


def test_a_terminal_that_cannot_go_back_gets_no_bar() -> None:
    clock, err = Clock(), Screen()
    console = TerminalConsole(out=io.StringIO(), err=err, clock=clock, moving=False)
    run_transfer(console, clock, seconds=5)
    assert "\x1b" not in err.getvalue()


# Streams.


def test_another_encoding_is_no_failure() -> None:
    raw = io.BytesIO()
    err = io.TextIOWrapper(raw, encoding="latin-1")
    console = TerminalConsole(out=err, err=err)
    console.say("✔ ready, naïve")
    console.result("\udcff")
    err.flush()
    assert raw.getvalue() == b"\\u2714 ready, na\xefve\n\\ufffd\n"


def test_what_others_said_cannot_steer_the_terminal() -> None:
    out, err = io.StringIO(), Screen()
    console = TerminalConsole(out=out, err=err, colour=True)
    console.say("a\x1b[2Jb\rc")
    console.result("name\x1b]0;title\x07", heading="x\x1b[2J")
    assert err.getvalue() == "a\ufffd[2Jb\ufffdc\n"
    assert out.getvalue() == "\x1b[1mx\ufffd[2J\x1b[0mname\ufffd]0;title\ufffd\n"


@pytest.mark.parametrize(
    ("colour", "allowed", "terminal", "painted"),
    [(None, True, True, True), (None, False, True, False), (None, True, False, False),
     (True, False, False, True), (False, True, True, False)],
)  # fmt: skip
def test_colour(colour: bool | None, allowed: bool, terminal: bool, painted: bool) -> None:
    err = Screen() if terminal else io.StringIO()
    console = TerminalConsole(out=io.StringIO(), err=err, colour=colour, allowed=allowed)
    console.error(UsageError("no"))
    assert ("\x1b[31m" in err.getvalue()) is painted


def test_the_caret_stays_under_its_word(home: Home) -> None:
    line = "    keyboard: " + "x" * 60 + " de-GE and more"
    at = line.index("de-GE") + 1
    place = Place(file="a.yaml", line=7, column=at, length=5, source=line)
    problem = Problem(message="unknown", rule="r", place=place)
    wide, narrow = io.StringIO(), Screen()
    TerminalConsole(out=io.StringIO(), err=wide).problems([problem])
    TerminalConsole(out=io.StringIO(), err=narrow, colour=False).problems([problem])
    for text in (wide.getvalue(), narrow.getvalue()):
        _, source, caret = text.splitlines()
        assert source[caret.index("^") :].startswith("de-GE") and caret.endswith("^" * 5)
    assert line in wide.getvalue()
    assert max(len(row) for row in narrow.getvalue().splitlines()) <= 80


# The whole program.

BROKEN = """\
kind: machine
name: a
windows: {product: windows-11, users: [{name: dev, passwort: {generate: 20}}], owner: me}
"""


@pytest.mark.parametrize("columns", [80, 20])
def test_findings_on_a_terminal(home: Home, columns: int) -> None:
    (home.work / "a.yaml").write_text(BROKEN)
    code, screen = home.on_terminal("check", "a.yaml", columns=columns)
    assert code == 2
    assert "\x1b[31m" in screen
    words = plain(screen)
    for line in words.splitlines():
        assert layout.cells(line) <= columns or " " not in line.strip(), line
    shown = [line for line in words.splitlines() if re.match(r"^ +3? +\|", line)]
    for source, caret, word in ((*shown[:2], "{name: de"), (*shown[2:], "passwort")):
        assert source[caret.index("^") :].startswith(word[: caret.count("^")])
    assert "a.yaml:3:52:" in words


@pytest.mark.parametrize("columns", [80, 20])
def test_no_colour(home: Home, columns: int) -> None:
    (home.work / "a.yaml").write_text(BROKEN)
    home.variables["NO_COLOR"] = "1"
    assert "\x1b" not in home.on_terminal("check", "a.yaml", columns=columns)[1]
    assert "\x1b[31m" in home.on_terminal("check", "a.yaml", "--colour", "always")[1]


def test_nothing_is_wrapped_or_coloured_on_a_pipe(home: Home) -> None:
    (home.work / "a.yaml").write_text(BROKEN)
    done = home.run("check", "a.yaml")
    assert "\x1b" not in done.stderr
    assert BROKEN.splitlines()[2] in done.stderr


@pytest.mark.parametrize("columns", [80, 20])
def test_help_fits(home: Home, columns: int) -> None:
    for command in ([], ["up"], ["drive", "attach"]):
        code, screen = home.on_terminal(*command, "--help", columns=columns)
        assert code == 0
        if columns == 80:
            assert max(map(len, screen.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["chek"], "invalid choice: 'chek'", "did you mean 'check'?"),
        (["up"], "required: PROFILE", "see `provisioner up --help`"),
        (["up", "x", "--replac"], "unrecognized arguments: --replac", "provisioner"),
        (["drive", "atach", "a", "b"], "invalid choice: 'atach'", "did you mean 'attach'?"),
        ([], "required: COMMAND", "see `provisioner --help`"),
        (["down", "x", "--within", "soon"], "invalid float value: 'soon'", "provisioner down"),
        (["up", "x", "--media", "install"], "give it as KIND=FILE", ""),
    ],
)
def test_usage_errors_as_json(home: Home, arguments: list[str], message: str, hint: str) -> None:
    done = home.run(*arguments, "--json")
    assert (done.returncode, done.stderr) == (2, "")
    [event] = [json.loads(line) for line in done.stdout.splitlines()]
    assert (event["event"], event["type"], event["exit_code"]) == ("error", "UsageError", 2)
    assert message in event["message"]
    assert hint in (event["hint"] or "")


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; from provisioner.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted(m for m in sys.modules if m.partition('.')[0] in sys.argv[1:]))"
    )
    done = subprocess.run(
        (sys.executable, "-c", script, *HEAVY),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert done.stdout.splitlines()[-1] == "[]"
