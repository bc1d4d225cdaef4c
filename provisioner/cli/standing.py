"""How a machine stands and how a person reaches it, for `status` and `up`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from provisioner.errors import ProvisionerError

if TYPE_CHECKING:
    from provisioner.cli.story import Story
    from provisioner.run.world import World
    from provisioner.store.machine import MachineStore
    from provisioner.store.timeline import Moment


def status(world: World) -> dict[str, Any]:
    """Everything `status` shows, as JSON members."""
    state = world.store.load()
    record = world.hypervisor.domain(world.store.name)
    ours = record is not None and record.ownership is not None
    drives = world.hypervisor.drives(world.store.name) if ours else ()
    return {
        "phase": state.phase.value if state else None,
        "state": record.state.value if record and ours else None,
        "profile": state.profile if state else None,
        "uri": state.uri if state else world.hypervisor.facts().uri,
        "reason": state.reason if state else None,
        "seconds": _seconds(state.started, state.finished) if state else None,
        "installation": installation(world.store) if state else None,
        "outputs": dict(state.outputs) if state else {},
        "users": list(state.users) if state else [],
        "forwards": {f.service: f.host_port for f in state.current.forwards} if state else {},
        "drives": [
            {"target": drive.target, "medium": drive.medium.path if drive.medium else None}
            for drive in drives
        ],
    }


def installation(store: MachineStore) -> dict[str, Any] | None:
    """How far an installation is, from its timeline; None where there is none."""
    story, moment = _read(store)
    if moment is None:
        return None
    return {
        "stage": story.stage or None,
        "origin": story.origin or None,
        "elapsed": round(_now(story, moment), 1),
        "running": story.running,
        "watched_by": store.holder(),
    }


def installation_line(store: MachineStore, width: int | None) -> str:
    """The running stage in one line; empty where nothing is being installed."""
    story, moment = _read(store)
    return story.live(_now(story, moment), width or 100).strip() if moment is not None else ""


def _read(store: MachineStore) -> tuple[Story, Moment | None]:
    from provisioner.cli.story import Story

    story = Story(live=True)
    moments, _ = store.timeline.read()
    for moment in moments:
        story.take(moment.event, {**moment.members, "origin": moment.origin.value}, None)
    return story, moments[-1] if moments else None


def _now(story: Story, last: Moment) -> float:
    """Seconds since the start; a clock that went back since the last moment adds nothing."""
    return story.elapsed + (max(0.0, time.time() - last.at) if story.running else 0.0)


def ways_in(world: World) -> tuple[str, ...]:
    """How a person reaches a machine that is ready: by what its profile switched on."""
    from provisioner.cli.written import offered
    from provisioner.host.secrets import kept_secret, secret_slot
    from provisioner.plan.domain import DISPLAY
    from provisioner.ports import DomainState
    from provisioner.store.machine import Phase

    state = world.store.load()
    if state is None or state.phase is not Phase.READY:
        return ()
    lines = []
    record = world.hypervisor.domain(world.store.name)
    on = offered(state) | {DISPLAY}
    ports = [f for f in state.current.forwards if f.service in on]
    if record is None or record.state is not DomainState.RUNNING:
        lines.append(f"start it: provisioner up {state.profile}")
    elif ports:
        places = "  ".join(f"{f.service} 127.0.0.1:{f.host_port}" for f in ports)
        lines.append(f"reach it: {places}")
    else:
        try:
            addresses = world.hypervisor.addresses(world.store.name)
        except ProvisionerError:
            addresses = ()
        if addresses:
            lines.append(f"reach it: {'  '.join(addresses)}")
    user = state.users[0] if state.users else ""
    if kept_secret(world.store.secrets_file, secret_slot(user)) is not None:
        lines.append(f"log on as {user}: provisioner secret {world.store.name} {user}")
    return tuple(lines)


def _seconds(started: float | None, finished: float | None) -> float | None:
    if started is None:
        return None
    return round((finished or time.time()) - started, 1)
