"""Rules across profile, media and host: what can be known before anything boots.

Each finding has a stable rule id, the profile key it is about, and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from provisioner.errors import MediaError, Place, Problem, Severity
from provisioner.media.editions import listed, resolve_edition
from provisioner.media.facts import Edition, MediaFacts, MediaKind
from provisioner.plan.domain import uses_kvm
from provisioner.ports import HostFacts, Mode
from provisioner.profile.model import Profile

GIB = 2**30

KEY_PAGE_BUILD = 26100
"""From this build Setup shows its language page when UILanguage is not the media's language
(shared/facts/windows-setup.md §3.1; unattend-generator #64, #170, #326)."""

Places = Callable[[str], Place | None]
"""Where a dotted key of the profile was written, or None where it was not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """The discs of a profile, looked at."""

    install: MediaFacts
    drivers: MediaFacts | None


def check_media(profile: Profile, media: Media, places: Places) -> Iterator[Problem]:
    """Everything wrong between the profile and its discs."""
    install = media.install
    wanted = profile.windows.product
    if install.kind is not MediaKind.WINDOWS_SETUP:
        yield Problem(
            rule="media.not-windows",
            message=f"{install.path.name} is not a Windows installation disc but "
            f"{install.kind.value.replace('-', ' ')}",
            place=places("media.install"),
            hint="; ".join(install.evidence) or "give the ISO you would boot Setup from",
        )
        return
    if install.product is not None and install.product != wanted:
        yield Problem(
            rule="media.product",
            message=f"the profile wants {wanted}, and {install.path.name} holds {install.product}",
            place=places("windows.product"),
            hint=f"extend `{install.product}`, or give another disc",
        )
    if install.architecture is not None and install.architecture != profile.windows.architecture:
        yield Problem(
            rule="media.architecture",
            message=f"{install.path.name} is for {install.architecture}, the profile for "
            f"{profile.windows.architecture}",
            place=places("windows.architecture"),
            hint=f"give a disc for {profile.windows.architecture}",
        )
    edition = None
    try:
        edition = resolve_edition(install, profile.windows.edition)
    except MediaError as err:
        yield Problem(
            rule="media.edition",
            message=err.message,
            place=places("windows.edition"),
            hint=err.hint,
        )
    yield from _languages(profile, install, edition, places)
    if media.drivers is not None and media.drivers.kind is not MediaKind.VIRTIO_DRIVERS:
        yield Problem(
            rule="media.not-drivers",
            message=f"{media.drivers.path.name} is not a virtio-win driver disc but "
            f"{media.drivers.kind.value.replace('-', ' ')}",
            place=places("media.drivers"),
            hint="give the virtio-win ISO of your distribution",
        )


def check_host(profile: Profile, host: HostFacts, places: Places) -> Iterator[Problem]:
    """Everything this host cannot do for the profile."""
    machine = profile.machine
    if machine.firmware not in host.firmwares:
        names = {
            "bios": "SeaBIOS",
            "uefi": "UEFI firmware",
            "secure-boot": "UEFI firmware with Secure Boot and enrolled keys",
        }
        yield Problem(
            rule="host.firmware",
            message=f"this host has no {names[machine.firmware]} for q35 machines",
            place=places("machine.firmware"),
            hint="install OVMF (Debian and Ubuntu: apt install ovmf); `provisioner doctor` "
            "shows what is missing",
        )
    if machine.tpm and not host.tpm:
        yield Problem(
            rule="host.tpm",
            message=f"this host cannot emulate a TPM: {host.tpm_reason}",
            place=places("machine.tpm"),
            hint="install swtpm (Debian and Ubuntu: apt install swtpm swtpm-tools), or set "
            "`machine.tpm: false`",
        )
    for index, disk in enumerate(machine.disks):
        if disk.bus == "nvme" and "nvme" not in host.disk_buses:
            yield Problem(
                rule="host.disk-bus",
                message="this host's libvirt has no nvme disks",
                place=places(f"machine.disks[{index}].bus"),
                hint="use sata, which needs no driver either",
            )
    yield from _networks(profile, host, places)
    if machine.accelerator == "kvm" and not host.accelerator.kvm:
        yield Problem(
            rule="host.kvm",
            message=f"the profile insists on KVM, and here {host.accelerator.reason}",
            place=places("machine.accelerator"),
            hint="`accelerator: auto` falls back to emulation",
        )
    elif not uses_kvm(machine.accelerator, host):
        reason = host.accelerator.reason or "the profile asks for emulation"
        yield Problem(
            rule="host.emulation",
            severity=Severity.WARNING,
            message=f"no KVM ({reason}): the processor is emulated, ten to thirty times slower",
            hint="an installation of Windows then takes hours; raise `machine.ready.within`",
        )
    if machine.memory.bytes > host.memory_bytes:
        yield Problem(
            rule="host.memory",
            message=f"the machine wants {machine.memory}, and this host has "
            f"{host.memory_bytes / GIB:.1f} GiB",
            place=places("machine.memory"),
            hint="give it less memory",
        )
    free = host.storage.free_bytes
    if free is not None and free < 2 * GIB:
        yield Problem(
            rule="host.space",
            message=f"{host.storage.folder} has only {free / GIB:.1f} GiB left",
            hint="make room, or choose another pool with `machine.pool`",
        )


def check_hardware(profile: Profile, host_cpus: int | None, places: Places) -> Iterator[Problem]:
    """Windows 11's own demands, met by the machine unless the profile bypasses them.

    Sources: shared/facts/windows-setup.md §3.10; memory and disk as in Microsoft's requirements.
    """
    machine = profile.machine
    if profile.windows.product == "windows-11":
        bypassed = profile.windows.hardware_checks == "bypass"
        demands = (
            ("machine.firmware", machine.firmware == "secure-boot", "Secure Boot", "secure-boot"),
            ("machine.tpm", machine.tpm, "a TPM 2.0", "true"),
            ("machine.memory", machine.memory.bytes >= 4 * GIB, "4 GiB of memory", "4 GiB"),
            # The checks for these two cannot be switched off: no such LabConfig value exists.
            ("machine.disks[0].size", machine.disks[0].size.bytes >= 64 * 10**9,
             "a disk of 64 GB", "64 GiB"),
            ("machine.cpus", machine.cpus >= 2, "two processors", "2"),
        )  # fmt: skip
        for number, (key, met, thing, cure) in enumerate(demands):
            can_bypass = number < 3
            if met or (bypassed and can_bypass):
                continue
            other = ", or `windows.hardware_checks: bypass`" if can_bypass else ""
            yield Problem(
                rule="machine.windows-11",
                message=f"Windows 11 asks for {thing}, and this machine has not got it",
                place=places(key),
                hint=f"set `{key.rpartition('.')[2]}: {cure}`{other}",
            )
    if host_cpus is not None and machine.cpus > host_cpus:
        yield Problem(
            rule="machine.cpus",
            severity=Severity.WARNING,
            message=f"{machine.cpus} virtual processors share {host_cpus} real ones",
            place=places("machine.cpus"),
            hint="more processors than the host has make a machine slower",
        )


def _languages(
    profile: Profile, install: MediaFacts, edition: Edition | None, places: Places
) -> Iterator[Problem]:
    locale = profile.windows.locale
    held = {language.casefold() for language in install.languages}
    if locale.setup is not None and held and str(locale.setup).casefold() not in held:
        yield Problem(
            rule="media.setup-language",
            severity=_language_severity(edition),
            message=f"Setup on {install.path.name} does not speak {locale.setup}",
            place=places("windows.locale.setup"),
            hint=f"it speaks {', '.join(install.languages)}; leave the key out to use that",
        )
    image = {language.casefold() for language in edition.languages} if edition else set()
    if locale.language is not None and image and str(locale.language).casefold() not in image:
        assert edition is not None
        yield Problem(
            rule="media.language",
            message=f"{edition.display_name or edition.name} on {install.path.name} has no "
            f"{locale.language}",
            place=places("windows.locale.language"),
            hint=f"it has {', '.join(edition.languages)}; `format` and `keyboard` may differ "
            "from the language",
        )


def _language_severity(edition: Edition | None) -> Severity:
    new = edition is not None and edition.version[2] >= KEY_PAGE_BUILD
    return Severity.ERROR if new else Severity.WARNING


def _networks(profile: Profile, host: HostFacts, places: Places) -> Iterator[Problem]:
    for index, network in enumerate(profile.machine.networks):
        if network.network is None or network.network in host.networks:
            continue
        place = places(f"machine.networks[{index}].network")
        if not host.network_driver:
            where = "libvirt's embedded driver" if host.mode is Mode.EMBED else host.uri
            yield Problem(
                rule="host.no-networks",
                message=f"{where} has no libvirt networks, and the profile names "
                f"{network.network!r}",
                place=place,
                hint="leave `network` out for a user-mode network with loopback forwards, or "
                "connect to a system daemon: --connect qemu:///system",
            )
        else:
            close = difflib.get_close_matches(network.network, sorted(host.networks), n=1)
            known = f"did you mean {close[0]!r}? " if close else ""
            yield Problem(
                rule="host.network",
                message=f"there is no active libvirt network {network.network!r}",
                place=place,
                hint=f"{known}active: {', '.join(sorted(host.networks)) or 'none'}; "
                f"`virsh net-start {network.network}` starts one",
            )


def edition_line(media: MediaFacts, edition: Edition) -> str:
    """`Windows 11 Pro 24H2 (26100.1742), en-US, from Win11.iso (untouched)`."""
    language = edition.default_language or ", ".join(edition.languages[:2])
    build = ".".join(str(part) for part in edition.version[2:])
    name = edition.display_name or edition.name or listed([edition])
    return f"{name} ({build}), {language}, from {media.path.name} (untouched)"
