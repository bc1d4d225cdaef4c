"""What the answer disc takes over from a virtio driver disc, as slices of it.

Folders of `$WinPEDriver$` are loaded by Setup from the root of any medium, without a drive letter,
and handed on to the installed Windows (windows-setup.md §3.9, Microsoft KB 2686316). The rest is
added by the first-logon script.
"""

from __future__ import annotations

from collections.abc import Sequence

from provisioner.errors import MediaError
from provisioner.frozen import frozen
from provisioner.media.facts import Edition, Extent, MediaFacts
from provisioner.media.virtio import DRIVERS, guest_tools, os_folders, select
from provisioner.profile.machine import Machine
from provisioner.tree import Entry, File, Slice

IN_SETUP = "$WinPEDriver$"
AFTER_SETUP = "drivers"
AGENT = "provision/agent/qemu-ga.msi"
WITH_AGENT = ("amd64",)
"""Architectures of Windows that virtio-win has a guest agent for (windows-setup.md §8.1)."""
LATER = ("balloon",)
"""Devices of our domain that Windows runs without; drivers are taken where the disc has them."""
IN_TIME = ("virtio-scsi",)
"""Devices that a template of the user's own may add, and that Setup itself needs."""


@frozen
class DriverFiles:
    """Entries for the answer disc, and the drivers' names for people."""

    entries: tuple[tuple[str, Entry], ...]
    in_setup: tuple[str, ...]
    later: tuple[str, ...]
    agent: bool
    """Whether the guest agent's installer is among them."""
    folder: str
    """Which of the driver disc's folders they come from: `w11/amd64`."""


def collect(
    drivers: MediaFacts, machine: Machine, edition: Edition, devices: Sequence[str] = ()
) -> DriverFiles:
    """The drivers of the devices this machine has, and the guest agent's installer.

    `devices` (keys of `DRIVERS`) are those of its domain that no profile names; the disc may lack
    them. MediaError where it lacks a driver of the others, or an agent that there should be.
    """
    build, server = edition.version[2], edition.installation_type.casefold().startswith("server")
    architecture = edition.architecture
    needed = []
    if any(disk.bus in (None, "virtio") for disk in machine.disks):
        needed.append("virtio-blk")
    if any(network.model in (None, "virtio") for network in machine.networks):
        needed.append("virtio-net")
    if architecture in WITH_AGENT:
        # Early, so that the agent's channel works as soon as the agent is there.
        needed.append("virtio-serial")
    there = {path.rpartition("/")[0].casefold() for path in drivers.files}
    folders = os_folders(build, server=server)
    others = [
        device
        for device in dict.fromkeys((*LATER, *devices))
        if any(
            f"{DRIVERS[device]}/{folder}/{architecture}".casefold() in there for folder in folders
        )
    ]
    needed += [device for device in others if device in IN_TIME]
    later = [device for device in others if device not in IN_TIME]
    chosen = select(
        drivers, [*needed, *later], build=build, server=server, architecture=architecture
    )
    entries: list[tuple[str, Entry]] = []
    for number, driver in enumerate(chosen):
        place = IN_SETUP if number < len(needed) else AFTER_SETUP
        for name, extents in driver.files.items():
            entries.append((f"{place}/{driver.name}/{name}", _file(drivers, extents)))
    if architecture in WITH_AGENT:
        agent = guest_tools(drivers, architecture=architecture).agent
        if agent is None:
            raise MediaError(
                f"{drivers.path.name} has no guest agent for {architecture}",
                hint="take a complete virtio-win.iso",
            )
        entries.append((AGENT, _file(drivers, agent.extents)))
    return DriverFiles(
        entries=tuple(entries),
        in_setup=tuple(driver.name for driver in chosen[: len(needed)]),
        later=tuple(driver.name for driver in chosen[len(needed) :]),
        agent=architecture in WITH_AGENT,
        folder=chosen[0].folder.partition("/")[2] if chosen else "",
    )


def _file(disc: MediaFacts, extents: tuple[Extent, ...]) -> File:
    return File(
        content=tuple(
            Slice(image=disc.path, offset=extent.offset, length=extent.length) for extent in extents
        )
    )
