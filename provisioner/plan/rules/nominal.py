"""A host that has everything: `check` renders the domain against it when libvirt is not asked."""

from __future__ import annotations

from pathlib import Path

from provisioner.media.facts import MediaFacts
from provisioner.plan.domain import Names, devices, render
from provisioner.ports import Accelerator, HostFacts, Mode, Storage
from provisioner.profile.model import Profile
from provisioner.templating import Templates


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
