"""Rules across the keys of a profile about what Windows runs on: a virtual machine, or a PC."""

from __future__ import annotations

from collections.abc import Iterator

from provisioner.errors import Severity
from provisioner.profile.disks import WindowsDisk
from provisioner.profile.fields import Path
from provisioner.profile.metal import DiskChoice
from provisioner.profile.model import Profile
from provisioner.profile.places import Finding

SMALLEST_MEMORY = 512 * 1024**2
"""Below this not even Setup's own small Windows starts."""


def machine_or_metal(profile: Profile) -> Iterator[Finding]:
    """A profile describes one of them."""
    if profile.metal is not None and "machine" in profile.model_fields_set:
        yield Finding(
            path=("metal",),
            message="a profile is for a virtual machine or for a physical PC, not for both",
            rule="profile.machine-or-metal",
            hint="remove `machine` or `metal`; `machine: null` takes an inherited one away",
            on_key=True,
        )


def metal_drivers(profile: Profile) -> Iterator[Finding]:
    """A physical PC takes nothing from a virtio driver disc."""
    if profile.metal is not None and profile.media.drivers is not None:
        yield Finding(
            path=("media", "drivers"),
            message="a physical PC has no virtio devices; nothing is taken from this driver disc",
            rule="media.drivers-unused",
            severity=Severity.WARNING,
            hint="remove the key",
        )


def metal_disk(profile: Profile) -> Iterator[Finding]:
    """Erasing a disk of a PC takes a disk that is named and a word that says so."""
    metal = profile.metal
    if metal is None:
        return
    if isinstance(metal.disk, WindowsDisk):
        if metal.wipe:
            yield Finding(
                path=("metal", "wipe"),
                message="a disk by number says itself whether it is erased",
                rule="metal.wipe",
                hint="remove `wipe`; write `policy: wipe` or `policy: keep` under `disk`",
            )
        return
    if metal.wipe and metal.disk is None:
        yield Finding(
            path=("metal", "wipe"),
            message="a disk may be erased, and nothing says which",
            rule="metal.wipe",
            hint="add `disk: {serial: ...}`, or `disk: only` for a PC with one disk",
        )
    if metal.disk is not None and not metal.wipe:
        yield Finding(
            path=("metal", "disk"),
            message="a disk is named, and it may not be erased: Setup asks which disk to take",
            rule="metal.wipe",
            severity=Severity.WARNING,
            hint="add `wipe: true`, or remove `disk`",
        )
    if isinstance(metal.disk, DiskChoice) and not metal.disk.model_dump(exclude_none=True):
        yield Finding(
            path=("metal", "disk"),
            message="nothing is said of the disk",
            rule="metal.disk",
            hint="say its serial, model, size or bus, or write `disk: only`",
        )
    if metal.answers == "first-start" and metal.wipe:
        yield Finding(
            path=("metal", "answers"),
            message="with `first-start` Setup asks which disk to take, and `wipe` means nothing",
            rule="metal.wipe",
            severity=Severity.WARNING,
            hint="use `answers: setup`, or remove `disk` and `wipe`",
        )


def _firmware(profile: Profile) -> Path:
    return ("machine" if profile.metal is None else "metal", "firmware")


def ready(profile: Profile) -> Iterator[Finding]:
    """The sign of being ready needs what gives it."""
    if profile.machine.ready.when == "agent" and profile.windows.architecture == "arm64":
        yield Finding(
            path=("machine", "ready", "when"),
            message="there is no guest agent for arm64",
            rule="machine.ready-agent",
            hint="use `when: serial`, or leave the key out",
        )
    elif profile.machine.ready.when == "agent" and profile.media.drivers is None:
        yield Finding(
            path=("machine", "ready", "when"),
            message="the guest agent comes from a driver disc, and none is given",
            rule="machine.ready-agent",
            hint="add media.drivers (virtio-win.iso), or use `when: serial`",
        )


def probes(profile: Profile) -> Iterator[Finding]:
    """A handshake needs a network, a running machine, and somebody who answers."""
    wanted = profile.machine.ready.probes
    if not wanted:
        return
    path: Path = ("machine", "ready", "probes")
    if profile.machine.ready.when == "power-off":
        yield Finding(
            path=path,
            message="a machine that turns itself off shakes no hands",
            rule="machine.ready-probes",
            hint="remove `probes`, or wait for the agent or the serial port",
        )
    elif not profile.machine.networks:
        yield Finding(
            path=path,
            message="nobody shakes hands without a network interface",
            rule="machine.ready-probes",
            hint="remove `probes`, or add one to machine.networks",
        )
    remote = profile.windows.remote
    for service, given in (("rdp", remote.rdp), ("winrm", remote.winrm)):
        if service in wanted and not given:
            yield Finding(
                path=path,
                message=f"{service} has to shake hands, and windows.remote does not switch it on",
                rule="machine.ready-probes",
                severity=Severity.WARNING,
                hint="switch it on there, unless a step does",
            )


