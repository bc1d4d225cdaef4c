"""The libvirt domain of a machine: devices and paths, rendered through its template.

Firmware is asked for by feature, never by file name, and both features are always stated:
left out, libvirt 9 picks the build with Secure Boot and Microsoft's keys (libvirt.md trap 2).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

from markupsafe import Markup

from provisioner import __version__
from provisioner.errors import FailedError
from provisioner.frozen import frozen
from provisioner.ownership import format_ownership
from provisioner.ports import HostFacts, Mode, Ownership
from provisioner.profile.cards import mac_of
from provisioner.profile.machine import Disk, Network
from provisioner.profile.model import Profile
from provisioner.templating import Templates

SERVICES = (("rdp", 3389), ("winrm", 5986), ("ssh", 22))
"""What a user-mode network forwards from loopback."""

DISPLAY = "display"
"""The remote display's own port. Every embedded driver counts from 5900 by itself, so two machines
would pick the same one; a daemon keeps count for all of its machines."""

NOT_STARTED = (
    "machines of another architecture than this host's are planned but not started yet: "
    "arm64 is unproven"
)
"""Why `up` refuses a machine for arm64."""

NAMESPACE = uuid.UUID("3f0a7c1e-6a53-5d1c-9a0e-7f5e2b6c9d11")
"""Ours, for UUIDs made from names."""


@frozen
class Names:
    """File names of one generation of a machine, in its storage."""

    machine: str
    generation: int

    @property
    def stem(self) -> str:
        """`dev11-1`; a pool is shared, so every name begins with the machine's."""
        return f"{self.machine}-{self.generation}"

    def disk(self, index: int) -> str:
        """The qcow2 file of one disk."""
        return f"{self.stem}.qcow2" if index == 0 else f"{self.stem}-disk{index + 1}.qcow2"

    @property
    def answers(self) -> str:
        """The answer disc."""
        return f"{self.stem}-answers.iso"

    @property
    def boot(self) -> str:
        """The overlay over the install disc."""
        return f"{self.stem}-boot.qcow2"

    @property
    def nvram(self) -> str:
        """UEFI variables: one file per generation, never shared (peers.md, known traps)."""
        return f"{self.stem}-vars.fd"


@frozen
class DiskDevice:
    """A disk of the domain."""

    path: str
    target: str
    bus: str
    size: int


@frozen
class DriveDevice:
    """A CD-ROM drive. `base` is the user's image under an overlay; `users_own`: it is theirs."""

    target: str
    bus: str
    path: str | None = None
    format: str = "raw"
    base: str | None = None
    users_own: bool = False
    bootable: bool = False


@frozen
class Card:
    """A network interface; `network` None is a user-mode network."""

    model: str
    mac: str
    network: str | None

    @property
    def device(self) -> str:
        """QEMU's name of the model."""
        return "virtio-net-pci" if self.model == "virtio" else self.model


@frozen
class Devices:
    """Everything about the domain that is decided from profile and host."""

    disks: tuple[DiskDevice, ...]
    drives: tuple[DriveDevice, ...]
    cards: tuple[Card, ...]
    kvm: bool

    @property
    def user_mode(self) -> tuple[Card, ...]:
        """Cards on a user-mode network."""
        return tuple(card for card in self.cards if card.network is None)


def devices(
    profile: Profile, host: HostFacts, names: Names, *, install: str, overlay: bool
) -> Devices:
    """Decides the devices. `overlay`: the disc at `install` boots through an overlay."""
    machine = profile.machine
    arm64 = is_arm64(profile)
    virtio = profile.media.drivers is not None or arm64
    folder = host.storage.folder
    counters = {"virtio": 0, "sata": 0, "nvme": 0}
    disks = []
    for index, disk in enumerate(machine.disks):
        bus = bus_of(disk, profile)
        target = _target(bus, counters[bus])
        counters[bus] += 1
        disks.append(
            DiskDevice(
                path=f"{folder}/{names.disk(index)}", target=target, bus=bus, size=disk.size.bytes
            )
        )
    # The board `virt` has no SATA, and Windows Setup no driver for virtio-scsi.
    bus = "usb" if arm64 else "sata"
    first = counters["sata"]
    drives = (
        DriveDevice(
            target=_target(bus, first),
            bus=bus,
            path=f"{folder}/{names.boot}" if overlay else install,
            format="qcow2" if overlay else "raw",
            base=install if overlay else None,
            users_own=not overlay,
            bootable=True,
        ),
        DriveDevice(target=_target(bus, first + 1), bus=bus, path=f"{folder}/{names.answers}"),
        # A SATA drive cannot be plugged in later (libvirt.md §5), so one is kept empty.
        DriveDevice(target=_target(bus, first + 2), bus=bus),
    )
    cards = tuple(
        Card(
            model=network.model or ("virtio" if virtio else "e1000e"),
            mac=mac_of(profile, index),
            network=_network(network, host),
        )
        for index, network in enumerate(machine.networks)
    )
    return Devices(disks=tuple(disks), drives=drives, cards=cards, kvm=_kvm(profile, host))


