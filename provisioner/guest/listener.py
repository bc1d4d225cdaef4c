"""Keeps what the guest and its firmware have said so far, in one place, for whoever waits.

Bounded, whatever a guest writes: only the last frames and lines are kept, and what they amount to.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from provisioner.frozen import frozen
from provisioner.guest.firmware import BootAttempt, Verdict, boot_attempt, verdict
from provisioner.guest.protocol import Decoder, Frame, Numbering
from provisioner.guest.stages import STAGES, words
from provisioner.ports import SerialLog, SerialPosition

__all__ = ["STAGES", "Heard", "Listener", "News"]

PROMPT = "Press any key to boot from CD"
"""What Microsoft's efisys.bin and cdboot print (docs/facts/windows-setup.md §2.3)."""

KEPT_FRAMES = 200
KEPT_LINES = 20
KEPT_STEPS = 2000
"""Frames about steps: starts, ends and results."""

LONGEST_KEPT = 400
"""Characters kept of a line of noise."""

PIECES = 8
"""Pieces of the log taken in at once, so that one look takes bounded time."""


@dataclass(slots=True)
class Heard:
    """Everything heard since the domain was started."""

    frames: deque[Frame] = field(default_factory=lambda: deque(maxlen=KEPT_FRAMES))
    attempts: deque[BootAttempt] = field(default_factory=lambda: deque(maxlen=KEPT_FRAMES))
    verdict: Verdict | None = None
    prompted: bool = False
    anything: bool = False
    ready: bool = False
    """The guest said that it is ready."""
    failure: str | None = None
    """What the guest said when it gave up."""
    talks: bool = False
    """It reports stages or steps, so it says itself when it is done."""
    reported: str = ""
    """The last stage reported, by its name."""
    _steps: deque[Frame] = field(default_factory=lambda: deque(maxlen=KEPT_STEPS))
    last_lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))
    """The last lines of noise, for a failure report."""

    @property
    def stage(self) -> str:
        """The last stage reported, in words."""
        if self.reported:
            return words(self.reported)
        return "firmware" if self.anything else "power on"

    @property
    def about_steps(self) -> tuple[Frame, ...]:
        """What was told of steps, for `guest.steps`, but for what they wrote."""
        return tuple(self._steps)

    def take(self, frame: Frame) -> None:
        """Draws the conclusions from a frame."""
        self.frames.append(frame)
        self.take_step(frame)
        match frame.event:
            case "stage":
                self.talks, self.reported = True, frame.text("stage", longest=100)
            case "step":
                self.talks = True
            case "ready":
                self.ready = True
            case "failed" if self.failure is None:
                self.failure = failure_words(
                    frame.text("stage", longest=100), frame.text("message")
                )

    def take_step(self, frame: Frame) -> None:
        """Keeps what is about steps."""
        if frame.event in ("step", "result", "failed"):
            self._steps.append(frame)


def failure_words(stage: str, message: str) -> str:
    """Why the guest gave up, for people."""
    message = message or "no reason given"
    return f"{words(stage)}: {message}" if stage else message


@frozen
class News:
    """Something new on the serial line: a frame, or a start by the firmware.

    `missing` is how many lines were lost before the frame; `position` is where reading goes on
    behind it.
    """

    frame: Frame | None = None
    attempt: BootAttempt | None = None
    missing: int = 0
    position: SerialPosition


class Listener:
    """Reads the serial log as it grows. `hear` returns only what is new."""

    def __init__(self, log: SerialLog) -> None:
        self._log = log
        self._decoder = Decoder()
        self._numbering = Numbering()
        self.heard = Heard()
        self.bytes = 0
        """Everything read so far, noise included."""

    def forget_boot(self) -> None:
        """The machine was started afresh: old verdicts and prompts say nothing any more."""
        self.heard.verdict = None
        self.heard.prompted = False
        self.heard.attempts.clear()
        self._numbering.new_boot()

    def resume(self, position: SerialPosition) -> str | None:
        """Reads on where an earlier listener stopped; why something is missing, if it is."""
        self._numbering.resume()
        return self._log.resume(position)

    def hear(self) -> tuple[News, ...]:
        """Takes in what came since the last call, up to some megabytes."""
        news: list[News] = []
        for _ in range(PIECES):
            data = self._log.read_new()
            if not data:
                break
            self.bytes += len(data)
            news += self._take_in(data)
        pending = self._decoder.pending if self._decoder.behind else ""
        if pending:
            self.heard.prompted = self.heard.prompted or PROMPT in pending
            self.heard.verdict = self.heard.verdict or verdict(pending)
        return tuple(news)

    def _take_in(self, data: bytes) -> list[News]:
        heard, news = self.heard, []
        end = self._log.position()
        for item in self._decoder.feed(data):
            heard.anything = True
            unread = self._decoder.behind
            position = SerialPosition(file=end.file, offset=max(0, end.offset - unread))
            if isinstance(item, Frame):
                fresh, missing = self._numbering.take(item)
                if fresh:
                    heard.take(item)
                    news.append(News(frame=item, missing=missing, position=position))
                continue
            heard.last_lines.append(item.text[:LONGEST_KEPT])
            if attempt := boot_attempt(item.text):
                heard.attempts.append(attempt)
                self._numbering.new_boot()
                news.append(News(attempt=attempt, position=position))
            heard.verdict = heard.verdict or verdict(item.text)
            heard.prompted = heard.prompted or PROMPT in item.text
        heard.anything = heard.anything or bool(self._decoder.pending)
        return news
