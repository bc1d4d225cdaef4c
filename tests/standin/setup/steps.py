"""Carries out the steps of an answer disc as docs/steps.md specifies them.

Written from that page, as the other implementation beside the one in PowerShell. What a step would
run is simulated (`simulated.py`); the machine's restarts are real.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

TIMED_OUT = 258
RESTART_WANTED = 3010
RESTART_BEGUN = 1641
CONDITION_SECONDS = 300
PAUSE = 10
CUT_OFF = 3
PIECE = 1000
MOST = 1000
LAST = 40
TAIL = 4000
"""Bytes of a stream's end that `LAST` is taken from."""

FIRST_STATE = {"next": 1, "begun": 0, "wanted": False}


class StepFailed(Exception):
    """A step failed; the message is that of the `failed` event."""


class Restart(Exception):
    """Windows restarts now."""


class Programs(Protocol):
    """What runs a step's batch file."""

    def run(self, file: str, seconds: int, heard: Callable[[str, str], None]) -> int:
        """The exit code, or TIMED_OUT; `heard` is told (stream, text) as it comes."""

    def text_of(self, path: str) -> str | None:
        """A file of the guest, for outputs."""


class State(Protocol):
    """What survives a restart."""

    def load(self) -> dict[str, Any] | None:
        """What was saved, or None."""

    def save(self, state: Mapping[str, Any]) -> None:
        """Durable when it returns."""


@dataclass(kw_only=True)
class Runner:
    """One start of the runner: until all is done, a step fails or the machine restarts."""

    steps: Sequence[Mapping[str, Any]]
    programs: Programs
    store: State
    send: Callable[[Mapping[str, Any]], None]
    sleep: Callable[[float], None]
    state: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.state = self.store.load() or dict(FIRST_STATE)
        self.store.save(self.state)

    def run(self) -> None:
        """Raises StepFailed or Restart."""
        while (number := self.state["next"]) <= len(self.steps):
            step = self.steps[number - 1]
            if not self._wanted(step):
                self._complete()
                self._report(step, "skip")
            elif "restart" in step:
                self._report(step, "start", attempt=1)
                self.state["wanted"] = False
                self._complete()
                self._report(step, "end", exit_code=0, attempt=1)
                raise Restart
            else:
                self._attempts(step)

    def _wanted(self, step: Mapping[str, Any]) -> bool:
        """Whether the step is run: its condition first, then whether a restart is needed."""
        if "condition" in step and self.state["begun"] == 0:
            code = self._run(step, step["condition"], CONDITION_SECONDS)
            if code not in (0, 1):
                self._report(step, "end", exit_code=code, attempt=0)
                raise StepFailed(f"the condition of step '{step['name']}' exited {code}")
            if code == 1:
                return False
        return step.get("restart") != "needed" or bool(self.state["wanted"])

    def _attempts(self, step: Mapping[str, Any]) -> None:
        name = step["name"]
        if self.state["begun"] >= CUT_OFF:
            self._save(begun=0)
            raise StepFailed(f"step '{name}' was cut off three times by a restart of the machine")
        for attempt in range(1, step["retries"] + 2):
            self._save(begun=self.state["begun"] + 1)
            self._report(step, "start", attempt=attempt, timeout=step["seconds"])
            code = self._run(step, step["file"], step["seconds"])
            if code in step["exit_codes"]:
                self._succeeded(step, code, attempt)
                return
            self._save(begun=0)
            if attempt <= step["retries"]:
                self._report(step, "retry", exit_code=code, attempt=attempt)
                self.sleep(PAUSE)
            else:
                self._report(step, "end", exit_code=code, attempt=attempt)
                late = f"was ended after {step['seconds']} s"
                raise StepFailed(f"step '{name}' {late if code == TIMED_OUT else f'exited {code}'}")

    def _succeeded(self, step: Mapping[str, Any], code: int, attempt: int) -> None:
        if code in (RESTART_WANTED, RESTART_BEGUN):
            self.state["wanted"] = code == RESTART_WANTED
        self._complete()
        for output in step["outputs"]:
            text = self.programs.text_of(output["file"])
            if text is None:
                message = f"step '{step['name']}' left no {output['file']}"
                self.send({"event": "warning", "stage": "steps", "message": message})
            else:
                named = {"step": step["name"], "name": output["name"]}
                self.send({"event": "result", **named, "text": text[:PIECE].rstrip()})
        self._report(step, "end", exit_code=code, attempt=attempt)
        if code == RESTART_BEGUN:
            raise Restart

    def _run(self, step: Mapping[str, Any], file: str, seconds: int) -> int:
        streams = {
            name: _Stream(step=step["name"], name=name, send=self.send)
            for name in ("stdout", "stderr")
        }
        code = self.programs.run(file, seconds, lambda name, text: streams[name].hear(text))
        for stream in streams.values():
            stream.end()
        return code

    def _complete(self) -> None:
        self._save(next=self.state["next"] + 1, begun=0)

    def _save(self, **changes: Any) -> None:
        self.state.update(changes)
        self.store.save(self.state)

    def _report(self, step: Mapping[str, Any], state: str, **more: Any) -> None:
        named = {"name": step["name"], "number": step["number"]}
        self.send({"event": "step", **named, "state": state, **more})


@dataclass(kw_only=True)
class _Stream:
    """One of the two streams of an attempt, reported as it comes."""

    step: str
    name: str
    send: Callable[[Mapping[str, Any]], None]
    unfinished: str = ""
    sent: int = 0
    kept: str = ""
    """What was not reported, as far as its end may still be."""

    def hear(self, text: str) -> None:
        *lines, self.unfinished = (self.unfinished + text).split("\n")
        for line in lines:
            self._line(line + "\n")
        if len(self.unfinished) > PIECE:
            self._line(self.unfinished)
            self.unfinished = ""

    def end(self) -> None:
        if self.unfinished:
            self._line(self.unfinished)
        if self.sent >= MOST and self.kept:
            self._send("... the log holds it all, and this is its end:")
            pieces = [piece for line in self.kept.split("\n") for piece in _pieces(line)]
            for piece in pieces[:LAST]:
                self._send(piece)

    def _line(self, line: str) -> None:
        for piece in _pieces(line.removesuffix("\n")):
            if self.sent >= MOST:
                self.kept = (self.kept + line)[-TAIL:]
                return
            self.sent += 1
            self._send(piece)

    def _send(self, text: str) -> None:
        self.send({"event": "output", "step": self.step, "stream": self.name, "text": text})


def _pieces(line: str) -> Iterator[str]:
    text = line.rstrip("\r").rpartition("\r")[2]
    for start in range(0, len(text), PIECE):
        yield text[start : start + PIECE]
