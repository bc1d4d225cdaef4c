"""`up`, `down` and `delete`: decides what has to happen to a machine, from what is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Literal

from provisioner.errors import FailedError, HostError, InterruptedByUser, RefusedError
from provisioner.frozen import frozen
from provisioner.plan.model import MachinePlan, differences, digest
from provisioner.ports import DomainState
from provisioner.run.execute import execute, finish, roll_back
from provisioner.run.steps import remove_domain
from provisioner.run.world import World
from provisioner.store.machine import Forward, Generation, MachineState, Phase

Compile = Callable[[int, Mapping[str, int]], MachinePlan]
"""Makes the plan of a generation, with the loopback port chosen for each service."""


class Outcome(StrEnum):
    """What `up` found or did."""

    INSTALLED = "installed"
    INSTALLING = "installing"
    STARTED = "started"
    NOTHING = "nothing to do"


@frozen
class UpOptions:
    """Switches of `up`."""

    replace: bool = False
    keep_failed: bool = False
    detach: bool = False
    profile: str = ""
    choose_ports: Callable[[int], tuple[int, ...]]
    """Gives that many free loopback ports."""


def up(compile_plan: Compile, world: World, options: UpOptions) -> Outcome:
    """Brings the machine to what the plan wants. The caller holds the machine's lock."""
    try:
        return _up(compile_plan, world, options)
    except BaseException as err:
        undone = _undo_begun(world)
        if world.store.folder.exists() and not world.store.exists():
            world.store.clear()  # nothing was begun; leave no empty folder
        if undone and isinstance(err, KeyboardInterrupt):
            raise InterruptedByUser("interrupted; everything that was begun is undone") from err
        raise


def _undo_begun(world: World) -> bool:
    """Undoes what Ctrl-C between two steps, or a second one while undoing, has left."""
    state = world.store.load()
    if state is None or state.phase is not Phase.BUILDING:
        return False
    roll_back(world)
    return True


def _up(compile_plan: Compile, world: World, options: UpOptions) -> Outcome:
    world.store.prepare()
    state = settle(world)
    plan = compile_plan(state.current.number if state else 1, _ports(state))
    if plan.not_started:
        raise HostError(
            plan.not_started,
            hint="`provisioner plan` shows it, and `provisioner build` writes its discs",
        )
    _refuse_foreign(world, plan.name, state)
    wanted = _digest(plan, world)
    if state is None:
        return _install(compile_plan, world, options, number=1, previous=None)
    if state.current.digest == digest(wanted) and state.phase is Phase.INSTALLING:
        if world.hypervisor.domain(plan.name) is None:
            roll_back(world)
            return _up(compile_plan, world, options)
        world.console.say(f"{plan.name} is being installed already; waiting for it")
        return _execute(plan, world, options)
    if state.current.digest == digest(wanted) and state.phase is Phase.READY:
        return _power_on(world, plan.name)
    if not options.replace:
        raise _needs_replace(plan.name, state, wanted)
    return _replace(compile_plan, world, options, state)


def down(world: World, name: str, *, within: float, force: bool) -> Literal["off", "was off"]:
    """Shuts a machine down and keeps everything. FailedError when it does not turn off in time.

    Needs no lock: an `up` that waits for this machine in another terminal sees the note, stops
    waiting and undoes nothing.
    """
    record = world.hypervisor.domain(name)
    if record is None:
        raise FailedError(f"there is no machine {name}", hint="`provisioner list` shows them all")
    if record.ownership is None:
        raise RefusedError(f"the domain {name} was not made by provisioner; it is left alone")
    if record.state in (DomainState.OFF, DomainState.CRASHED):
        return "was off"
    if world.store.folder.exists():
        world.store.stopped_note.touch(mode=0o600)
    if force:
        world.hypervisor.destroy(name)
        return "off"
    world.hypervisor.shutdown(name)
    deadline = world.clock.monotonic() + within
    while world.clock.monotonic() < deadline:
        record = world.hypervisor.domain(name)
        if record is None or record.state in (DomainState.OFF, DomainState.CRASHED):
            return "off"
        world.clock.sleep(0.5)
    world.store.stopped_note.unlink(missing_ok=True)
    raise FailedError(
        f"{name} did not turn itself off within {within:.0f} s",
        hint=f"`provisioner down {name} --force` pulls the plug",
    )


