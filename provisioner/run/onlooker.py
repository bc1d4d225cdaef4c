"""`watch`: follows a machine's timeline from another terminal, or after the first one crashed.

Reads the record only, and takes no part in the installation. Where no `up` is alive any more it
writes the record itself, from where that stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from provisioner.errors import ConnectionLost, FailedError, GuestError, GuestStalled, HostError
from provisioner.guest.stages import words
from provisioner.ports import Clock, Console, DomainState
from provisioner.run.recorder import Recorder
from provisioner.run.waiting import STATE, stalled_words
from provisioner.run.watching import LISTEN, Watch
from provisioner.run.world import World
from provisioner.store.machine import MachineStore, Phase
from provisioner.store.timeline import Follower, Moment

RETRY = 5.0
"""Seconds between two tries to reach libvirt."""

HOLDER = 1.0
"""Seconds between two looks at whether an `up` is alive, and at the machine's state."""


@dataclass(slots=True, kw_only=True)
class Onlooker:
    """One `watch`. `open_world` connects to libvirt, which only a recorder needs."""

    store: MachineStore
    console: Console
    clock: Clock
    open_world: Callable[[], World]
    record: bool = True
    _last: Moment | None = None
    _failure: str | None = None
    _stalled: bool = False
    _complained: bool = False
    _retry: float = 0.0
    _follower: Follower = field(init=False)

    def __post_init__(self) -> None:
        self._follower = Follower(self.store.timeline_file)

    def watch(self) -> Phase | None:
        """Tells everything from the start on until the installation ends; how it ended.

        None where the machine was undone. GuestError where the guest failed or stalled.
        """
        try:
            return self._watch()
        finally:
            self._follower.close()

    def _watch(self) -> Phase | None:
        look, phase = 0.0, Phase.INSTALLING
        while True:
            self._tell()
            now = self.clock.monotonic()
            if now >= look:
                look = now + HOLDER
                found = self._phase()
                alone = self.store.holder() is None
                if found is None or (alone and found is not Phase.INSTALLING):
                    self._tell()
                    return self._ended(found)
                phase = found
                if alone and phase is Phase.INSTALLING and self.record and now >= self._retry:
                    with self.store.timeline.writing() as ours:
                        if ours and self._take_over():
                            return phase
            self.console.pulse(self._elapsed())
            self.clock.sleep(LISTEN)

    def _phase(self) -> Phase | None:
        state = self.store.load()
        if state is None:
            return Phase.BUILDING if self.store.holder() is not None else None
        return state.phase

    def _tell(self) -> None:
        for moment in self._follower.news():
            self._heed(moment)
            members = {"origin": moment.origin.value, "at": moment.at, **moment.members}
            members.pop("log", None)
            self.console.moment(moment.event, members)

    def _heed(self, moment: Moment) -> None:
        self._last = moment
        match moment.event:
            case "started":
                self._failure, self._stalled = None, False
            case "ended" if moment.members.get("outcome") == "failed":
                self._failure = str(moment.members.get("message", ""))
            case "stalled":
                self._stalled = True
            case _:
                pass

    def _ended(self, phase: Phase | None) -> Phase | None:
        if self._failure is not None and phase is not Phase.READY:
            kind = GuestStalled if self._stalled else GuestError
            failures = self.store.folder.parent / "failures"
            raise kind(self._failure, hint=f"what it left behind: {failures}")
        return phase

    def _elapsed(self) -> float:
        """Seconds since the start, as far as the record tells and the clock is to be believed."""
        if self._last is None:
            return 0.0
        elapsed = self._last.members.get("elapsed")
        before = float(elapsed) if isinstance(elapsed, int | float) else 0.0
        return before + max(0.0, self.clock.now() - self._last.at)

    def _take_over(self) -> bool:
        """Records until an `up` comes back (False) or there is nothing more to record (True)."""
        try:
            world = self.open_world()
            recorder = Recorder(
                store=self.store,
                clock=self.clock,
                console=self.console,
                began=self.clock.monotonic() - self._elapsed(),
            )
            watch = Watch(world, self.store.name, recorder)
            self.console.say("no `up` waits for it; recording it here")
            watch.resume()
            return self._record(watch)
        except (ConnectionLost, HostError) as err:
            if not self._complained:
                self._complained = True
                self.console.warn(f"{err.message}; only the record is shown until it is back")
            self._retry = self.clock.monotonic() + RETRY
            return False

    def _record(self, watch: Watch) -> bool:
        look = 0.0
        while True:
            watch.look()
            agent = watch.ask_agent()
            self._skip()
            heard = watch.listener.heard
            if heard.failure is not None:
                raise GuestError(f"{self.store.name} gave up: {heard.failure}")
            if heard.ready or (agent and not heard.talks):
                self.console.say("it is ready; `provisioner up` ejects and deletes the answer disc")
                return True
            if (stall := watch.stall()) is not None:
                raise GuestStalled(
                    stalled_words(self.store.name, stall),
                    stage=stall.stage,
                    seconds=stall.seconds,
                    looked_at=stall.looked_at,
                    hint="nothing was undone: no `up` waits for it",
                )
            now = self.clock.monotonic()
            if now >= look:
                look = now + STATE
                if self.store.holder() is not None or self._phase() is not Phase.INSTALLING:
                    return False
                record = watch.world.hypervisor.domain(self.store.name)
                if record is None or record.state in (DomainState.OFF, DomainState.CRASHED):
                    watch.look()  # its last words
                    self._off(watch)
                    return True
            self.clock.sleep(LISTEN)

    def _off(self, watch: Watch) -> None:
        watch.recorder.note("ended", {"outcome": "stopped"})
        self._skip()
        if watch.listener.heard.failure is not None:
            raise GuestError(f"{self.store.name} gave up: {watch.listener.heard.failure}")
        self.console.say(
            f"{self.store.name} is off in the middle of: {words(watch.stage)}; "
            "`provisioner up` starts it again"
        )

    def _skip(self) -> None:
        """What we have written ourselves was told when it happened."""
        for moment in self._follower.news():
            self._heed(moment)


def require_known(store: MachineStore) -> None:
    """FailedError where nothing is known of the machine."""
    if not store.exists() and store.holder() is None:
        raise FailedError(
            f"there is no machine {store.name}", hint="`provisioner list` shows them all"
        )
