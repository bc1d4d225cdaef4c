"""Runs a plan's steps with a journal, undoes them when one fails, and takes up where one stopped.

Before the machine is started a failure, Ctrl-C included, undoes everything. A guest that fails is
undone too, after its last words were saved. Ctrl-C while the guest installs itself leaves it
installing: the work is recorded, and the next `up` goes on waiting. A step of the profile that
fails is no reason to undo an installation: the machine stays, for `up --resume`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from provisioner.errors import GuestError, InterruptedByUser, ProvisionerError, StepError
from provisioner.frozen import frozen
from provisioner.guest.steps import results
from provisioner.plan.model import MachinePlan, digest
from provisioner.plan.steps import (
    PassBootPrompt,
    RemoveAnswerDisc,
    RotatePassword,
    ShakeHands,
    StartDomain,
    Step,
    WaitReady,
    describe,
)
from provisioner.ports import DomainState
from provisioner.run.failure import save_evidence
from provisioner.run.handshakes import say_ready
from provisioner.run.recorder import Recorder
from provisioner.run.steps import Undo, perform, undo, undo_of
from provisioner.run.waiting import Guest
from provisioner.run.watching import Watch
from provisioner.run.world import World
from provisioner.store.journal import Entry
from provisioner.store.machine import Phase
from provisioner.store.timings import FILE as TIMINGS
from provisioner.store.timings import Timings, lesson

RECORDER_ATTEMPTS = 40
"""So often a `watch` in another terminal is waited for, a quarter of a second each."""


RESUMED_GRACE = 120.0
"""Seconds that `up` waits at least when it takes up an installation again."""

IN_THE_GUEST = (PassBootPrompt, WaitReady, ShakeHands, RemoveAnswerDisc, RotatePassword)
"""Steps while the guest installs itself: what interrupts them undoes nothing."""


def execute(plan: MachinePlan, world: World, *, keep_failed: bool, detach: bool) -> bool:
    """Performs every step the journal does not call done. Raises what a step raised.

    The state must be saved as `building` before; this moves it to `installing` and `ready`.
    With `detach` it stops before the wait, and the next `up` takes that up; False then.
    """
    with recording(world):
        completed = world.store.journal.completed()
        started_again = _power_on_again(plan, world, completed)
        recorder = Recorder(
            store=world.store,
            clock=world.clock,
            console=world.console,
            began=_started(plan, world),
        )
        guest = Guest(world=world, watch=Watch(world, plan.name, recorder))
        if completed:
            guest.watch.resume()
        if started_again:
            guest.watch.started(_expected(plan, world))
        run = _Run(plan=plan, world=world, guest=guest, keep_failed=keep_failed)
        for number, step in enumerate(plan.steps):
            if number in completed:
                continue
            if detach and isinstance(step, WaitReady):
                recorder.note("ended", {"outcome": "detached"})
                return False
            run.step(number, step)
        if not guest.listener.heard.ready:
            recorder.note("ready", {"evidence": "everything that was waited for has come"})
        finish(world)
        recorder.note("ended", {"outcome": "ready"})
        _learn(plan, world)
        say_ready(plan, guest)
        return True


@frozen
class _Run:
    """One run of a plan: what its steps have in common."""

    plan: MachinePlan
    world: World
    guest: Guest
    keep_failed: bool

    def step(self, number: int, step: Step) -> None:
        """Performs one step; when it fails, undoes or leaves what has to be."""
        world, store = self.world, self.world.store
        waits = isinstance(step, IN_THE_GUEST)
        try:
            world.console.event("step", {"step": number, "text": describe(step)})
            with self._remembering(needed=not waits):
                store.journal.begin(number, undo_of(step))
            if isinstance(step, StartDomain):
                store.update(phase=Phase.INSTALLING, started=world.clock.now())
                self.guest.watch.recorder.began = world.clock.monotonic()
            perform(step, world, self.guest)
            if isinstance(step, WaitReady):
                _keep_outputs(self.guest, world)
            with self._remembering(needed=not waits):
                store.journal.done(number)
            if isinstance(step, StartDomain):
                self.guest.watch.started(_expected(self.plan, world))
            if isinstance(step, RemoveAnswerDisc):
                self.guest.watch.recorder.note("ejected")
        except GuestError as err:
            self._guest_failed(err)
            raise
        except InterruptedByUser:
            self.guest.watch.recorder.note("ended", {"outcome": "stopped"})
            if not waits:
                roll_back(world)
            raise
        except KeyboardInterrupt as err:
            if waits:
                self.guest.watch.recorder.note("ended", {"outcome": "detached"})
                raise InterruptedByUser(
                    f"{self.plan.name} goes on installing itself",
                    hint="`provisioner up` waits for it again, `provisioner watch "
                    f"{self.plan.name}` looks on, `provisioner delete {self.plan.name}` removes it",
                ) from err
            roll_back(world)
            raise InterruptedByUser("interrupted; everything that was begun is undone") from err
        except BaseException:
            if not waits:
                roll_back(world)
            raise

    @contextmanager
    def _remembering(self, *, needed: bool) -> Iterator[None]:
        """A wait needs no journal: on a full disk the machine goes on installing itself, and at
        worst the next `up` waits for what has come already."""
        try:
            yield
        except OSError as err:
            if needed:
                raise
            self.world.console.warn(f"the journal cannot be written: {err.strerror}; going on")

    def _guest_failed(self, err: GuestError) -> None:
        """Keeps its last words, then the machine itself or nothing of it."""
        world, name = self.world, self.plan.name
        watch = self.guest.watch
        watch.recorder.note("ended", {"outcome": "failed", "message": err.message})
        try:
            save_evidence(world, self.plan, err, watch.listener.heard)
        except (OSError, ProvisionerError) as trouble:  # a full disk must not keep it running
            world.console.warn(f"its last words could not be saved: {trouble}")
        if self.keep_failed or isinstance(err, StepError):
            _keep_outputs(self.guest, world)
            world.store.update(
                phase=Phase.FAILED,
                reason=err.message,
                finished=world.clock.now(),
                failed_step=err.number if isinstance(err, StepError) else None,
            )
            why = "for `up --resume`" if isinstance(err, StepError) else "(--keep-failed)"
            world.console.warn(f"{name} is kept as it is {why}")
        else:
            roll_back(world)


@contextmanager
def recording(world: World) -> Iterator[None]:
    """We are the one who writes the timeline. A `watch` that does so lets go when it sees us."""
    for _attempt in range(RECORDER_ATTEMPTS):
        with world.store.timeline.writing() as ours:
            if ours:
                yield
                return
        world.clock.sleep(0.25)
    yield  # it hangs, perhaps; two who write are better than a machine that is not installed


def _expected(plan: MachinePlan, world: World) -> dict[str, Any]:
    """What earlier runs of the same medium and profile took."""
    usual = _timings(world).usual(learning_keys(plan))
    if not usual.runs:
        return {}
    return {
        "usual": {name: list(pair) for name, pair in usual.stages.items()},
        "usual_total": list(usual.total) if usual.total else None,
        "usual_bytes": usual.bytes,
        "runs": usual.runs,
    }


def _learn(plan: MachinePlan, world: World) -> None:
    try:
        learnt = lesson(world.store.timeline.read()[0])
        if learnt is not None:
            _timings(world).learn(learning_keys(plan), learnt, at=world.clock.now())
    except (OSError, ProvisionerError) as err:
        world.console.warn(f"how long it took could not be remembered: {err}")


def _timings(world: World) -> Timings:
    return Timings(world.store.folder.parent / TIMINGS)


def learning_keys(plan: MachinePlan) -> tuple[str, ...]:
    """What counts as the same installation: the same discs and profile, else the same discs.

    The machine's name is not of the profile here, nor is what follows from the rest.
    """
    wish = {
        path: value
        for path, value in plan.intent.items()
        if not path.startswith(("file.", "secret."))
        and path not in ("name", "domain", "windows.computer_name")
    }
    discs = {path: value for path, value in wish.items() if path.endswith(".fingerprint")}
    return (digest(wish), digest(discs)) if discs else (digest(wish),)


def _keep_outputs(guest: Guest, world: World) -> None:
    """Remembers what steps handed over, besides what they had before the machine was resumed."""
    state = world.store.load()
    before = state.outputs if state is not None else {}
    world.store.update(outputs={**before, **results(guest.listener.heard.about_steps)})


def _started(plan: MachinePlan, world: World) -> float:
    """When the machine was started, on the monotonic clock: a resumed wait counts from there.

    A wait that is taken up after its time limit still gets RESUMED_GRACE to find the guest ready.
    """
    state = world.store.load()
    ago = world.clock.now() - state.started if state is not None and state.started else 0.0
    within = max((step.within for step in plan.steps if isinstance(step, WaitReady)), default=0.0)
    ago = min(ago, max(0.0, within - RESUMED_GRACE))
    return world.clock.monotonic() - max(0.0, ago)


def _power_on_again(plan: MachinePlan, world: World, completed: frozenset[int]) -> bool:
    """Starts a half-installed machine that `down` or a crash of the host turned off: if it did.

    One that is to turn itself off when it is ready has just done so.
    """
    waits = [step for step in plan.steps if isinstance(step, WaitReady)]
    started = any(isinstance(plan.steps[number], StartDomain) for number in completed)
    stopped = world.store.stopped_note.exists()
    if not started or (waits and waits[0].when == "power-off" and not stopped):
        return False
    record = world.hypervisor.domain(plan.name)
    if record is not None and record.state in (DomainState.OFF, DomainState.CRASHED):
        world.store.stopped_note.unlink(missing_ok=True)
        world.console.say(f"{plan.name} was off in the middle of its installation; starting it")
        world.store.update(started=world.clock.now())
        world.hypervisor.start(plan.name)
        return True
    return False


def finish(world: World) -> None:
    """The machine is ready: the replaced one, if any, may go now."""
    state = world.store.load()
    if state is None:
        return
    if state.previous is not None:
        undo(("domain", state.previous.domain), world)
        for name in state.previous.files:
            undo(("file", name), world)
    world.store.update(phase=Phase.READY, previous=None, finished=world.clock.now())
    world.store.journal.clear()


def roll_back(world: World) -> None:
    """Undoes what the journal lists, newest first, and puts a replaced machine back.

    Goes on when one thing cannot be undone, and raises that at the end: the journal then stays,
    so that the next command tries again.
    """
    store = world.store
    trouble: list[BaseException] = []
    for kind in _undo_list(store.journal.entries()):
        try:
            undo(kind, world)
        except Exception as err:
            trouble.append(err)
            world.console.warn(f"could not undo {kind[0]} {kind[1]}: {err}")
    if trouble:
        raise trouble[0]
    state = store.load()
    if state is not None and state.previous is not None:
        if world.hypervisor.domain(state.previous.domain):
            world.hypervisor.rename(state.previous.domain, state.name)
        restored = state.previous
        store.update(
            phase=Phase.READY,
            current=replace(restored, domain=state.name),
            previous=None,
            reason=None,
        )
        world.console.warn(f"the old {state.name} is back in its place, off")
        store.journal.clear()
    elif store.folder.exists():
        store.journal.clear()
        store.clear()


def _undo_list(entries: Iterable[Entry]) -> list[Undo]:
    kinds: list[Undo] = []
    for entry in entries:
        if entry.undo is not None and entry.undo not in kinds:
            kinds.append(entry.undo)
    return kinds[::-1]