def belongings(world: World, name: str) -> tuple[str, ...]:
    """What `delete` would remove, one line each; empty when there is nothing of that name."""
    lines = []
    state = _readable_state(world)
    domains = {name, *((state.previous.domain,) if state and state.previous else ())}
    for domain in sorted(domains):
        record = world.hypervisor.domain(domain)
        if record and record.ownership:
            lines.append(f"domain {domain} ({record.state}), with its NVRAM and TPM state")
    stored = world.hypervisor.stored_files()
    folder = world.hypervisor.facts().storage.folder
    lines += [f"file {folder}/{file}" for file in _files(world, state) if file in stored]
    if world.store.folder.exists():
        lines.append(f"folder {world.store.folder} (state, secrets, serial log)")
    return tuple(lines)


def delete(world: World, name: str) -> None:
    """Removes a machine: domain, NVRAM, TPM state, disks, discs, state. Foreign ones are refused.

    May be called again after it was killed half-way.
    """
    state = _readable_state(world)
    record = world.hypervisor.domain(name)
    if record is not None and record.ownership is None:
        raise RefusedError(
            f"the domain {name} was not made by provisioner; it is left alone",
            hint="remove it with the tool that made it",
        )
    files = _files(world, state)
    remove_domain(world, name)
    if state is not None and state.previous is not None:
        remove_domain(world, state.previous.domain)
    for file in files:
        world.hypervisor.delete_file(file)
    if world.store.folder.exists():
        world.store.remove()


def _readable_state(world: World) -> MachineState | None:
    """The state, or None where its file is damaged: what can be found without it still goes."""
    try:
        return world.store.load()
    except FailedError as err:
        world.console.warn(err.message)
        return None


def _files(world: World, state: MachineState | None) -> tuple[str, ...]:
    """Names of the machine's stored files: what the state lists and what the journal began."""
    files = dict.fromkeys(
        entry.undo[1]
        for entry in world.store.journal.entries()
        if entry.undo is not None and entry.undo[0] == "file"
    )
    for generation in (state.current, state.previous) if state else ():
        files.update(dict.fromkeys(generation.files if generation else ()))
    return tuple(files)


def settle(world: World) -> MachineState | None:
    """The state after a crashed run was finished or cleaned up."""
    state = world.store.load()
    entries = world.store.journal.entries()
    if state is None or state.phase is Phase.BUILDING:
        if entries or state is not None:
            world.console.warn("an earlier run was interrupted; cleaning up what it began")
            roll_back(world)
            world.store.prepare()
        return world.store.load()
    if state.phase is Phase.READY and (entries or state.previous is not None):
        finish(world)
        return world.store.load()
    return state


def _refuse_foreign(world: World, name: str, state: MachineState | None) -> None:
    record = world.hypervisor.domain(name)
    if record is None:
        return
    if record.ownership is None:
        raise RefusedError(
            f"a domain named {name} exists already and was not made by provisioner",
            hint="choose another `name`, or remove that domain with the tool that made it",
        )
    if state is None:
        raise RefusedError(
            f"a machine {name} exists already, made from {record.ownership.profile} by another "
            "user or with another state folder",
            hint="choose another `name`, or use the account that made it",
        )


def _refuse_taken(world: World, plan: MachinePlan) -> None:
    """A file that is there already is somebody else's: a failed run would undo it."""
    taken = sorted(set(plan.files) & set(world.hypervisor.stored_files()))
    if taken:
        folder = world.hypervisor.facts().storage.folder
        raise RefusedError(
            f"{folder} already holds {', '.join(taken)}, which no machine of yours made",
            hint="choose another `name`, or move those files away",
        )


def _digest(plan: MachinePlan, world: World) -> dict[str, str]:
    """The plan's intent with a keyed fingerprint of every secret (house §5)."""
    prints = {
        f"secret.{name}": world.secrets.fingerprint(world.secrets.resolve(name, reference))
        for name, reference in plan.secrets.items()
    }
    return {**plan.intent, **prints}


