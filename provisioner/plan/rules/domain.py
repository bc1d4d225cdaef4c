"""The rendered domain XML: what a template of the user's own can get wrong.

Ours is right by construction; these are the traps of the field (peers.md, "Known traps").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.etree import ElementTree

from provisioner.answers.drivers import DriverFiles
from provisioner.errors import FailedError, Problem, Severity
from provisioner.media.facts import Edition
from provisioner.media.virtio import DRIVERS
from provisioner.plan.rules.given import NEEDS_SSE42
from provisioner.profile.model import Profile

INBOX_CD_BUSES = ("sata", "ide")
"""Controllers that every Windows Setup has a driver for (windows-setup.md §2.2)."""
INBOX_USB3 = 9200
"""Windows 8: Windows 7 has no driver for the controllers of today's USB (same place)."""
OLD_CPUS = frozenset(
    {
        "486", "athlon", "conroe", "core2duo", "coreduo", "kvm32", "kvm64", "n270", "opteron_g1",
        "opteron_g2", "opteron_g3", "penryn", "pentium", "pentium2", "pentium3", "phenom",
        "qemu32", "qemu64",
    }
)  # fmt: skip
"""CPU models of QEMU without SSE4.2 (QEMU, "Recommendations for KVM CPU model configuration on x86
hosts")."""
_TEMPLATE = "libvirt/domain.xml.j2"


def check_domain(
    profile: Profile, xml: str, edition: Edition | None, drivers: DriverFiles | None
) -> Iterator[Problem]:
    """Everything in the domain that Windows Setup is known to fail at; `drivers` are those that it
    is given."""
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:  # render has looked already
        raise FailedError(f"{_TEMPLATE} rendered no XML: {error}") from error
    yield from _drives(profile, root, edition, drivers.in_setup if drivers else ())
    yield from _firmware(profile, root)
    yield from _processor(root, edition)


def _drives(
    profile: Profile,
    root: ElementTree.Element,
    edition: Edition | None,
    loaded: Sequence[str],
) -> Iterator[Problem]:
    inbox: tuple[str, ...] = INBOX_CD_BUSES
    if edition is not None and edition.version[2] >= INBOX_USB3:
        inbox += ("usb",)
    for disk in root.iterfind("./devices/disk"):
        target = disk.find("target")
        bus = (target.get("bus") if target is not None else None) or "ide"
        match disk.get("device", "disk"):
            case "cdrom" if bus not in inbox:
                yield _problem(
                    "machine.cdrom-bus",
                    f"a CD-ROM drive is on {bus}, which Windows Setup has no driver for",
                    "put CD-ROM drives on sata",
                )
            case "floppy":
                uefi = profile.machine.firmware != "bios"
                yield _problem(
                    "machine.floppy",
                    "answer files on a floppy are not found under UEFI"
                    if uefi
                    else "an answer file on this floppy goes before ours",
                    "remove the floppy drive; answers come on a CD-ROM",
                    severity=Severity.ERROR if uefi else Severity.WARNING,
                )
            case "disk" if bus == "usb":
                yield _problem(
                    "machine.usb-disk",
                    "a USB disk may become disk 0, which the answers wipe",
                    "attach it when Windows is installed, or as a CD-ROM",
                )
            case "disk" if bus == "scsi" and DRIVERS["virtio-scsi"] not in loaded:
                yield _problem(
                    "machine.disk-driver",
                    "a disk is on virtio-scsi, and the answer disc brings no driver for that",
                    "use virtio, sata or nvme, or give a driver disc and a virtio-scsi controller",
                )


def _firmware(profile: Profile, root: ElementTree.Element) -> Iterator[Problem]:
    loader = root.find("./os/loader")
    if loader is not None and (loader.text or "").strip():
        yield _problem(
            "machine.firmware-path",
            "firmware is named by its file, which differs between distributions, in place and "
            "in format",
            'write <os firmware="efi"> and let libvirt choose by features',
            severity=Severity.WARNING,
        )
    nvram = root.find("./os/nvram")
    path = (nvram.text or "").strip() if nvram is not None else ""
    if path and str(profile.name) not in path.rpartition("/")[2]:
        yield _problem(
            "machine.nvram-shared",
            "the file of UEFI variables is not named after the machine; two machines with one "
            "file break each other's boot",
            "use {{ nvram }} of the template's variables",
        )


def _processor(root: ElementTree.Element, edition: Edition | None) -> Iterator[Problem]:
    if edition is None or edition.version[2] < NEEDS_SSE42:
        return
    cpu = root.find("./cpu")
    mode = cpu.get("mode", "custom") if cpu is not None else "custom"
    if mode != "custom":
        return
    model = cpu.find("model") if cpu is not None else None
    name = ((model.text or "") if model is not None else "").strip() or "qemu64"
    if name.casefold() in OLD_CPUS:
        yield _problem(
            "machine.cpu-features",
            f"the processor {name} has no SSE4.2 and POPCNT, which build {edition.version[2]} "
            "cannot do without",
            'use <cpu mode="host-passthrough"/>, or a model of Nehalem or newer',
        )


def _problem(rule: str, message: str, hint: str, *, severity: Severity = Severity.ERROR) -> Problem:
    return Problem(
        rule=rule, message=f"domain XML: {message}", severity=severity, hint=f"{hint} ({_TEMPLATE})"
    )
