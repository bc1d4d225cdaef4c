"""What happened, in words: by the timeline, or by what the serial log alone still tells. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from provisioner.guest import steps
from provisioner.guest.firmware import boot_attempt
from provisioner.guest.listener import STAGES
from provisioner.guest.protocol import Decoder, Frame
from provisioner.store.timeline import Moment, Origin

MOST_LINES = 2000
LONGEST = 1000
_DETAILS = frozenset({"path", "sha256", "image"})
"""Of what a guest found in a stage: where its answers are, which image it applies."""


def moments_of(serial: bytes, at: float) -> tuple[Moment, ...]:
    """What a serial log tells where there is no timeline; `at` is all that is known of its time."""
    moments: list[Moment] = []
    for item in Decoder().feed(serial + b"\n"):
        if isinstance(item, Frame):
            members = {k: v for k, v in item.payload.items() if k not in ("event", "at", "origin")}
            moments.append(Moment(at=at, event=item.event, origin=Origin.REPORTED, members=members))
        elif attempt := boot_attempt(item.text):
            moments.append(
                Moment(
                    at=at,
                    event="boot",
                    origin=Origin.INFERRED,
                    members={"entry": attempt.description or attempt.entry},
                )
            )
    return tuple(moments[-MOST_LINES:])


def words(moment: Moment) -> str:
    """One line; empty for what is not worth one."""
    members = moment.members
    match moment.event:
        case "started":
            return "the machine was started"
        case "stage":
            return STAGES.get(_text(members, "stage"), _text(members, "stage"))
        case "step" | "result":
            return steps.words(_frame(moment)) or ""
        case "warning" | "failed":
            where = STAGES.get(_text(members, "stage"), _text(members, "stage"))
            return f"{moment.event}: {where}: {_text(members, 'message')}"
        case "stalled" if members.get("step"):
            return _overdue(moment)
        case "stalled":
            return (
                f"stalled: no sign of progress for {_text(members, 'seconds')} s in "
                f"{STAGES.get(_text(members, 'stage'), _text(members, 'stage'))}"
            )
        case "boot":
            return f"the firmware started {_text(members, 'entry')}"
        case "resumed":
            return f"`up --resume` goes on with step {_text(members, 'step')}"
        case "reboot":
            return "the guest restarted"
        case "ready":
            return "ready"
        case "ejected":
            return "the answer disc was ejected"
        case "gap":
            return f"nothing was recorded here: {_text(members, 'reason')}"
        case "agent":
            return "the guest agent answers"
        case "detail":
            told = (f"{key} {value}" for key, value in members.items() if key in _DETAILS)
            return ", ".join(told)
        case "ended":
            return f"the recording ended: {_text(members, 'outcome')}"
        case _:  # progress, output, screen, and what a later version writes
            return ""


def step_lines(moments: Iterable[Moment]) -> list[str]:
    """Everything the guest told of its steps, their output as well."""
    return list(steps.log(map(_frame, moments)))


def _frame(moment: Moment) -> Frame:
    """A recorded moment as the guest sent it."""
    return Frame(sequence=1, payload={"event": moment.event, **moment.members})


def event_lines(moments: Iterable[Moment], *, state: str | None, reason: str) -> list[str]:
    """What the signatures look through: stable words, one event a line."""
    lines = [f"error: {line}" for line in reason.splitlines() if line]
    if state:
        lines.append(f"domain state: {state}")
    for moment in moments:
        members = moment.members
        match moment.event:
            case "failed" | "warning":
                lines.append(
                    f"{moment.event} {_text(members, 'stage')}: {_text(members, 'message')}"
                )
            case "step" if members.get("state") == "start":
                lines.append(f"running step {_text(members, 'name')}")
            case "stalled" if members.get("step"):
                lines.append(_overdue(moment))
            case "stalled":
                lines.append(f"stalled {_text(members, 'stage')}: {_text(members, 'seconds')} s")
            case _:
                pass
    return lines[-MOST_LINES:]


def _overdue(moment: Moment) -> str:
    """A step that should have ended, in the words of the error that it ended with."""
    step, timeout = _text(moment.members, "step"), _text(moment.members, "timeout")
    silent = _text(moment.members, "seconds")
    return (
        f"stalled: step '{step}' was to end within {timeout} s, "
        f"and nothing was heard of it for {silent} s"
    )


def last_stage(moments: Sequence[Moment]) -> str | None:
    """The key of the last stage; None where none was reported since the last start."""
    stage = None
    for moment in moments:
        if moment.event in ("stage", "failed", "stalled") and moment.members.get("stage"):
            stage = _text(moment.members, "stage")
        elif moment.event == "started":
            stage = None
    return stage


def is_ready(moments: Iterable[Moment]) -> bool:
    """Whether it got to the end."""
    return any(moment.event == "ready" for moment in moments)


def _text(members: Any, name: str) -> str:
    """A member as one short line, whatever a guest has put there."""
    value = members.get(name)
    text = " ".join(str("?" if value is None else value).split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
