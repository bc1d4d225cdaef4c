"""Examines a failed guest before it is undone, and keeps what it left behind."""

from __future__ import annotations

from contextlib import suppress

from provisioner.errors import Autopsy, FailedError, GuestError, ProvisionerError
from provisioner.guest.listener import Heard
from provisioner.plan.model import MachinePlan
from provisioner.plan.show import answer_tree, text_files
from provisioner.run.world import World


def save_evidence(world: World, plan: MachinePlan, error: GuestError, heard: Heard) -> None:
    """Writes the autopsy beside the machines' folders, where it outlives the machine.

    The error gets cause, fix and the page's path; cause and fix also where the page could not be
    written, which is raised then. No secret of the plan is in it, in whatever form a log has it.
    """
    # A whole room, which an `up` that succeeds has no use for.
    from provisioner.autopsy.bundle import bundle_folder, write_bundle
    from provisioner.autopsy.gather import Machine, examine_machine

    at = world.clock.now()
    machine = Machine(
        name=plan.name,
        hypervisor=world.hypervisor,
        store=world.store,
        at=at,
        reason=error.message,
        secrets=_values(world, plan),
        answers=tuple(text_files(answer_tree(plan)).items()),
        lines=tuple(heard.last_lines),
    )
    try:
        case = examine_machine(machine)
    except (OSError, ProvisionerError):
        raise
    except (
        Exception
    ) as err:  # what a hostile guest left must not keep its machine from being undone
        raise FailedError(f"a bug in its autopsy: {type(err).__name__}: {err}") from err
    verdict = case.verdict
    cause, fix = (verdict.cause, verdict.fix) if verdict else ("", "")
    error.autopsy = Autopsy(cause=cause, fix=fix, see="")
    page = write_bundle(case, bundle_folder(world.store.folder.parent, plan.name, at))
    error.autopsy = Autopsy(cause=cause, fix=fix, see=str(page))
    if error.hint:  # the log goes with the machine, its copy stays
        copy = str(page.with_name("serial.log"))
        error.hint = error.hint.replace(str(world.store.serial_log), copy)


def _values(world: World, plan: MachinePlan) -> tuple[str, ...]:
    """The plan's secrets; those that cannot be had now are still masked by their place."""
    found = []
    for name, reference in plan.secrets.items():
        with suppress(ProvisionerError):
            found.append(world.secrets.resolve(name, reference).reveal())
    return tuple(found)
