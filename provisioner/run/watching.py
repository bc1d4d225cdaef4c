"""Looks at a guest that installs itself: the serial line, byte counters, the screen, the agent.

Records what it sees, and says when nothing moves any more. Cheap things are looked at often, dear
ones rarely: one machine costs a fraction of a per cent of a core.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from provisioner.errors import ConnectionLost, HostError, ProvisionerError
from provisioner.guest.inference import Concluded, Counters, Inference, Pulse, Stall
from provisioner.guest.listener import Heard, Listener, News, failure_words
from provisioner.guest.protocol import Frame
from provisioner.guest.screen import mark
from provisioner.guest.stages import STEPS
from provisioner.guest.steps import RunningStep, running_step
from provisioner.guest.throughput import Throughput
from provisioner.host.domain_xml import disk_targets, is_emulated
from provisioner.ports import Picture, SerialPosition
from provisioner.run.recorder import Recorder
from provisioner.run.world import World
from provisioner.store.timeline import Moment, Origin

LISTEN = 0.25
"""Seconds between two looks at the serial line, which costs microseconds."""

COUNT = 5.0
"""Seconds between two looks at the byte counters."""

LOOK = 20.0
"""Seconds between two pictures of the screen."""

AGENT = 5.0
"""Seconds between two questions to the guest agent."""

AGENT_TIMEOUT = 2.0

EMULATED = 3.0
"""An emulated machine gets so many times longer before it counts as stalled."""

PROGRESS = 1.0
"""Seconds between two notes of the progress that a guest reports of itself."""

SHORT_GAP = 15.0
"""Seconds without a recorder that are not worth a gap."""

LONGEST_TEXT = 1000
"""Characters of anything a guest says that are recorded."""


@dataclass(slots=True)
class _Every:
    """Something that is due every so many seconds."""

    seconds: float
    due: float = 0.0

    def now(self, now: float) -> bool:
        if now < self.due:
            return False
        self.due = now + self.seconds
        return True


class Watch:
    """One machine that is being watched. `look` is called again and again by whoever waits."""

    def __init__(self, world: World, name: str, recorder: Recorder) -> None:
        self.world = world
        self.name = name
        self.recorder = recorder
        self.listener = Listener(world.serial)
        self.inference = Inference()
        self.agent_answers = False
        self._pulse = Pulse(now=world.clock.monotonic(), every_stage=world.patience)
        self._targets: tuple[tuple[str, ...], tuple[str, ...]] | None = None
        self._count = _Every(COUNT)
        self._screen = _Every(LOOK)
        self._agent = _Every(AGENT)
        self._progress = _Every(PROGRESS)
        self._throughput = Throughput()
        self._step: RunningStep | None = None
        self._restarts: int | None = None
        self._serial_lost = False
        self._filmed = ""

    @property
    def stage(self) -> str:
        """Its present stage, by name."""
        return self.inference.stage

    def started(self, members: dict[str, Any]) -> None:
        """The machine was powered on by us."""
        usual = members.get("usual_bytes")
        self._throughput.usual_bytes = usual if isinstance(usual, int) else None
        self.forgive()
        self.recorder.note("started", members)

    def resume(self) -> None:
        """Takes up a timeline where an earlier recorder left it, and marks what is missing."""
        moments, _ = self.world.store.timeline.read()
        position: SerialPosition | None = None
        for moment in moments:
            if moment.event == "resumed":
                # What failed lies behind it, and the serial log begins anew.
                self.listener.heard, self.inference, position = Heard(), Inference(), None
            position = self._remember(moment) or position
        self._filmed = self.stage
        self._step = running_step(self.listener.heard.about_steps)
        reason = self.listener.resume(position) if position is not None else None
        if not moments:
            return
        silent = self.world.clock.now() - moments[-1].at
        if silent > SHORT_GAP:
            self.recorder.note("gap", {"reason": "nobody was recording", "seconds": round(silent)})
        if reason is not None:
            self.recorder.note("gap", {"reason": reason})

    def look(self) -> None:
        """Looks at everything that is due. ProvisionerError only where libvirt is away."""
        now = self.world.clock.monotonic()
        self._hear(now)
        if self._count.now(now):
            self._look_at_counters(now)
        if self._screen.now(now):
            self._look_at_screen(now)
        self.world.console.pulse(self.recorder.elapsed())

    def ask_agent(self) -> bool:
        """Whether the guest agent answers; asked now and then, and never again once it did."""
        self._agent.seconds = 1.0 if self.listener.heard.ready else AGENT
        if self.agent_answers or not self._agent.now(self.world.clock.monotonic()):
            return self.agent_answers
        if self._command("guest-ping") is None:
            return False
        self.agent_answers = True
        self._pulse.moved(now=self.world.clock.monotonic())
        if not self.listener.heard.talks:  # otherwise it says itself how far it is
            self._concluded(self.inference.agent())
        system = self._command("guest-get-osinfo")
        pretty = system.get("pretty-name") if isinstance(system, dict) else None
        self.recorder.note("agent", {"system": str(pretty)[:200]} if pretty else {})
        return True

    def stall(self) -> Stall | None:
        """Whether nothing has moved for longer than the stage may be silent; that is recorded."""
        now = self.world.clock.monotonic()
        stall = self._pulse.stall(self.stage, now=now, step=self._step)
        if stall is not None:
            step = {"step": stall.step.name, "timeout": stall.step.timeout} if stall.step else {}
            looked_at = list(stall.looked_at)
            members = {"stage": stall.stage, "seconds": round(stall.seconds), **step}
            self.recorder.note("stalled", {**members, "looked_at": looked_at})
        return stall

    def forgive(self) -> None:
        """Nobody could look for a while: time begins anew, and so do the things we know."""
        self._targets = None
        self._pulse.forgive(now=self.world.clock.monotonic())

    def power_cycled(self) -> None:
        """We turned it off and on again."""
        self.listener.forget_boot()
        self.recorder.note("reboot", {"reason": "the boot prompt was missed"})

    def _hear(self, now: float) -> None:
        before = self.listener.bytes
        try:
            news = self.listener.hear()
        except HostError as err:
            if not self._serial_lost:
                self._serial_lost = True
                self.recorder.note("gap", {"reason": err.message})
                self.world.console.warn(f"{err.message}; going on without it\n{err.hint or ''}")
            return
        self._pulse.listened()
        if self.listener.bytes != before:
            self._pulse.noise(now=now)
            if self.inference.furthest == 0:
                self._concluded(self.inference.spoke())
        for item in news:
            self._take(item, now)

    def _take(self, item: News, now: float) -> None:
        self._pulse.moved(now=now)
        if item.missing:
            self.recorder.note(
                "gap", {"reason": "lines of the guest are missing", "lines": item.missing}
            )
        if item.attempt is not None:
            entry = {"entry": item.attempt.description[:LONGEST_TEXT]}
            before = self.inference.boots
            self._booted(self.inference.boot(item.attempt), before, entry, item.position)
        if item.frame is not None:
            self._pulse.spoke(now=now)
            self._frame(item.frame, item.position, now)

    def _booted(
        self,
        concluded: Concluded | None,
        before: int,
        members: dict[str, Any],
        position: SerialPosition | None = None,
    ) -> None:
        """The firmware ran again. A step that was running was cut off, and is begun again."""
        self._step = None
        if self.inference.boots > before:
            self.recorder.note("reboot", members, origin=Origin.INFERRED, position=position)
        self._concluded(concluded)

    def _frame(self, frame: Frame, position: SerialPosition, now: float) -> None:
        members = _bounded({key: value for key, value in frame.payload.items() if key != "event"})
        match frame.event:
            case "stage":
                stage = frame.text("stage", longest=100)
                self.inference.report(stage)
                self._entered(stage)
            case "step":
                self._step = running_step([frame])
            case "progress":
                done = frame.number("done")
                if not self._progress.now(now) and done != frame.number("total"):
                    return
                members = self._throughput.reported(members, done, now=now)
            case "detail" | "output" | "result" | "warning" | "failed" | "ready":
                pass
            case _:
                return  # receivers ignore what they do not know
        self.recorder.note(frame.event, members, origin=Origin.REPORTED, position=position)
        if frame.event == "stage":
            self._film()

    def _look_at_counters(self, now: float) -> None:
        counters = self._counters()
        if counters is None:
            return
        before = self.inference.counters
        self._pulse.counted(before, counters, now=now)
        self._concluded(self.inference.count(counters))
        self._look_at_restarts(now)
        progress = self._throughput.counted(self.stage, before, counters, now=now)
        if progress is not None:
            self.recorder.note("progress", progress, origin=Origin.INFERRED)

    def _counters(self) -> Counters | None:
        discs, disks = self._known_targets()
        hypervisor = self.world.hypervisor
        try:
            read = [hypervisor.block_counters(self.name, target) for target in discs]
            written = [hypervisor.block_counters(self.name, target) for target in disks]
        except (ConnectionLost, HostError):
            raise
        except ProvisionerError:
            return None  # it is off, or has just been turned off: whoever waits will see
        return Counters(
            disc_read=sum(counters.read_bytes for counters in read),
            disk_read=sum(counters.read_bytes for counters in written),
            disk_written=sum(counters.written_bytes for counters in written),
        )

    def _look_at_restarts(self, now: float) -> None:
        before = self._restarts
        try:
            self._restarts = self.world.hypervisor.restarts(self.name)
        except ProvisionerError:
            return  # libvirt is away, or lets nobody listen: the other evidence has to do
        if before is not None and self._restarts > before:
            self._pulse.moved(now=now)
            boots = self.inference.boots
            concluded = self.inference.restarted(now=now)
            self._booted(concluded, boots, {"reason": "libvirt says so"})

    def _known_targets(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        if self._targets is None:
            hypervisor = self.world.hypervisor
            try:
                discs = tuple(drive.target for drive in hypervisor.drives(self.name))
                xml = hypervisor.domain_xml(self.name)
            except (ConnectionLost, HostError):
                raise
            except ProvisionerError:
                return (), ()
            disks = tuple(target for target in disk_targets(xml) if target not in discs)
            self._targets = discs, disks
            self._pulse.factor = EMULATED if is_emulated(xml) else 1.0
        return self._targets

    def _look_at_screen(self, now: float) -> None:
        picture = self._picture()
        if picture is not None:
            self._pulse.screen(mark(picture), now=now)

    def _film(self) -> None:
        """One picture per change of stage; that it is reported now, and not inferred, is none."""
        if self.stage == self._filmed:
            return
        self._filmed = self.stage
        picture = self._picture()
        if picture is not None:
            self.recorder.picture(picture, stage=self.stage)

    def _picture(self) -> Picture | None:
        try:
            return self.world.hypervisor.screenshot(self.name)
        except (ConnectionLost, HostError):
            return None  # the next look at something that matters says so
        except ProvisionerError:
            return None  # off, or without a display

    def _concluded(self, concluded: Concluded | None) -> None:
        if concluded is None:
            return
        self._entered(concluded.stage)
        self.recorder.note(
            "stage",
            {"stage": concluded.stage, "evidence": concluded.evidence},
            origin=Origin.INFERRED,
        )
        self._film()

    def _entered(self, stage: str) -> None:
        self._throughput.entered()
        if stage != STEPS:
            self._step = None

    def _command(self, verb: str) -> Any:
        """What the agent returns; None where it does not answer, or says what is no answer."""
        try:
            answer = self.world.hypervisor.agent(
                self.name, {"execute": verb}, timeout=AGENT_TIMEOUT
            )
        except (ConnectionLost, HostError):
            raise
        except ProvisionerError:
            return None
        return {} if answer is None else answer

    def _remember(self, moment: Moment) -> SerialPosition | None:
        """Draws from a recorded moment what we would know, had we been there."""
        members, heard = moment.members, self.listener.heard
        if moment.origin is Origin.REPORTED:
            heard.take_step(Frame(sequence=1, payload={"event": moment.event, **members}))
        match moment.event:
            case "started":
                usual = members.get("usual_bytes")
                self._throughput.usual_bytes = usual if isinstance(usual, int) else None
            case "stage" if moment.origin is Origin.REPORTED:
                heard.talks, heard.reported = True, str(members.get("stage", ""))
                self.inference.report(heard.reported)
            case "stage":
                evidence = str(members.get("evidence", ""))
                self.inference.restore(str(members.get("stage", "")), evidence)
            case "reboot" if moment.origin is Origin.INFERRED:
                self.inference.restore_boot(told="entry" in members)
            case "step":
                heard.talks = True
            case "ready":
                heard.ready = True
            case "failed" if moment.origin is Origin.REPORTED and heard.failure is None:
                heard.failure = failure_words(
                    str(members.get("stage", "")), str(members.get("message", ""))
                )
            case _:
                pass
        log = members.get("log")
        if isinstance(log, list) and len(log) == 2 and all(type(n) is int for n in log):
            return SerialPosition(file=log[0], offset=max(0, log[1]))
        return None


def _bounded(members: dict[str, Any]) -> dict[str, Any]:
    """What a guest says, without what would be ours, cut to a sensible length."""
    return {
        str(key)[:60]: value[:LONGEST_TEXT] if isinstance(value, str) else value
        for key, value in _first(members.items(), 30)
        if key not in ("at", "origin", "elapsed", "log")
    }


def _first(items: Iterable[Any], most: int) -> Iterable[Any]:
    return (item for _, item in zip(range(most), items, strict=False))