def _ports(state: MachineState | None) -> dict[str, int]:
    return {f.service: f.host_port for f in state.current.forwards} if state else {}


def _power_on(world: World, name: str) -> Outcome:
    record = world.hypervisor.domain(name)
    if record is None:
        raise FailedError(
            f"the domain {name} is gone, but its disk and state are still here",
            hint=f"`provisioner delete {name}` clears them, then `up` makes it anew",
        )
    if record.state in (DomainState.OFF, DomainState.CRASHED):
        world.store.stopped_note.unlink(missing_ok=True)
        world.hypervisor.start(name)
        return Outcome.STARTED
    return Outcome.NOTHING


def _needs_replace(name: str, state: MachineState, wanted: Mapping[str, str]) -> RefusedError:
    if state.phase is Phase.FAILED and state.current.digest == digest(wanted):
        return RefusedError(
            f"{name} failed to install: {state.reason}",
            hint="`provisioner up --replace` installs it again",
        )
    lines = differences(state.current.intent, wanted) or ("nothing that can be named",)
    busy = "is being installed" if state.phase is Phase.INSTALLING else "is installed"
    return RefusedError(
        f"{name} {busy} from a different plan:\n" + "\n".join(f"  {line}" for line in lines),
        hint="`provisioner up --replace` makes it anew; the old disk is kept until that is ready",
    )


def _replace(
    compile_plan: Compile, world: World, options: UpOptions, state: MachineState
) -> Outcome:
    """Sets the present machine aside, under another name, and installs the next generation."""
    name, number = state.name, state.current.number + 1
    if state.phase is not Phase.READY:
        roll_back(world)  # what did not become ready is not kept; what it replaced comes back
        state_now = world.store.load()
        if state_now is None:
            world.store.prepare()
            return _install(compile_plan, world, options, number=number, previous=None)
        state = state_now
    aside = f"{name}.replaced-{state.current.number}"
    previous = replace(state.current, domain=aside)
    record = world.hypervisor.domain(name)
    if record is None:  # somebody undefined it; only its files are left to be replaced
        return _install(compile_plan, world, options, number=number, previous=previous)
    if record.state not in (DomainState.OFF, DomainState.CRASHED):
        down(world, name, within=120, force=False)
    # Saved before the rename: whichever of the two names exists, the next run finds it.
    world.store.update(previous=previous, phase=Phase.BUILDING)
    world.hypervisor.rename(name, aside)
    return _install(compile_plan, world, options, number=number, previous=previous)


def _install(
    compile_plan: Compile,
    world: World,
    options: UpOptions,
    *,
    number: int,
    previous: Generation | None,
) -> Outcome:
    draft = compile_plan(number, {})
    _refuse_taken(world, draft)
    chosen = options.choose_ports(len(draft.forwards))
    ports = {f.service: port for f, port in zip(draft.forwards, chosen, strict=True)}
    plan = compile_plan(number, ports)
    intent = _digest(plan, world)
    world.store.journal.clear()
    world.store.stopped_note.unlink(missing_ok=True)
    world.store.serial_log.write_bytes(b"")
    world.store.save(
        MachineState(
            name=plan.name,
            uri=world.hypervisor.facts().uri,
            phase=Phase.BUILDING,
            profile=options.profile,
            previous=previous,
            users=plan.users,
            current=Generation(
                number=number,
                domain=plan.name,
                digest=digest(intent),
                files=plan.files,
                answer_drive=plan.answer_drive,
                answer_file=plan.answer_file,
                forwards=tuple(
                    Forward(service=f.service, guest_port=f.guest_port, host_port=f.host_port)
                    for f in plan.forwards
                ),
                intent=intent,
            ),
        )
    )
    return _execute(plan, world, options)


def _execute(plan: MachinePlan, world: World, options: UpOptions) -> Outcome:
    ready = execute(plan, world, keep_failed=options.keep_failed, detach=options.detach)
    return Outcome.INSTALLED if ready else Outcome.INSTALLING
