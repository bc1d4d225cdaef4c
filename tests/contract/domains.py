"""The smallest domains that start, for contract tests."""

from __future__ import annotations

from provisioner.ownership import format_ownership
from provisioner.ports import Ownership

FOREIGN = "somebody-elses"
OWNERSHIP = Ownership(profile="windows-11", digest="0" * 64, version="0.1.0")


def domain_xml(
    name: str = "w1",
    *,
    ownership: Ownership | None = OWNERSHIP,
    disks: str = "",
    medium: str | None = None,
    uefi: bool = False,
    uuid: str | None = None,
) -> str:
    """Drives sda (`medium` in it) and sdb (empty), an agent channel, VNC."""
    metadata = f"<metadata>{format_ownership(ownership)}</metadata>" if ownership else ""
    source = f"<source file='{medium}'/>" if medium else ""
    os_element = (
        "<os firmware='efi'><type arch='x86_64' machine='q35'>hvm</type>"
        "<firmware><feature enabled='no' name='secure-boot'/>"
        "<feature enabled='no' name='enrolled-keys'/></firmware></os>"
        if uefi
        else "<os><type arch='x86_64' machine='q35'>hvm</type></os>"
    )
    tpm = "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>" if uefi else ""
    return f"""<domain type='qemu'><name>{name}</name>{f"<uuid>{uuid}</uuid>" if uuid else ""}
{metadata}<memory unit='MiB'>64</memory><vcpu>1</vcpu>{os_element}
<features><acpi/><apic/></features>
<devices>{disks}
<disk type='file' device='cdrom'><driver name='qemu' type='raw'/>{source}
<target dev='sda' bus='sata'/><readonly/></disk>
<disk type='file' device='cdrom'><driver name='qemu' type='raw'/>
<target dev='sdb' bus='sata'/><readonly/></disk>
<serial type='pty'><target port='0'/></serial>
<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>{tpm}
<graphics type='vnc' port='-1' autoport='yes' listen='127.0.0.1'/><video><model type='vga'/></video>
<memballoon model='none'/></devices></domain>"""


def disk_xml(path: str, target: str = "vda") -> str:
    return (
        "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/>"
        f"<source file='{path}'/><target dev='{target}' bus='virtio'/></disk>"
    )


def foreign_xml() -> str:
    return domain_xml(FOREIGN, ownership=None)
