"""What the guest told of its steps (docs/steps.md), put together for people. Pure."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from provisioner.frozen import frozen
from provisioner.guest.protocol import Frame
from provisioner.guest.stages import STEPS

LONGEST = 1000
"""Characters of one text; the runner sends no longer ones, and a guest that lies may."""

MOST_RESULTS = 200
TIMEOUT = 3600
"""Seconds that a step may take whose guest does not say how long it may."""
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@frozen
class RunningStep:
    """A step that began and has not ended: after `timeout` seconds the guest ends it."""

    number: int
    name: str
    timeout: int


def running_step(frames: Iterable[Frame]) -> RunningStep | None:
    """The step that began last, where nothing was said of its end."""
    last = deque((frame for frame in frames if frame.event in ("step", "failed")), maxlen=1)
    if not last or last[0].payload.get("state") != "start":
        return None
    return RunningStep(
        number=_whole(last[0].payload.get("number")),
        name=_text(last[0].payload, "name"),
        timeout=_whole(last[0].payload.get("timeout")) or TIMEOUT,
    )


def failed_step(frames: Iterable[Frame]) -> int | None:
    """The number of the step that a `failed` event of the steps' stage is about, or None."""
    number, failed = 0, False
    for frame in frames:
        if frame.event == "step":
            number = _whole(frame.payload.get("number"))
        elif frame.event == "failed":
            failed = frame.payload.get("stage") == STEPS
    return number if failed else None


def log(frames: Iterable[Frame]) -> Iterator[str]:
    """Everything about steps, a line each, for a file."""
    for frame in frames:
        if frame.event == "output":
            sign = "!" if frame.payload.get("stream") == "stderr" else " "
            yield f"{sign} {_text(frame.payload, 'text')}"
        elif text := words(frame):
            yield text


def summary(frames: Iterable[Frame]) -> str | None:
    """`3 of 4 steps exited 0, 1 skipped`; None without steps. Restarts count as steps."""
    codes: dict[int, int | None] = {}
    for frame in frames:
        if frame.event == "step" and frame.payload.get("state") in ("end", "skip"):
            number = _whole(frame.payload.get("number")) or len(codes) + 1
            skipped = frame.payload.get("state") == "skip"
            codes[number] = None if skipped else _whole(frame.payload.get("exit_code"))
    if not codes:
        return None
    good = sum(code == 0 for code in codes.values())
    text = f"{good} of {len(codes)} steps exited 0"
    others = sorted({code for code in codes.values() if code})
    if others:
        text += f", others {', '.join(map(str, others))}"
    skipped_count = sum(code is None for code in codes.values())
    return f"{text}, {skipped_count} skipped" if skipped_count else text


def results(frames: Iterable[Frame]) -> Mapping[str, Mapping[str, str]]:
    """The outputs of steps: by step, by name."""
    found: dict[str, dict[str, str]] = {}
    heard = (frame.payload for frame in frames if frame.event == "result")
    for payload in islice(heard, MOST_RESULTS):
        step = found.setdefault(_text(payload, "step"), {})
        step[_text(payload, "name")] = str(payload.get("text", ""))[:LONGEST]
    return found


def words(frame: Frame) -> str | None:
    """An event of steps in words; None for other events."""
    payload = frame.payload
    name, code = _text(payload, "name"), _whole(payload.get("exit_code"))
    match frame.event, payload.get("state"):
        case "step", "start":
            attempt = _whole(payload.get("attempt"))
            return f"step {name}" + (f", attempt {attempt}" if attempt > 1 else "")
        case "step", "skip":
            return f"step {name} skipped"
        case "step", "retry":
            return f"step {name} exited {code}; it is tried again"
        case "step", _:
            return f"step {name} exited {code}"
        case "result", _:
            return f"step {_text(payload, 'step')}: {name} = {_text(payload, 'text')}"
        case _:
            return None


def _whole(value: Any) -> int:
    """A whole number of the guest's, 0 where it is something else."""
    good = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**32
    return value if good else 0


def _text(payload: Mapping[str, Any], key: str) -> str:
    """A text of the guest's for a line of ours: whatever a terminal would obey is taken out."""
    return _CONTROL.sub("?", str(payload.get(key, "")))[:LONGEST]
