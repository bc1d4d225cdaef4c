"""What this host cannot do for the profile."""

from __future__ import annotations

from collections.abc import Iterator

from provisioner.errors import Problem, Severity
from provisioner.media.facts import Edition
from provisioner.plan.domain import NOT_STARTED, bus_of, is_arm64, uses_kvm
from provisioner.plan.rules.given import GIB, NEEDS_SSE42, SSE42, Places
from provisioner.ports import HostFacts, Mode
from provisioner.profile.model import Profile


def check_host(
    profile: Profile, host: HostFacts, edition: Edition | None, places: Places
) -> Iterator[Problem]:
    """Everything this host cannot do for the profile, and for this Windows where it is known."""
    machine = profile.machine
    if is_arm64(profile):
        yield Problem(
            rule="host.architecture",
            severity=Severity.WARNING,
            message=NOT_STARTED,
            place=places("windows.architecture"),
            hint="`plan`, `render` and `build` show everything that would be made; "
            "docs/unproven.md says what has to be tried",
        )
    else:
        yield from _pc(profile, host, places)
        yield from _processor(profile, host, edition, places)
    for index, disk in enumerate(machine.disks):
        if bus_of(disk, profile) == "nvme" and "nvme" not in host.disk_buses:
            yield Problem(
                rule="host.disk-bus",
                message="this host's libvirt has no nvme disks",
                place=places(f"machine.disks[{index}].bus"),
                hint="give a driver disc (media.drivers): then disks are on virtio"
                if is_arm64(profile)
                else "use sata, which needs no driver either",
            )
    yield from _networks(profile, host, places)
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
            message=f"{host.storage.folder} has only {_rounded(free)} left; a machine needs "
            "2 GiB to begin with, and an installed Windows about 20",
            hint="make room, or choose another pool with `machine.pool`"
            if host.storage.pool
            else "make room, or let XDG_STATE_HOME name a folder on a larger disk",
        )


def _rounded(count: int) -> str:
    """For people: `1.4 GiB`, `300 MiB`."""
    return f"{count / GIB:.1f} GiB" if count >= GIB else f"{count >> 20} MiB"


def _pc(profile: Profile, host: HostFacts, places: Places) -> Iterator[Problem]:
    """Firmware, TPM and processor: the facts of a host are about x86_64 and its board q35."""
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
            hint="`provisioner doctor` says how to get one (Debian and Ubuntu: apt install swtpm "
            "swtpm-tools), or set `machine.tpm: false`",
        )
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


def _processor(
    profile: Profile, host: HostFacts, edition: Edition | None, places: Places
) -> Iterator[Problem]:
    """With KVM the guest has the host's processor; an emulated one has all of these features."""
    if edition is None or edition.version[2] < NEEDS_SSE42:
        return
    missing = sorted(SSE42 - host.cpu_features)
    if missing and host.cpu_features and uses_kvm(profile.machine.accelerator, host):
        yield Problem(
            rule="host.cpu-features",
            message=f"the processor of this host has no {' and no '.join(missing)}, which build "
            f"{edition.version[2]} cannot do without",
            place=places("machine.accelerator"),
            hint="take a Windows before 24H2, another host, or `machine.accelerator: tcg`, which "
            "is ten to thirty times slower",
        )


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
            from difflib import get_close_matches

            close = get_close_matches(network.network, sorted(host.networks), n=1)
            known = f"did you mean {close[0]!r}? " if close else ""
            yield Problem(
                rule="host.network",
                message=f"there is no active libvirt network {network.network!r}",
                place=place,
                hint=f"{known}active: {', '.join(sorted(host.networks)) or 'none'}; "
                f"`virsh net-start {network.network}` starts one",
            )
