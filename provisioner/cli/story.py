"""The timeline of one installation as lines of text: pure, given its width, writing nothing.

A stage's line is printed once, when the next one begins; where a person is looking the running
stage is drawn below it again and again, with how long it takes and how fast it goes, and under it
the last lines that the running step wrote.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from provisioner.cli.layout import amount, cells, duration, shortened
from provisioner.guest.stages import STEPS, words

WIDEST = 100
"""Columns that a line takes at most."""
UNBOUNDED = 78
"""Columns where nobody is looking."""
COLUMNS = 50
"""From this width on the lines are columns, and below it plain sentences."""
INDENT = 11
"""Cells before the words of a line in columns."""
WIDEST_BAR = 18
NARROWEST_BAR = 6
LAST_LINES = 20
"""Lines of a step's output that a failure is shown with."""
TAIL = 4
"""Lines of a step that are drawn under the running line, and where there are no columns: two."""
NARROW_TAIL = 2
ENOUGH = 10.0
"""Seconds left below which nobody needs to be told."""

_SIGNS = {"begun": "◐", "done": "●", "bad": "✘", "good": "✔", "note": "·", "bar": "█", "rest": "░"}
_PLAIN = {"begun": ">", "done": "*", "bad": "!", "good": "+", "note": "-", "bar": "#", "rest": "."}


