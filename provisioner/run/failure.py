"""Saves what a failed guest leaves behind before it is undone: the only clue to the reason."""

from __future__ import annotations

import time
from contextlib import suppress

from provisioner.errors import GuestError, ProvisionerError
from provisioner.guest import steps
from provisioner.guest.listener import Heard
from provisioner.plan.model import MachinePlan
from provisioner.run.world import World


def save_evidence(world: World, plan: MachinePlan, error: GuestError, heard: Heard) -> None:
    """Keeps screenshot, serial log, stored XML and the reason in a folder of their own.

    The folder stands beside the machines' and outlives the machine. Nothing in it is secret: the
    stored XML holds none, and a guest is never told to print one.
    """
    folder = world.store.folder.parent / "failures" / f"{plan.name}-{_stamp(world.clock.now())}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "reason.txt").write_text(f"{error.message}\n{error.hint or ''}\n")
    (folder / "last-lines.txt").write_text("\n".join(heard.last_lines) + "\n")
    if told := [*steps.log(heard.frames)]:
        (folder / "steps.log").write_text("\n".join(told) + "\n")
    with suppress(ProvisionerError):  # it may have turned itself off, or have no display
        picture = world.hypervisor.screenshot(plan.name)
        suffix = "png" if picture.media_type == "image/png" else "ppm"
        (folder / f"screen.{suffix}").write_bytes(picture.data)
    with suppress(ProvisionerError):  # where libvirt is gone, the rest is worth keeping
        (folder / "domain.xml").write_text(world.hypervisor.domain_xml(plan.name))
    if world.store.serial_log.exists():
        (folder / "serial.log").write_bytes(world.store.serial_log.read_bytes())
    kept = f"screenshot, serial log and XML: {folder}"
    error.hint = f"{error.hint}\n{kept}" if error.hint else kept


def _stamp(now: float) -> str:
    return time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
