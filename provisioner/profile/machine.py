"""The `machine:` part of a profile: the virtual machine."""

from typing import Annotated, Literal

from pydantic import Field

from provisioner.profile.base import ProfileModel
from provisioner.profile.disks import Partitions
from provisioner.profile.network import Addresses
from provisioner.profile.units import Duration, MacAddress, Size


class Disk(ProfileModel):
    """A virtual disk. Windows goes on the first."""

    size: Size = Size("64 GiB")
    """Virtual size; the file grows with use."""
    bus: Literal["virtio", "sata", "nvme"] | None = None
    """Default: virtio with a driver disc, otherwise sata (nvme for arm64)."""
    partitions: Partitions | None = None
    """What Setup makes on it. Default for the first disk: what firmware and `windows.recovery` ask
    for. Default for the others: nothing, Windows finds them empty."""


class Network(Addresses):
    """A network interface."""

    network: str | None = None
    """Name of a libvirt network. Default: `default` where the host has it, otherwise a user-mode
    network with forwards from loopback."""
    model: Literal["virtio", "e1000e"] | None = None
    """Default: virtio with a driver disc, otherwise e1000e (virtio for arm64)."""
    mac: MacAddress | None = None
    """Default: made from the machine's name."""


class Ready(ProfileModel):
    """When the machine counts as ready, and how long that may take."""

    when: Literal["agent", "serial", "power-off"] | None = None
    """`agent`: the guest agent answers (needs a driver disc, and there is none for arm64);
    `serial`: the guest says so on the serial port; `power-off`: the guest turns itself off.
    Default: agent with a driver disc, otherwise serial."""
    probes: tuple[Literal["rdp", "winrm", "ssh"], ...] | None = None
    """Services that have to shake hands before the machine counts as ready; an open port is not
    enough. Default: what `windows.remote` switches on, where this host reaches the machine; none
    with `when: power-off`."""
    within: Duration = Duration("90 min")
    """Time limit from the start of the machine."""


class Machine(ProfileModel):
    """The virtual machine."""

    cpus: Annotated[int, Field(ge=1, le=512)] = 2
    """Virtual processors, in one socket."""
    memory: Size = Size("4 GiB")
    """Memory."""
    firmware: Literal["secure-boot", "uefi", "bios"] = "secure-boot"
    """`secure-boot`: UEFI with Microsoft's keys enrolled; `uefi`: without; `bios`."""
    tpm: bool = True
    """An emulated TPM 2.0."""
    disks: Annotated[tuple[Disk, ...], Field(min_length=1)] = (Disk.model_construct(),)
    """Disks, the first is Windows'."""
    networks: tuple[Network, ...] = (Network.model_construct(),)
    """Network interfaces."""
    graphics: Literal["vnc", "spice"] | None = "vnc"
    """Remote display, on loopback only; null for none."""
    connect: str | None = None
    """libvirt connection URI. Default: LIBVIRT_DEFAULT_URI, otherwise what this host offers."""
    pool: str | None = None
    """Storage pool on a system daemon. Default: `default` where it is active."""
    accelerator: Literal["auto", "kvm", "tcg"] = "auto"
    """`auto` takes KVM where a short probe shows that it works."""
    boot_prompt: Literal["auto", "overlay", "keys"] = "auto"
    """How "Press any key to boot from CD" is passed: an overlay that points at the disc's own
    no-prompt loader where possible, otherwise key presses."""
    ready: Ready = Ready.model_construct()
    """When the machine counts as ready."""