def is_arm64(profile: Profile) -> bool:
    """Whether the machine is an ARM one: QEMU's board `virt` instead of a PC."""
    return profile.windows.architecture == "arm64"


def bus_of(disk: Disk, profile: Profile) -> str:
    """The bus of a disk. Without a driver disc, one that Windows has a driver for.

    `virt` has no SATA, and Windows Setup does not install to USB disks.
    """
    if disk.bus is not None:
        return disk.bus
    if profile.media.drivers is not None:
        return "virtio"
    return "nvme" if is_arm64(profile) else "sata"


def _kvm(profile: Profile, host: HostFacts) -> bool:
    """For arm64 only where the profile insists: the probe is about x86_64."""
    if is_arm64(profile):
        return profile.machine.accelerator == "kvm"
    return uses_kvm(profile.machine.accelerator, host)


def port_services(profile: Profile, host: HostFacts, made: Devices) -> Mapping[str, int]:
    """What needs a loopback port of its own, and the guest's port behind it (0: QEMU's own)."""
    services = dict(SERVICES) if made.user_mode else {}
    if host.mode is Mode.EMBED and profile.machine.graphics is not None:
        services[DISPLAY] = 0
    return services


def uses_kvm(accelerator: str, host: HostFacts) -> bool:
    """KVM where the profile insists, or where the probe showed that it works."""
    return accelerator == "kvm" or (accelerator == "auto" and host.accelerator.kvm)


def render(
    profile: Profile,
    host: HostFacts,
    templates: Templates,
    *,
    made: Devices,
    names: Names,
    ports: Mapping[str, int],
    serial_log: Path,
    digest: str,
) -> str:
    """The domain XML, parsed once to prove that it is well-formed.

    `ports` are the loopback ports of `port_services`, by service.
    """
    machine = profile.machine
    context = {
        "name": profile.name,
        "uuid": uuid.uuid5(NAMESPACE, names.stem),
        "description": profile.description,
        # Escaped by the function that writes it.
        "ownership": Markup(
            format_ownership(Ownership(profile=profile.name, digest=digest, version=__version__))
        ),
        "arm64": is_arm64(profile),
        "kvm": made.kvm,
        "memory_kib": machine.memory.bytes // 1024,
        "cpus": machine.cpus,
        "firmware": machine.firmware,
        "nvram": f"{host.storage.folder}/{names.nvram}",
        "timezone": profile.windows.locale.timezone.iana,
        "disks": made.disks,
        "drives": made.drives,
        "interfaces": [card for card in made.cards if card.network is not None],
        "user_mode": made.user_mode,
        "forwards": [
            {"host_port": ports[service], "guest_port": port}
            for service, port in SERVICES
            if service in ports
        ]
        if made.user_mode
        else None,
        # Session mode refuses the element, embed mode is told in qemu.conf (libvirt.md §3.2a).
        "keep_owner": host.mode is Mode.SYSTEM,
        "serial_log": serial_log,
        "tpm": machine.tpm,
        "graphics": machine.graphics,
        "display_port": ports.get(DISPLAY),
        "balloon": profile.media.drivers is not None,
    }
    text = templates.render("libvirt/domain.xml.j2", context).text
    try:
        ElementTree.fromstring(text)
    except ElementTree.ParseError as err:
        raise FailedError(
            f"libvirt/domain.xml.j2 rendered no XML: {err}",
            hint="if the template is your own, look at the line named",
        ) from err
    return text


def _network(network: Network, host: HostFacts) -> str | None:
    """The named network; else `default` where it is active; else None for user mode."""
    if network.network is not None:
        return network.network
    return "default" if "default" in host.networks else None


def _target(bus: str, index: int) -> str:
    if bus == "nvme":
        return f"nvme{index}n1"
    return f"{'vd' if bus == 'virtio' else 'sd'}{chr(ord('a') + index)}"
