"""The stand-in's runner of steps, by the rules of docs/steps.md; the numbers in all three."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.standin.setup import steps as implementation
from tests.standin.setup.simulated import SimulatedPrograms
from tests.standin.setup.steps import Restart, Runner, StepFailed

PROJECT = Path(__file__).resolve().parents[2]
SPECIFICATION = (PROJECT / "docs/steps.md").read_text()
POWERSHELL = (PROJECT / "templates/windows/scripts/steps.ps1.j2").read_text()


@dataclass
class Guest:
    """A guest's disk, and what it said."""

    folder: Path
    said: list[Mapping[str, Any]] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    disk: str = "{}"
    listed: list[dict[str, Any]] = field(default_factory=list)

    def load(self) -> dict[str, Any] | None:
        return json.loads(self.disk).get("state")  # type: ignore[no-any-return]

    def save(self, state: Mapping[str, Any]) -> None:
        self.disk = json.dumps({**json.loads(self.disk), "state": state})

    def step(self, *marks: str, **members: Any) -> dict[str, Any]:
        number = len(self.listed) + 1
        file = f"{number:02}.cmd"
        (self.folder / file).write_text("".join(f"rem standin: {mark}\n" for mark in marks))
        step = {
            "number": number,
            "name": f"s{number}",
            "file": file,
            "run_as": "user",
            "exit_codes": [0],
            "seconds": 60,
            "retries": 0,
            "outputs": [],
            **members,
        }
        if "restart" in members:
            step = {key: step[key] for key in ("number", "name", "restart")}
        self.listed.append(step)
        return step

    def condition(self, text: str) -> str:
        (self.folder / "if.cmd").write_text(text)
        return "if.cmd"

    def boot(self) -> str:
        """One start of the machine: `done`, `restart`, or why a step failed."""
        memory = json.loads(self.disk).get("memory", {})

        def remember() -> None:
            self.disk = json.dumps({**json.loads(self.disk), "memory": memory})

        programs = SimulatedPrograms(
            folder=self.folder, memory=memory, remember=remember, sleep=self.slept.append
        )
        try:
            Runner(
                steps=self.listed,
                programs=programs,
                store=self,
                send=self.said.append,
                sleep=self.slept.append,
            ).run()
        except Restart:
            return "restart"
        except StepFailed as failed:
            return str(failed)
        return "done"

    @property
    def told(self) -> list[str]:
        """The `step` events in short: `s1 end 0 #1`."""
        short = []
        for event in self.said:
            if event["event"] == "step":
                words = [event["name"], event["state"]]
                words += [str(event["exit_code"])] if "exit_code" in event else []
                words += [f"#{event['attempt']}"] if "attempt" in event else []
                short.append(" ".join(words))
        return short


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    return Guest(tmp_path)


def test_in_order_and_once(guest: Guest) -> None:
    guest.step("out hello", "err oh")
    guest.step()
    assert guest.boot() == "done"
    assert guest.told == ["s1 start #1", "s1 end 0 #1", "s2 start #1", "s2 end 0 #1"]
    assert [(e["stream"], e["text"]) for e in guest.said if e["event"] == "output"] == [
        ("stdout", "hello"),
        ("stderr", "oh"),
        ("stdout", "stand-in: 02.cmd is not run here"),
    ]
    guest.said.clear()
    assert guest.boot() == "done"
    assert guest.told == []


def test_a_start_says_how_long_the_attempt_may_take(guest: Guest) -> None:
    guest.step(restart="always")
    guest.step("exit 5 0", retries=1, seconds=90)
    assert [guest.boot(), guest.boot()] == ["restart", "done"]
    starts = [event.get("timeout") for event in guest.said if event.get("state") == "start"]
    assert starts == [None, 90, 90]