class Story:
    """Follows the moments of one timeline. `take` returns lines to print, as (style, text)."""

    def __init__(self, *, live: bool, plain: bool = False) -> None:
        self._live = live
        self._signs = _PLAIN if plain else _SIGNS
        self._usual: Mapping[str, Any] = {}
        self._begin()

    def _begin(self) -> None:
        self.stage = ""
        self.origin = ""
        self.since = 0.0
        self.elapsed = 0.0
        self.running = False
        self._detail = ""
        self._named = False
        self._step = ""
        self._step_since = 0.0
        self._output: deque[str] = deque(maxlen=LAST_LINES)
        self._held: list[str] = []
        """Lines that belong below that of the running stage, which is printed when it ends."""
        self._done: float | None = None
        self._total: float | None = None
        self._rate: float | None = None

    def take(self, event: str, members: Mapping[str, Any], width: int | None) -> list[str]:
        """What this moment adds to the story."""
        self.elapsed = max(self.elapsed if event != "started" else 0.0, _seconds(members))
        match event:
            case "started":
                self._begin()
                self.running, self.stage, self.origin = True, "power-on", "host"
                usual = members.get("usual")
                self._usual = usual if isinstance(usual, Mapping) else {}
                return [self._line("done", 0.0, f"started{self._in_all(members)}", "", width)]
            case "stage":
                return self._enter(members, width)
            case "detail":
                self._detail = detail_words(members) or self._detail
                return [] if self._live else self._note(self._detail, members, width)
            case "progress":
                self._done, self._total, self._rate = (
                    _number(members.get(key)) for key in ("done", "total", "rate")
                )
                return []
            case "step":
                return self._steps(members, width)
            case _:
                return self._other(event, members, width)

    def close(self, width: int | None) -> list[str]:
        """The line of the stage that was running, where nobody will say that it ended."""
        return self._finish(self.elapsed, width) if self._live else []

    def live(self, elapsed: float, width: int) -> str:
        """The running stage in one line of at most `width` cells; empty when nothing runs."""
        if not self.running or not self.stage:
            return ""
        now = max(self.elapsed, elapsed)
        clock = _clock(self._since if width >= COLUMNS else now)
        start = f"  {clock}  {self._signs['begun']} " if width >= COLUMNS else f"{clock} "
        name = " ".join((self._step or words(self.stage)).split())
        numbers = self._numbers(now)
        for most in range(len(numbers), 0, -1) if self._share() is not None else ():
            text = start + "  ".join([name, *numbers[:most]])
            room = min(WIDEST_BAR, width - cells(text) - 2)
            if room >= NARROWEST_BAR:
                return start + "  ".join([name, self._bar(room), *numbers[:most]])
        for most in range(len(numbers), -1, -1):
            text = start + "  ".join([name, *numbers[:most]])
            if cells(text) <= width:
                return text
        if numbers:
            # The number that moves is worth more than the end of a name.
            room = width - cells(start) - cells(numbers[0]) - 1
            if room >= 4:
                return f"{start}{shortened(name, room)} {numbers[0]}"
        return shortened(start + name, width)

    def tail(self, width: int) -> list[str]:
        """What the running step wrote last, each in at most `width` cells; empty without a step."""
        if not self.running or not self._step:
            return []
        wide = width >= COLUMNS
        indent = " " * (INDENT if wide else 2)
        last = list(self._output)[-(TAIL if wide else NARROW_TAIL) :]
        return [shortened(indent + text, width) for text in last]

    def _numbers(self, now: float) -> list[str]:
        """What is known of the running stage, the most important first."""
        share, spent = self._share(), now - self._since
        numbers = [duration(spent) if share is None else f"{int(100 * share):2} %"]
        if self._rate and not self._step:
            numbers.append(f"{amount(self._rate)}/s")
        usual = _pair(self._usual.get(self.stage))
        left = self._left(spent, usual)
        if left is not None and left > ENOUGH:
            numbers.append(f"~{left / 60:.0f} min left" if left >= 90 else f"~{left:.0f} s left")
        if usual and not self._step:
            numbers.append(f"(usually {_about(usual)})")
        return numbers

    @property
    def _since(self) -> float:
        """When what is drawn began: the running step, or else the stage."""
        return self._step_since if self._step else self.since

    def _left(self, spent: float, usual: tuple[float, float] | None) -> float | None:
        if self._step:
            return None
        if self._rate and self._total and self._done is not None:
            return (self._total - self._done) / self._rate
        return usual[0] - spent if usual else None

    def _share(self) -> float | None:
        if self._done is None or not self._total or self._step:
            return None
        return min(1.0, max(0.0, self._done / self._total))

    def _bar(self, width: int) -> str:
        filled = int(width * (self._share() or 0.0))
        return self._signs["bar"] * filled + self._signs["rest"] * (width - filled)

    def _enter(self, members: Mapping[str, Any], width: int | None) -> list[str]:
        stage = str(members.get("stage", ""))
        origin = str(members.get("origin", ""))
        if stage == self.stage:
            confirmed = self.origin == "inferred" and origin == "reported"
            self.origin = origin
            self._detail = detail_words(members) or self._detail
            if self._live or not confirmed:
                return []
            return self._say("note", f"{words(stage)}: now the guest says so", origin, width)
        lines = self._finish(self.elapsed, width) if self._live else []
        self.stage, self.origin, self.since, self.running = stage, origin, self.elapsed, True
        self._detail, self._step, self._named = detail_words(members), "", False
        self._done = self._total = self._rate = None
        return lines if self._live else [*lines, *self._stage_lines(width)]

    def _finish(self, ended: float, width: int | None) -> list[str]:
        """The line of the stage that ends, with how long it took."""
        held, self._held = self._held, []
        if not self.running or self._named or self.stage in ("", "power-on"):
            return held
        return [*self._stage_lines(width, took=ended - self.since), *held]

    def _stage_lines(self, width: int | None, *, took: float | None = None) -> list[str]:
        """The stage with what was found in it: behind it, or below where that is too long."""
        name, time = words(self.stage), "" if took is None else f", {duration(took)}"
        detail = " ".join(self._detail.split())
        whole = f"{name}: {detail}{time}" if detail else f"{name}{time}"
        line = self._line("done", self.since, whole, self.origin, width)
        if not detail or width is None or width < COLUMNS or cells(line) <= width:
            return [line]
        line = self._line("done", self.since, f"{name}{time}", self.origin, width)
        return [line, " " * INDENT + detail]

    def _steps(self, members: Mapping[str, Any], width: int | None) -> list[str]:
        lines = []
        if self._live and self.running and not self._named:
            # Its steps have lines of their own, and stand below it.
            lines = self._stage_lines(width)
            self._named = True
        return [*lines, *self._step_lines(members, width)]

    def _step_lines(self, members: Mapping[str, Any], width: int | None) -> list[str]:
        name = str(members.get("name", "?"))
        state = str(members.get("state", ""))
        origin = str(members.get("origin", ""))
        if state == "start":
            self._step, self._step_since = f"step {name}", self.elapsed
            self._output.clear()
            attempt = _number(members.get("attempt"))
            more = f", attempt {attempt:.0f}" if attempt and attempt > 1 else ""
            return [] if self._live else self._say("done", f"step {name}{more}", origin, width)
        took = f", {duration(self.elapsed - self._step_since)}" if self._step else ""
        self._step = ""
        code = members.get("exit_code")
        ended = {
            "skip": f"step {name} skipped",
            "retry": f"step {name} exited {code}{took}; once more",
        }.get(state, f"step {name} exited {code if code is not None else '?'}{took}")
        return self._say("done", ended, origin, width)

    def _other(self, event: str, members: Mapping[str, Any], width: int | None) -> list[str]:
        origin = str(members.get("origin", ""))
        message = str(members.get("message", ""))
        match event:
            case "ready":
                lines = self._finish(self.elapsed, width) if self._live else []
                self.running = False
                text = "the guest says it is ready" if origin == "reported" else "ready"
                return [*lines, *self._say("good", text, origin, width)]
            case "failed":
                text = f"failed: {message or 'no reason given'}"
                lines = self._end("bad", text, origin, width)
                return [*lines, *self._last_words(members)]
            case "stalled":
                stage = words(str(members.get("stage", "")))
                seconds = duration(_number(members.get("seconds")) or 0.0)
                looked = members.get("looked_at")
                seen = ", ".join(map(str, looked)) if isinstance(looked, list | tuple) else ""
                text = f'stalled: no progress for {seconds} in "{stage}"'
                if name := members.get("step"):
                    limit = duration(_number(members.get("timeout")) or 0.0)
                    text = f"stalled: step {name} may take {limit}, and said nothing for {seconds}"
                lines = self._end("bad", f"{text} ({seen})" if seen else text, "", width)
                return [*lines, *self._last_words(members)]
            case "ended":
                return self._ended(str(members.get("outcome", "")), message, width)
            case "reboot":
                lines = self._say("note", "restart", origin, width)
                if not self._live or self._named:
                    return lines
                self._held += lines
                return []
            case "gap":
                seconds_missing = _number(members.get("seconds"))
                missing = f" for {duration(seconds_missing)}" if seconds_missing else ""
                reason = str(members.get("reason", "something is missing"))
                return self._say("note", f"gap: {reason}{missing}", "", width)
            case "agent":
                system = str(members.get("system", ""))
                text = f"the guest agent answers{f': {system}' if system else ''}"
                return self._say("note", text, "inferred", width)
            case "warning":
                return self._say("note", f"warning: {message}", origin, width)
            case "output":
                text = " ".join(str(members.get("text", "")).split())
                self._output.append(text)
                if self._live:
                    return []
                return self._say("note", f"{members.get('step', '')}: {text}", "", width)
            case "result":
                found = f"{members.get('step', '')}: {members.get('name', '')}"
                return self._say("note", f"{found} = {members.get('text', '')}", "", width)
            case "ejected":
                return self._say("note", "answer disc ejected and deleted", "", width)
            case _:
                return []

    def _ended(self, outcome: str, message: str, width: int | None) -> list[str]:
        was, self.running = self.running, False
        if outcome == "failed":
            return self._say("bad", f"ended: {message}", "", width) if message else []
        if outcome == "detached":
            self.running = was
            return self._say("note", "it goes on without `up`", "", width)
        if outcome == "stopped":
            return self._say("note", "shut down by `provisioner down`", "", width)
        return []

    def _end(self, sign: str, text: str, origin: str, width: int | None) -> list[str]:
        lines = self._finish(self.elapsed, width) if self._live else []
        self.running = False
        return [*lines, *self._say(sign, text, origin, width)]

    def _last_words(self, members: Mapping[str, Any]) -> list[str]:
        """The end of what a step wrote that ends the installation."""
        in_a_step = members.get("stage") == STEPS or bool(members.get("step"))
        return [f"  | {text}" for text in self._output] if in_a_step else []

    def _note(self, text: str, members: Mapping[str, Any], width: int | None) -> list[str]:
        return self._say("note", text, str(members.get("origin", "")), width) if text else []

    def _say(self, sign: str, text: str, origin: str, width: int | None) -> list[str]:
        return [self._line(sign, self.elapsed, text, origin, width)]

    def _line(self, sign: str, at: float, text: str, origin: str, width: int | None) -> str:
        """`  00:21  ● Setup found our answers                       reported`.

        A guest that puts line breaks into its words writes no line of ours.
        """
        text = " ".join(text.split())
        origin = origin if origin in ("reported", "inferred") else ""
        if width is not None and width < COLUMNS:
            return f"{_clock(at)} {self._signs[sign]} {text}" + (f" ({origin})" if origin else "")
        line = f"  {_clock(at)}  {self._signs[sign]} {text}"
        room = min(width or UNBOUNDED, WIDEST) - cells(origin) - 1
        if not origin:
            return line
        return f"{line}{' ' * max(2, room - cells(line))}{origin}"

    def _in_all(self, members: Mapping[str, Any]) -> str:
        usual = _pair(members.get("usual_total"))
        return f" (usually ready after {_about(usual)})" if usual else ""


