"""Keeps what the guest and its firmware have said so far, in one place, for whoever waits."""

from __future__ import annotations

from dataclasses import dataclass, field

from provisioner.guest.firmware import BootAttempt, Verdict, boot_attempt, verdict
from provisioner.guest.protocol import Decoder, Frame
from provisioner.ports import SerialLog

STAGES = {
    "setup": "Setup started",
    "answers": "Setup found our answers",
    "disks": "disk laid out",
    "image": "applying the image",
    "first-boot": "first boot from the disk",
    "specialize": "specialize pass",
    "oobe": "accounts and first-run pages",
    "first-logon": "first logon",
    "drivers": "installing drivers",
    "settings": "settings of Windows",
    "agent": "installing the guest agent",
    "cleanup": "removing secrets from the guest",
}
"""Stages of docs/protocol.md in words; one that is not here is shown as it came."""

PROMPT = "Press any key to boot from CD"
"""What Microsoft's efisys.bin and cdboot print (docs/facts/windows-setup.md §2.3)."""


@dataclass(slots=True)
class Heard:
    """Everything heard since the domain was started."""

    frames: list[Frame] = field(default_factory=list)
    attempts: list[BootAttempt] = field(default_factory=list)
    verdict: Verdict | None = None
    prompted: bool = False
    anything: bool = False
    last_lines: list[str] = field(default_factory=list)
    """The last twenty lines of noise, for a failure report."""

    @property
    def ready(self) -> bool:
        """Whether the guest said that it is ready."""
        return any(frame.event == "ready" for frame in self.frames)

    @property
    def failure(self) -> str | None:
        """What the guest said when it gave up."""
        for frame in self.frames:
            if frame.event == "failed":
                stage = frame.payload.get("stage", "")
                message = frame.payload.get("message", "no reason given")
                return f"{STAGES.get(stage, stage)}: {message}" if stage else str(message)
        return None

    @property
    def stage(self) -> str:
        """The last stage reported, in words."""
        for frame in reversed(self.frames):
            if frame.event == "stage":
                stage = str(frame.payload.get("stage", ""))
                return STAGES.get(stage, stage)
        return "firmware" if self.anything else "power on"


class Listener:
    """Reads the serial log as it grows. `hear` returns only the frames that are new."""

    def __init__(self, log: SerialLog) -> None:
        self._log = log
        self._decoder = Decoder()
        self.heard = Heard()

    def forget_boot(self) -> None:
        """The machine was started afresh: old verdicts and prompts say nothing any more."""
        self.heard.verdict = None
        self.heard.prompted = False
        self.heard.attempts.clear()

    def hear(self) -> tuple[Frame, ...]:
        """Takes in what came since the last call."""
        data = self._log.read_new()
        heard = self.heard
        fresh = []
        for item in self._decoder.feed(data):
            heard.anything = True
            if isinstance(item, Frame):
                fresh.append(item)
                continue
            heard.last_lines = [*heard.last_lines[-19:], item.text]
            if attempt := boot_attempt(item.text):
                heard.attempts.append(attempt)
            heard.verdict = heard.verdict or verdict(item.text)
            heard.prompted = heard.prompted or PROMPT in item.text
        pending = self._decoder.pending
        heard.prompted = heard.prompted or PROMPT in pending
        heard.verdict = heard.verdict or verdict(pending)
        heard.frames += fresh
        return tuple(fresh)