def test_restarts_between_steps(guest: Guest) -> None:
    guest.step("exit 3010", exit_codes=[0, 3010])
    guest.step(restart="needed")
    guest.step(restart="needed")
    guest.step(restart="always")
    guest.step("exit 1641", exit_codes=[1641])
    guest.step(restart="needed")
    assert [guest.boot() for _ in range(4)] == ["restart", "restart", "restart", "done"]
    assert guest.told == [
        *("s1 start #1", "s1 end 3010 #1", "s2 start #1", "s2 end 0 #1"),
        *("s3 skip", "s4 start #1", "s4 end 0 #1", "s5 start #1", "s5 end 1641 #1", "s6 skip"),
    ]


def test_the_first_failure_stops_and_a_restart_runs_it_again(guest: Guest) -> None:
    guest.step()
    guest.step("exit 7 0")
    guest.step()
    assert guest.boot() == "step 's2' exited 7"
    assert guest.told == ["s1 start #1", "s1 end 0 #1", "s2 start #1", "s2 end 7 #1"]
    guest.said.clear()
    assert guest.boot() == "done"
    assert guest.told == ["s2 start #1", "s2 end 0 #1", "s3 start #1", "s3 end 0 #1"]


def test_retries_and_the_time_limit(guest: Guest) -> None:
    guest.step("exit 5 6 0", retries=2)
    guest.step("hang", seconds=30, retries=1)
    assert guest.boot() == "step 's2' was ended after 30 s"
    assert guest.told[:4] == ["s1 start #1", "s1 retry 5 #1", "s1 start #2", "s1 retry 6 #2"]
    assert guest.told[-3:] == ["s2 retry 258 #1", "s2 start #2", "s2 end 258 #2"]
    assert guest.slept.count(implementation.PAUSE) == 3


def test_258_can_be_accepted(guest: Guest) -> None:
    guest.step("hang", seconds=30, exit_codes=[258])
    assert guest.boot() == "done"


def test_a_step_that_is_cut_off_runs_again_three_times_at_most(guest: Guest) -> None:
    guest.step("restart 2")
    guest.step("restart 9")
    assert [guest.boot() for _ in range(6)] == ["restart"] * 5 + [
        "step 's2' was cut off three times by a restart of the machine"
    ]
    assert guest.told == [
        *("s1 start #1", "s1 start #1", "s1 start #1", "s1 end 0 #1"),
        *("s2 start #1", "s2 start #1", "s2 start #1"),
    ]
    assert guest.boot() == "restart", "once told, it is tried anew"


def test_conditions(guest: Guest) -> None:
    guest.step("write C:\\x y")
    there = guest.condition('@if exist "C:\\x" exit /b 0\n@exit /b 1\n')
    guest.step(condition=there)
    guest.step(condition="no.cmd")
    (guest.folder / "no.cmd").write_text('@if not exist "C:\\x" exit /b 0\n@exit /b 1\n')
    guest.step(condition="bad.cmd")
    (guest.folder / "bad.cmd").write_text("rem standin: exit 2\n")
    assert guest.boot() == "the condition of step 's4' exited 2"
    assert guest.told[2:] == ["s2 start #1", "s2 end 0 #1", "s3 skip", "s4 end 2 #0"]


def test_a_half_done_step_is_not_skipped_by_its_own_condition(guest: Guest) -> None:
    missing = guest.condition('@if not exist "C:\\x" exit /b 0\n@exit /b 1\n')
    guest.step("write C:\\x y", "restart", condition=missing)
    assert (guest.boot(), guest.boot()) == ("restart", "done")
    assert guest.told == ["s1 start #1", "s1 start #1", "s1 end 0 #1"]


def test_outputs(guest: Guest) -> None:
    files = [{"name": "version", "file": "C:\\v"}, {"name": "none", "file": "C:\\n"}]
    guest.step(f"write C:\\v {'1' * 1200}", outputs=files)
    assert guest.boot() == "done"
    kinds = [event["event"] for event in guest.said]
    assert kinds == ["step", "result", "warning", "step"]
    assert guest.said[1]["text"] == "1" * 1000