def virtio_disks(profile: Profile) -> Iterator[Finding]:
    """Setup sees a virtio disk only with its driver."""
    other = "nvme" if profile.windows.architecture == "arm64" else "sata"
    for index, disk in enumerate(profile.machine.disks):
        if disk.bus == "virtio" and profile.media.drivers is None:
            yield Finding(
                path=("machine", "disks", index, "bus"),
                message="Windows Setup cannot see a virtio disk without a driver disc",
                rule="machine.virtio-drivers",
                hint=f"add media.drivers (virtio-win.iso), or use `bus: {other}`",
            )


def virtio_networks(profile: Profile) -> Iterator[Finding]:
    """Windows sees a virtio card only with its driver."""
    if profile.windows.architecture == "arm64":
        if profile.metal is None and profile.machine.networks and profile.media.drivers is None:
            yield Finding(
                path=("windows", "architecture"),
                message="Windows for arm64 has no driver of its own for a network card, and no "
                "driver disc is given",
                rule="machine.virtio-drivers",
                severity=Severity.WARNING,
                hint="add media.drivers (virtio-win.iso); without it Windows has no network",
            )
        return
    for index, network in enumerate(profile.machine.networks):
        if network.model == "virtio" and profile.media.drivers is None:
            yield Finding(
                path=("machine", "networks", index, "model"),
                message="Windows has no driver for a virtio network without a driver disc",
                rule="machine.virtio-drivers",
                severity=Severity.WARNING,
                hint="add media.drivers (virtio-win.iso), or use `model: e1000e`",
            )


def arm64(profile: Profile) -> Iterator[Finding]:
    """Machines for arm64 have UEFI only, and no devices of a PC (QEMU's board `virt`)."""
    if profile.windows.architecture != "arm64":
        return
    machine = profile.machine
    if profile.firmware == "bios":
        yield Finding(
            path=_firmware(profile),
            message="machines for arm64 have no BIOS",
            rule="machine.architecture",
            hint="use `firmware: secure-boot` or `firmware: uefi`",
        )
    for index, disk in enumerate(machine.disks):
        if disk.bus == "sata":
            yield Finding(
                path=("machine", "disks", index, "bus"),
                message="machines for arm64 have no SATA disks",
                rule="machine.architecture",
                hint="leave `bus` out: it is virtio with a driver disc, otherwise nvme",
            )
    for index, network in enumerate(machine.networks):
        if network.model == "e1000e":
            yield Finding(
                path=("machine", "networks", index, "model"),
                message="Windows for arm64 has no driver for an e1000e card",
                rule="machine.architecture",
                hint="leave `model` out, and add media.drivers (virtio-win.iso)",
            )


def hardware_checks(profile: Profile) -> Iterator[Finding]:
    """Windows 11 wants UEFI that can do Secure Boot, and TPM 2.0 (facts: windows-setup.md 3.10)."""
    if profile.windows.product != "windows-11" or profile.windows.hardware_checks == "bypass":
        return
    bypass = "or set windows.hardware_checks: bypass"
    if profile.firmware == "bios":
        yield Finding(
            path=_firmware(profile),
            message="Windows 11 refuses to install with BIOS firmware",
            rule="machine.hardware-checks",
            hint=f"use `firmware: secure-boot`, {bypass}",
        )
    if profile.metal is None and not profile.machine.tpm:
        yield Finding(
            path=("machine", "tpm"),
            message="Windows 11 refuses to install without a TPM",
            rule="machine.hardware-checks",
            hint=f"use `tpm: true`, {bypass}",
        )


def bypass_elsewhere(profile: Profile) -> Iterator[Finding]:
    """Only Windows 11 has checks to bypass."""
    if profile.windows.hardware_checks == "bypass" and profile.windows.product != "windows-11":
        yield Finding(
            path=("windows", "hardware_checks"),
            message=f"{profile.windows.product} has no hardware checks to bypass",
            rule="machine.hardware-checks",
            severity=Severity.WARNING,
            hint="remove the key",
        )


def memory(profile: Profile) -> Iterator[Finding]:
    """Enough for Setup's own small Windows."""
    if profile.machine.memory.bytes < SMALLEST_MEMORY:
        yield Finding(
            path=("machine", "memory"),
            message=f"Windows does not start with {profile.machine.memory} of memory",
            rule="machine.memory",
            hint="4 GiB is the least Windows 11 accepts; servers start with 2 GiB",
        )


def addresses(profile: Profile) -> Iterator[Finding]:
    """Each card has an address of its own."""
    seen: set[str] = set()
    for index, network in enumerate(profile.machine.networks):
        if network.mac is not None and network.mac in seen:
            yield Finding(
                path=("machine", "networks", index, "mac"),
                message=f"MAC address {network.mac} appears twice",
                rule="machine.mac",
                hint="remove it; one is made from the machine's name",
            )
        if network.mac is not None:
            seen.add(network.mac)
