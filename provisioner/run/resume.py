"""`up --resume`: goes on with the step that failed in a machine that was kept for that.

The guest takes a restart as the sign to run it again (docs/steps.md). The profile may have changed
in that step and those behind it; the answer disc is then written anew.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from provisioner.errors import FailedError, RefusedError
from provisioner.plan.model import MachinePlan, differences, digest
from provisioner.plan.steps import WriteAnswerDisc
from provisioner.ports import DomainState
from provisioner.run.steps import write_answer_disc
from provisioner.run.world import World
from provisioner.store.machine import MachineState, Phase
from provisioner.store.timeline import Moment, Origin

SHUTDOWN_LIMIT = 60.0
"""Seconds that the guest gets to turn off before its plug is pulled."""

_NUMBERED = re.compile(r"windows\.steps\[([0-9]+)\]|file\.provision/steps/([0-9]+)-")
_LISTED = "file.provision/steps/steps.json"


def resume(plan: MachinePlan, world: World, state: MachineState, wanted: Mapping[str, str]) -> None:
    """Starts the machine again, with a new answer disc where steps have changed.

    RefusedError where no step had failed, or something else has changed. May be called again after
    it was killed half-way.
    """
    if state.failed_step is None:
        raise RefusedError(
            f"{state.name} did not fail in a step: {state.reason}",
            hint="`provisioner up --replace` installs it again",
        )
    before = state.current.intent
    if other := _other_changes(before, wanted, state.failed_step):
        raise RefusedError(
            f"more has changed than step {state.failed_step}, which failed, and those behind it:\n"
            + "\n".join(f"  {line}" for line in other),
            hint="`provisioner up --replace` installs it again from the changed profile",
        )
    _turn_off(world, plan.name)
    if before != wanted:
        for step in plan.steps:
            if isinstance(step, WriteAnswerDisc):
                world.hypervisor.delete_file(step.file_name)
                write_answer_disc(step, world)
        world.console.say("the answer disc was written anew, with the changed steps")
    # What the guest said when it failed is kept beside the other evidence.
    world.store.serial_log.write_bytes(b"")
    world.store.stopped_note.unlink(missing_ok=True)
    world.store.update(
        phase=Phase.INSTALLING,
        started=world.clock.now(),
        finished=None,
        reason=None,
        failed_step=None,
        current=replace(state.current, digest=digest(wanted), intent=dict(wanted)),
    )
    world.store.timeline.append(
        Moment(
            at=world.clock.now(),
            event="resumed",
            origin=Origin.HOST,
            members={"step": state.failed_step, "elapsed": 0.0},
        )
    )
    world.console.say(f"{plan.name} goes on with step {state.failed_step}")
    world.hypervisor.start(plan.name)


def _other_changes(
    before: Mapping[str, str], wanted: Mapping[str, str], failed: int
) -> tuple[str, ...]:
    """What has changed besides the failed step and those behind it, in words."""

    def open_to_change(path: str) -> bool:
        found = _NUMBERED.match(path)
        if found is None:
            return path == _LISTED
        return (int(found[1]) + 1 if found[1] else int(found[2])) >= failed

    return differences(
        {path: text for path, text in before.items() if not open_to_change(path)},
        {path: text for path, text in wanted.items() if not open_to_change(path)},
    )


def _turn_off(world: World, name: str) -> None:
    """Asks it to, and pulls the plug of one that does not."""
    hypervisor, clock = world.hypervisor, world.clock
    record = hypervisor.domain(name)
    if record is None:
        raise RefusedError(
            f"the domain {name} is gone", hint="`provisioner up --replace` makes it anew"
        )
    if record.state in (DomainState.OFF, DomainState.CRASHED):
        return
    try:
        hypervisor.shutdown(name)
    except FailedError:
        hypervisor.destroy(name)
    deadline = clock.monotonic() + SHUTDOWN_LIMIT
    while clock.monotonic() < deadline:
        record = hypervisor.domain(name)
        if record is None or record.state in (DomainState.OFF, DomainState.CRASHED):
            return
        clock.sleep(0.5)
    hypervisor.destroy(name)