def detail_words(members: Mapping[str, Any]) -> str:
    """What the guest found in a stage, in a few words; empty where it said nothing we know."""
    parts = []
    if path := members.get("path"):
        parts.append(str(path))
    if sha := members.get("sha256"):
        parts.append(f"SHA-256 {str(sha)[:12]}…")
    disks = members.get("disks")
    if isinstance(disks, list):
        parts += [_disk(disk) for disk in disks[:8] if isinstance(disk, Mapping)]
    drivers = members.get("drivers")
    if isinstance(drivers, list):
        parts.append(", ".join(str(driver) for driver in drivers[:12]) or "none")
    if image := members.get("image"):
        parts.append(str(image))
    return ", ".join(parts)[:300]


def _disk(disk: Mapping[str, Any]) -> str:
    size = _number(disk.get("size_mib"))
    shown = f" {amount(size * 2**20)}" if size else ""
    return f"disk {disk.get('disk_id', '?')} {disk.get('bus', '')}{shown}"


def _about(usual: Sequence[float]) -> str:
    """`4:10`, with the spread where it is more than a tenth."""
    median, spread = usual
    return f"{duration(median)} ± {duration(spread)}" if spread > median / 10 else duration(median)


def _clock(seconds: float) -> str:
    whole = int(max(0.0, seconds))
    hours, minutes = whole // 3600, whole // 60
    if hours:
        return f"{hours}:{minutes % 60:02}:{whole % 60:02}"
    return f"{minutes:02}:{whole % 60:02}"


def _seconds(members: Mapping[str, Any]) -> float:
    return _number(members.get("elapsed")) or 0.0


def _number(value: Any) -> float | None:
    """A finite number that is not negative; whatever else a file holds is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    number = float(min(value, 2**62)) if isinstance(value, int) else value
    return number if math.isfinite(number) and number >= 0 else None


def _pair(value: Any) -> tuple[float, float] | None:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    median, spread = _number(value[0]), _number(value[1])
    return (median, spread) if median is not None and spread is not None else None