def test_a_powershell_step_says_what_it_is_in_its_script(guest: Guest) -> None:
    """The batch file calls the script beside it, which may begin with a byte-order mark."""
    guest.step()
    (guest.folder / "01.cmd").write_bytes(b"@powershell.exe -Command \"& '%~dp001-a.ps1'\"\r\n")
    script = "\ufeff# standin: out Grüße\r\n# standin: exit 4\r\n"
    (guest.folder / "01-a.ps1").write_bytes(script.encode())
    assert guest.boot() == "step 's1' exited 4"
    assert [e["text"] for e in guest.said if e["event"] == "output"] == ["Grüße"]


def test_long_lines_and_many_lines(guest: Guest) -> None:
    guest.step(f"out {'x' * 2500}", "out 1 %\r2 %\r100 %", "lines 3000")
    assert guest.boot() == "done"
    texts = [event["text"] for event in guest.said if event["event"] == "output"]
    assert [len(text) for text in texts[:3]] == [1000, 1000, 500]
    assert texts[3:5] == ["100 %", "line 1"]
    assert len(texts) <= 1000 + 1 + 40
    assert texts[1000].startswith("... ")


@pytest.mark.parametrize("crash", range(1, 14))
def test_a_power_failure_at_any_moment(guest: Guest, crash: int) -> None:
    """Whatever write to the disk is the last: every step ends once, in order, and none is lost."""
    guest.step()
    guest.step("exit 3010", exit_codes=[3010])
    guest.step(restart="needed")
    guest.step(retries=1)
    left, save = crash, guest.save

    def dying(state: Mapping[str, Any]) -> None:
        nonlocal left
        left -= 1
        save(state)
        if left == 0:
            raise Restart

    guest.save = dying  # type: ignore[method-assign]
    assert "done" in [guest.boot() for _ in range(4)]
    ended = [line.split()[0] for line in guest.told if " end " in line]
    assert ended == sorted(set(ended)), "no step ends twice"
    state = guest.load()
    assert state is not None and state["next"] == 5


def numbers() -> dict[str, int]:
    rows = re.findall(r"^\| ([a-z ]+) \| ([0-9]+) \|", SPECIFICATION, re.MULTILINE)
    return {name.strip(): int(value) for name, value in rows}


def test_the_numbers_are_those_of_the_specification() -> None:
    assert numbers() == {
        "timed out": implementation.TIMED_OUT,
        "restart wanted": implementation.RESTART_WANTED,
        "restart begun": implementation.RESTART_BEGUN,
        "condition seconds": implementation.CONDITION_SECONDS,
        "pause": implementation.PAUSE,
        "cut off": implementation.CUT_OFF,
        "piece": implementation.PIECE,
        "most": implementation.MOST,
        "last": implementation.LAST,
    }


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("timed out", "$code = {}\n"),
        ("restart wanted", "$code -eq {})"),
        ("restart begun", "$code -eq {})"),
        ("condition seconds", "$step.condition {} 1"),
        ("pause", "Start-Sleep -Seconds {}\n"),
        ("cut off", "$State.begun -ge {})"),
        ("piece", "[Math]::Min({}, "),
        ("most", "Most = {};"),
    ],
)
def test_the_other_implementation_has_them_too(name: str, where: str) -> None:
    assert where.format(numbers()[name]) in POWERSHELL


def test_the_other_implementation_says_the_same() -> None:
    """Events, members, states and messages that the page names stand in both sources."""
    source = Path(implementation.__file__).read_text()
    for word in (
        "skip",
        "start",
        "retry",
        "end",
        "output",
        "result",
        "exit_code",
        "attempt",
        "timeout",
    ):
        assert f"'{word}'" in POWERSHELL or f" {word} =" in POWERSHELL, word
        assert f'"{word}"' in source or f"{word}=" in source, word
    for words in (
        "was cut off three times by a restart of the machine",
        "the condition of step '",
        "was ended after ",
        " left no ",
    ):
        assert words in POWERSHELL and words in source, words
