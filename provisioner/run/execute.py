"""Runs a plan's steps with a journal, undoes them when one fails, and takes up where one stopped.

Before the machine is started a failure, Ctrl-C included, undoes everything. A guest that fails is
undone too, after its last words were saved. Ctrl-C while the guest installs itself leaves it
installing: the work is recorded, and the next `up` goes on waiting.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from provisioner.errors import GuestError, InterruptedByUser, ProvisionerError
from provisioner.guest.listener import Listener
from provisioner.plan.model import MachinePlan
from provisioner.plan.steps import (
    PassBootPrompt,
    RemoveAnswerDisc,
    RotatePassword,
    StartDomain,
    WaitReady,
    describe,
)
from provisioner.ports import DomainState
from provisioner.run.failure import save_evidence
from provisioner.run.steps import Undo, perform, undo, undo_of
from provisioner.run.waiting import Guest
from provisioner.run.world import World
from provisioner.store.journal import Entry
from provisioner.store.machine import Phase

GOES_ON = WaitReady | PassBootPrompt | RemoveAnswerDisc | RotatePassword
"""Steps with a machine that is there: what ends them ends only the watching."""

RESUMED_GRACE = 120.0
"""Seconds that `up` waits at least when it takes up an installation again."""


def execute(plan: MachinePlan, world: World, *, keep_failed: bool, detach: bool) -> bool:
    """Performs every step the journal does not call done. Raises what a step raised.

    The state must be saved as `building` before; this moves it to `installing` and `ready`.
    With `detach` it stops before the wait, and the next `up` takes that up; False then.
    """
    store, console = world.store, world.console
    completed = store.journal.completed()
    _power_on_again(plan, world, completed)
    guest = Guest(world=world, listener=Listener(world.serial), started=_started(plan, world))
    for number, step in enumerate(plan.steps):
        if number in completed:
            continue
        if detach and isinstance(step, WaitReady):
            return False
        try:
            console.event("step", {"step": number, "text": describe(step)})
            store.journal.begin(number, undo_of(step))
            if isinstance(step, StartDomain):
                store.update(phase=Phase.INSTALLING, started=world.clock.now())
                guest = Guest(world=world, listener=guest.listener, started=world.clock.monotonic())
            perform(step, world, guest)
            store.journal.done(number)
        except GuestError as err:
            try:
                save_evidence(world, plan, err, guest.listener.heard)
            except (OSError, ProvisionerError) as trouble:  # a full disk must not keep it running
                console.warn(f"its last words could not be saved: {trouble}")
            if keep_failed:
                store.update(phase=Phase.FAILED, reason=err.message, finished=world.clock.now())
                console.warn(f"{plan.name} is kept as it is (--keep-failed)")
            else:
                roll_back(world)
            raise
        except KeyboardInterrupt as err:
            if isinstance(step, GOES_ON):
                raise InterruptedByUser(
                    f"{plan.name} goes on installing itself",
                    hint=f"`provisioner up` waits for it again, `provisioner delete {plan.name}` "
                    "removes it",
                ) from err
            roll_back(world)
            raise InterruptedByUser("interrupted; everything that was begun is undone") from err
        except BaseException:
            if not isinstance(step, GOES_ON):
                roll_back(world)
            raise
    finish(world)
    return True


def _started(plan: MachinePlan, world: World) -> float:
    """When the machine was started, on the monotonic clock: a resumed wait counts from there.

    A wait that is taken up after its time limit still gets RESUMED_GRACE to find the guest ready.
    """
    state = world.store.load()
    ago = world.clock.now() - state.started if state is not None and state.started else 0.0
    within = max((step.within for step in plan.steps if isinstance(step, WaitReady)), default=0.0)
    ago = min(ago, max(0.0, within - RESUMED_GRACE))
    return world.clock.monotonic() - max(0.0, ago)


def _power_on_again(plan: MachinePlan, world: World, completed: frozenset[int]) -> None:
    """Starts a half-installed machine that `down` or a crash of the host turned off.

    One that is to turn itself off when it is ready has just done so.
    """
    waits = [step for step in plan.steps if isinstance(step, WaitReady)]
    started = any(isinstance(plan.steps[number], StartDomain) for number in completed)
    stopped = world.store.stopped_note.exists()
    if not started or (waits and waits[0].when == "power-off" and not stopped):
        return
    record = world.hypervisor.domain(plan.name)
    if record is not None and record.state in (DomainState.OFF, DomainState.CRASHED):
        world.store.stopped_note.unlink(missing_ok=True)
        world.console.say(f"{plan.name} was off in the middle of its installation; starting it")
        world.store.update(started=world.clock.now())
        world.hypervisor.start(plan.name)


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
