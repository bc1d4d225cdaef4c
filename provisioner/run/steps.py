"""Performs single steps of a plan, and undoes them."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from provisioner.errors import FailedError, GuestError
from provisioner.guest.agent import Agent
from provisioner.image.iso import write_iso
from provisioner.image.overlay import Patch, write_overlay
from provisioner.image.verify import verify_iso
from provisioner.plan.steps import (
    CreateDisk,
    DefineDomain,
    PassBootPrompt,
    RemoveAnswerDisc,
    RotatePassword,
    ShakeHands,
    StartDomain,
    Step,
    WaitReady,
    WriteAnswerDisc,
    WriteBootOverlay,
)
from provisioner.ports import DomainState
from provisioner.run.handshakes import shake_hands
from provisioner.run.waiting import Guest, pass_boot_prompt, wait_ready
from provisioner.run.world import World

START_LIMIT = 30.0
"""Seconds that libvirt may take from paused to running, when somebody else has started it."""

Undo = tuple[str, str]
"""What removes a step's result: `file`, `domain` or `power`, and its subject."""


def undo_of(step: Step) -> Undo | None:
    """How to undo a step, known before it begins; None where there is nothing to undo."""
    match step:
        case WriteAnswerDisc() | WriteBootOverlay() | CreateDisk():
            return "file", step.file_name
        case DefineDomain():
            return "domain", step.name
        case StartDomain():
            return "power", step.name
        case PassBootPrompt() | WaitReady() | ShakeHands() | RemoveAnswerDisc() | RotatePassword():
            return None
        case _:
            assert_never(step)


def perform(step: Step, world: World, guest: Guest) -> None:
    """Does one step. May be called again after a crash in the middle of it."""
    hypervisor = world.hypervisor
    match step:
        case WriteAnswerDisc():
            write_answer_disc(step, world)
        case WriteBootOverlay():
            patch = Patch(offset=step.patch.offset, data=step.patch.data)

            def write_qcow2(path: Path) -> None:
                write_overlay(step.base, path, [patch])

            hypervisor.store_file(step.file_name, write_qcow2)
        case CreateDisk():
            hypervisor.create_disk(step.file_name, step.size)
        case DefineDomain():
            hypervisor.define(step.xml)
        case StartDomain():
            _start(world, step.name)
        case PassBootPrompt():
            pass_boot_prompt(step, guest)
        case WaitReady():
            wait_ready(step, guest)
        case ShakeHands():
            shake_hands(step, guest)
        case RemoveAnswerDisc():
            remove_answer_disc(world, step.name, step.target, step.file_name)
        case RotatePassword():
            rotate_password(step, world)
        case _:
            assert_never(step)


def write_answer_disc(step: WriteAnswerDisc, world: World) -> None:
    """Writes the disc with its secrets into the storage, and compares it with the plan."""

    def write_disc(path: Path) -> None:
        write_iso(step.tree, path, label=step.label, epoch=step.epoch, reveal=world.reveal)
        verify_iso(path, step.tree, reveal=world.reveal)

    world.hypervisor.store_file(step.file_name, write_disc)


def _start(world: World, name: str) -> None:
    """Powers it on. What a killed run had asked for may still be under way: then waits for that."""
    hypervisor, clock = world.hypervisor, world.clock
    record = hypervisor.domain(name)
    if record is not None and record.state is DomainState.RUNNING:
        return
    try:
        hypervisor.start(name)
    except FailedError:
        if not _was_begun_before(world, name):
            raise
        deadline = clock.monotonic() + START_LIMIT
        while clock.monotonic() < deadline:
            record = hypervisor.domain(name)
            if record is None or record.state in (DomainState.OFF, DomainState.CRASHED):
                raise
            if record.state is DomainState.RUNNING:
                return
            clock.sleep(0.5)
        raise


def _was_begun_before(world: World, name: str) -> bool:
    begun = [entry for entry in world.store.journal.entries() if entry.undo == ("power", name)]
    return len(begun) > 1


def remove_answer_disc(world: World, domain: str, target: str, file_name: str) -> None:
    """Ejects the disc that carries the secrets and deletes its file."""
    try:
        world.hypervisor.change_medium(domain, target, None, force=False)
    except FailedError:
        # The guest holds the tray, but it has said that it is done with the disc.
        world.hypervisor.change_medium(domain, target, None, force=True)
    world.hypervisor.delete_file(file_name)


def rotate_password(step: RotatePassword, world: World) -> None:
    """Durable first, then in the guest: whenever this is cut short, the right one is kept.

    FailedError, not GuestError: a machine that is ready is not undone for it.
    """
    state = world.store.load()
    assert state is not None, "a plan is carried out with a state"
    generation = state.current.number
    password = world.secrets.begin_rotation(step.secret, generation=generation, length=step.length)
    agent = Agent(hypervisor=world.hypervisor, clock=world.clock, name=step.name)
    try:
        agent.set_password(step.user, password.reveal())
    except GuestError as err:
        raise FailedError(
            f"{step.user} did not get a new password: {err.message}",
            hint="the machine is installed, and its password the old one; `provisioner up` tries "
            "again",
        ) from err
    world.secrets.end_rotation(step.secret, generation=generation)


def undo(kind: Undo, world: World) -> None:
    """Removes what a step made; no error where it is gone or never came to be."""
    what, subject = kind
    hypervisor = world.hypervisor
    match what:
        case "file":
            hypervisor.delete_file(subject)
        case "domain":
            remove_domain(world, subject)
        case "power":
            record = hypervisor.domain(subject)
            if record and record.ownership:
                hypervisor.destroy(subject)  # even if it is off: a killed run may be starting it
        case _:
            raise FailedError(f"the journal asks to undo {what!r}, which this version cannot")


def remove_domain(world: World, name: str) -> None:
    """Undefines one of our domains, with NVRAM and TPM state, whatever it is doing."""
    record = world.hypervisor.domain(name)
    if record is None or record.ownership is None:
        return
    world.hypervisor.destroy(name)  # even if it is off: a killed run may be starting it
    world.hypervisor.undefine(name)
