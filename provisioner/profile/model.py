"""The top of a profile. A Profile is frozen and says what is wanted, not how to get it."""

from typing import Literal

from provisioner.profile.base import HostPath, ProfileModel
from provisioner.profile.machine import Machine
from provisioner.profile.media_query import MediaQuery
from provisioner.profile.metal import Metal
from provisioner.profile.units import MachineName
from provisioner.profile.windows import Windows

__all__ = ["Media", "Profile"]


class Media(ProfileModel):
    """The discs you have."""

    install: HostPath | MediaQuery | None = None
    """The Windows install ISO, or what has to be on it: then the library finds the file
    (`library add`). May be left out here and given as `--media install=FILE`."""
    drivers: HostPath | MediaQuery | None = None
    """A virtio-win ISO, or `{product: virtio-win}` for the newest of the library. With it disk and
    network default to virtio, and the guest agent is installed."""


class Profile(ProfileModel):
    """One machine, virtual or physical."""

    kind: Literal["machine"] = "machine"
    """What this file describes."""
    name: MachineName
    """Name of the libvirt domain and of the machine's state folder. Default: the file's name; it is
    not inherited through `extends`, so that two files are two machines."""
    description: str | None = None
    """A note for people; becomes the domain's description."""
    media: Media = Media.model_construct()
    """The discs you have."""
    windows: Windows
    """The Windows that shall be on it."""
    machine: Machine = Machine.model_construct()
    """The virtual machine it runs on."""
    metal: Metal | None = None
    """A physical PC, in place of `machine`: for an install stick."""

    @property
    def firmware(self) -> Literal["secure-boot", "uefi", "bios"]:
        """The firmware of the machine, virtual or not."""
        return self.machine.firmware if self.metal is None else self.metal.firmware
