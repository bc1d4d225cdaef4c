"""A host that has everything: `check` renders the domain against it when libvirt is not asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

from provisioner.errors import ProvisionerError
from provisioner.media.facts import MediaFacts
from provisioner.plan.domain import Names, devices, render
from provisioner.plan.rules.given import Media
from provisioner.ports import Accelerator, HostFacts, Mode, Storage
from provisioner.profile.model import Profile
from provisioner.templating import Templates

_VIRTIO: Mapping[str, str] = {
    "virtio-scsi": "./devices/controller[@type='scsi'][@model='virtio-scsi']",
    "rng": "./devices/rng[@model='virtio']",
    "input": "./devices/input[@bus='virtio']",
    "gpu": "./devices/video/model[@type='virtio']",
    "fs": "./devices/filesystem/driver[@type='virtiofs']",
    "pvpanic": "./devices/panic",
}
"""Where a domain names a device that Windows has no driver of its own for
(https://libvirt.org/formatdomain.html)."""


def nominal_domain(profile: Profile, install: MediaFacts, templates: Templates) -> str:
    """The domain XML of a profile on such a host. TemplateError, FailedError as from `render`."""
    networks = {network.network for network in profile.machine.networks if network.network}
    host = HostFacts(
        uri="qemu:///system",
        mode=Mode.SYSTEM,
        libvirt_version=(9, 0, 0),
        qemu_version=(7, 2, 0),
        accelerator=Accelerator(kvm=True),
        firmwares=frozenset({"bios", "uefi", "secure-boot"}),
        tpm=True,
        tpm_reason="",
        disk_buses=frozenset({"virtio", "sata", "nvme"}),
        networks=frozenset({"default", *networks}),
        network_driver=True,
        storage=Storage(folder="/storage"),
        qemu_user=None,
        cpus=1024,
        cpu_features=frozenset(),
        memory_bytes=2**50,
    )
    names = Names(machine=profile.name, generation=1)
    made = devices(profile, host, names, install=str(install.path), overlay=False)
    return render(
        profile,
        host,
        templates,
        made=made,
        names=names,
        ports={},
        serial_log=Path("/serial.log"),
        digest="",
    )


def virtio_devices(profile: Profile, media: Media, templates: Templates) -> tuple[str, ...]:
    """What the domain has beyond a profile's disks and networks, as keys of `virtio.DRIVERS`.

    A template of the user's own may add such devices. Nothing without a driver disc, and where the
    template fails, which is told when the domain is looked at.
    """
    if profile.metal is not None or media.drivers is None:
        return ()
    try:
        domain = ElementTree.fromstring(nominal_domain(profile, media.install, templates))
    except ProvisionerError:
        return ()
    return tuple(device for device, path in _VIRTIO.items() if domain.find(path) is not None)
