"""Looks a host over: what works, what does not, and the one command that mends it.

`judge` decides on what it is given; `examine` looks, and gives it that.
"""

from __future__ import annotations

import os
import shlex
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace
from enum import StrEnum
from functools import partial
from pathlib import Path

from provisioner.errors import ProvisionerError
from provisioner.frozen import frozen
from provisioner.host.connect import Where, connect, default_embed_base
from provisioner.host.keeper_client import KeptHypervisor
from provisioner.host.libvirt_errors import libvirt_module
from provisioner.host.probe import probe_kvm
from provisioner.ports import Accelerator, HostFacts, Mode

GIB = 1024**3
ROOM_WANTED = 30 * GIB
"""An installed Windows 11 takes some 20 GiB, an update some 10 more."""

ROOM_NEEDED = 2 * GIB
OLDEST_LIBVIRT = (7, 2, 0)
"""Knows `<firmware><feature .../>` (https://libvirt.org/formatdomain.html#bios-bootloader)."""


class Level(StrEnum):
    """`fail` stops a machine that needs it; `warn` costs something."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Distribution(StrEnum):
    """The families for which we know package names; Ubuntu and Mint count as Debian."""

    DEBIAN = "debian"
    FEDORA = "fedora"
    ARCH = "arch"


Fixes = Mapping[Distribution, str]


@frozen
class Finding:
    """`id` is stable, `what` was looked at, `why` says what was found.

    `fixes` holds one command for each family that has one, `fix` the one for this host.
    """

    id: str
    level: Level
    what: str
    why: str
    fixes: Fixes = field(default_factory=dict)
    fix: str | None = None


def distribution(os_release: str) -> Distribution | None:
    """Out of the text of /etc/os-release (os-release(5)): `ID`, then `ID_LIKE`."""
    members = {}
    for line in os_release.splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            try:
                members[name.strip()] = "".join(shlex.split(value))
                if name.strip() == "ID_LIKE":
                    members["ID_LIKE"] = " ".join(shlex.split(value))
            except ValueError:
                continue
    families = {
        "debian": Distribution.DEBIAN,
        "ubuntu": Distribution.DEBIAN,
        "fedora": Distribution.FEDORA,
        "rhel": Distribution.FEDORA,
        "centos": Distribution.FEDORA,
        "arch": Distribution.ARCH,
    }
    for word in (members.get("ID", ""), *members.get("ID_LIKE", "").split()):
        if word in families:
            return families[word]
    return None


def examine(
    *, where: Where, environment: Mapping[str, str], state: Path, cache: Path, uid: int
) -> tuple[Finding, ...]:
    """Looks at this host through one connection; nothing stays behind but what libvirt caches."""
    find_program = partial(shutil.which, path=environment.get("PATH"))
    accelerator = probe_kvm(cache)
    binding: ProvisionerError | None = None
    try:
        libvirt_module()
    except ProvisionerError as err:
        binding = err
    return judge(
        facts=_facts(where, environment, state, cache, uid, accelerator),
        accelerator=accelerator,
        binding=binding,
        state_folder=state,
        uid=uid,
        find_program=find_program,
        family=distribution(_os_release()),
    )


def judge(
    *,
    facts: HostFacts | ProvisionerError,
    accelerator: Accelerator,
    binding: ProvisionerError | None,
    state_folder: Path,
    uid: int,
    find_program: Callable[[str], str | None],
    family: Distribution | None,
) -> tuple[Finding, ...]:
    """Everything, the most basic first. `facts` is what looking failed with where it failed;
    `binding` why the Python module libvirt is missing.
    """
    needed = (
        _binding(binding),
        _program("qemu", "qemu-system-x86_64", find_program, QEMU),
        _program("qemu-img", "qemu-img", find_program, QEMU_IMG),
    )
    folder = _state_folder(state_folder, uid)
    others = any(one.level is Level.FAIL for one in (*needed, folder)) and any(
        find_program(name) for name in ("virsh", "libvirtd", "virtqemud")
    )
    findings = (
        _kvm(accelerator),
        *needed,
        *_libvirt(facts, uid, others=others),
        _swtpm(facts, find_program),
        folder,
        *(_host(facts, uid) if isinstance(facts, HostFacts) else ()),
    )
    return tuple(replace(found, fix=_for_host(found.fixes, family)) for found in findings)


def _facts(
    where: Where,
    environment: Mapping[str, str],
    state: Path,
    cache: Path,
    uid: int,
    accelerator: Accelerator,
) -> HostFacts | ProvisionerError:
    base = environment.get("PROVISIONER_EMBED_BASE")
    home = Path(environment.get("HOME", "/"))
    try:
        hypervisor = connect(
            where,
            machine="doctor",
            folder=state,
            cache=cache,
            embed_base=Path(base) if base else default_embed_base(uid=uid, home=home),
            probe=lambda: accelerator,
        )
        try:
            return hypervisor.facts()
        finally:
            hypervisor.close()
            if isinstance(hypervisor, KeptHypervisor) and where.root is None:
                hypervisor.remove_root()
    except ProvisionerError as err:
        return err


def _os_release() -> str:
    for path in (Path("/etc/os-release"), Path("/usr/lib/os-release")):
        try:
            return path.read_text("utf-8", "replace")
        except OSError:
            continue
    return ""


def _for_host(fixes: Fixes, family: Distribution | None) -> str | None:
    """All of them, named, where the family is unknown and it matters."""
    if not fixes:
        return None
    if family is not None:
        return fixes.get(family)
    if len(set(fixes.values())) == 1:
        return next(iter(fixes.values()))
    return "; ".join(f"{name.value.title()}: {command}" for name, command in fixes.items())


def _fixes(*, debian: str, fedora: str, arch: str) -> Fixes:
    return {
        Distribution.DEBIAN: debian,
        Distribution.FEDORA: fedora,
        Distribution.ARCH: arch,
    }


def _everywhere(command: str) -> Fixes:
    return dict.fromkeys(Distribution, command)


QEMU = _fixes(
    debian="sudo apt install qemu-system-x86",
    fedora="sudo dnf install qemu-kvm",
    arch="sudo pacman -S qemu-base",
)
QEMU_IMG = _fixes(
    debian="sudo apt install qemu-utils",
    fedora="sudo dnf install qemu-img",
    arch="sudo pacman -S qemu-img",
)
LIBVIRT = _fixes(
    debian="sudo apt install libvirt-daemon-system libvirt-clients",
    fedora="sudo dnf install libvirt-daemon-kvm libvirt-client",
    arch="sudo pacman -S libvirt",
)
BINDING = _fixes(
    debian="sudo apt install gcc pkg-config python3-dev libvirt-dev"
    " && pip install 'provisioner[libvirt]'",
    fedora="sudo dnf install gcc pkgconf python3-devel libvirt-devel"
    " && pip install 'provisioner[libvirt]'",
    arch="sudo pacman -S base-devel libvirt && pip install 'provisioner[libvirt]'",
)
FIRMWARE = _fixes(
    debian="sudo apt install ovmf",
    fedora="sudo dnf install edk2-ovmf",
    arch="sudo pacman -S edk2-ovmf",
)
SWTPM = _fixes(
    debian="sudo apt install swtpm swtpm-tools",
    fedora="sudo dnf install swtpm swtpm-tools",
    arch="sudo pacman -S swtpm",
)


def _kvm(accelerator: Accelerator) -> Finding:
    what = "hardware virtualisation (KVM)"
    if accelerator.kvm:
        return Finding(id="kvm", level=Level.OK, what=what, why="a tiny guest ran at full speed")
    fixes: Fixes = {}
    if "group kvm" in accelerator.reason:
        fixes = _everywhere("sudo usermod -aG kvm $USER  # then log in again")
    elif "there is no" in accelerator.reason:
        fixes = _everywhere("sudo modprobe -a kvm_intel kvm_amd")
    return Finding(
        id="kvm",
        level=Level.WARN,
        what=what,
        why=f"{accelerator.reason}; machines run in software, which is many times slower",
        fixes=fixes,
    )


def _binding(error: ProvisionerError | None) -> Finding:
    what = "Python module libvirt"
    if error is None:
        return Finding(id="python-libvirt", level=Level.OK, what=what, why="installed")
    return Finding(
        id="python-libvirt", level=Level.FAIL, what=what, why=error.message, fixes=BINDING
    )


def _program(
    name: str, program: str, find_program: Callable[[str], str | None], fixes: Fixes
) -> Finding:
    path = find_program(program)
    if path is None:
        return Finding(id=name, level=Level.FAIL, what=program, why="not installed", fixes=fixes)
    return Finding(id=name, level=Level.OK, what=program, why=path)


def _libvirt(facts: HostFacts | ProvisionerError, uid: int, *, others: bool) -> Iterator[Finding]:
    """`others`: it is installed, and something else is missing without which it cannot be asked."""
    what = "libvirt"
    if isinstance(facts, ProvisionerError) and others:
        why = f"{facts.message}; mend what else is wrong here first"
        yield Finding(id="libvirt", level=Level.FAIL, what=what, why=why)
        return
    if isinstance(facts, ProvisionerError):
        join = "join the group libvirt" in (facts.hint or "")
        fixes = (
            _everywhere("sudo usermod -aG libvirt $USER  # then log in again")
            if join and uid
            else LIBVIRT
        )
        yield Finding(id="libvirt", level=Level.FAIL, what=what, why=facts.message, fixes=fixes)
        return
    number = ".".join(map(str, facts.libvirt_version))
    qemu = ".".join(map(str, facts.qemu_version))
    if facts.libvirt_version < OLDEST_LIBVIRT:
        yield Finding(
            id="libvirt",
            level=Level.FAIL,
            what=what,
            why=f"version {number} is older than {'.'.join(map(str, OLDEST_LIBVIRT))}",
            fixes=LIBVIRT,
        )
    else:
        yield Finding(
            id="libvirt", level=Level.OK, what=what, why=f"{number}, QEMU {qemu}, {facts.uri}"
        )
    for name, words in (("uefi", "UEFI firmware"), ("secure-boot", "Secure Boot firmware")):
        found = name in facts.firmwares
        yield Finding(
            id=f"firmware-{name}",
            level=Level.OK if found else Level.FAIL,
            what=words,
            why="a firmware descriptor offers it" if found else "no firmware descriptor offers it",
            fixes={} if found else FIRMWARE,
        )


def _swtpm(
    facts: HostFacts | ProvisionerError, find_program: Callable[[str], str | None]
) -> Finding:
    what = "TPM emulator (swtpm)"
    if isinstance(facts, HostFacts):
        reason = facts.tpm_reason
    else:
        missing = [name for name in ("swtpm", "swtpm_setup") if find_program(name) is None]
        reason = f"not installed: {', '.join(missing)}" if missing else ""
    if reason:
        return Finding(id="swtpm", level=Level.FAIL, what=what, why=reason, fixes=SWTPM)
    return Finding(id="swtpm", level=Level.OK, what=what, why="swtpm and swtpm_setup are there")


def _state_folder(folder: Path, uid: int) -> Finding:
    what = f"state folder {folder}"
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        return Finding(
            id="state-folder",
            level=Level.FAIL,
            what=what,
            why=f"you may not write to {there}",
            fixes=_everywhere(f"sudo install -d -o $USER -m 700 {shlex.quote(str(folder))}"),
        )
    status = there.stat()
    if there == folder and (status.st_uid != uid or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
        return Finding(
            id="state-folder",
            level=Level.WARN,
            what=what,
            why="others can write there; it holds passwords and discs",
            fixes=_everywhere(f"chmod 700 {shlex.quote(str(folder))}"),
        )
    return Finding(id="state-folder", level=Level.OK, what=what, why="writable by you")


def _host(facts: HostFacts, uid: int) -> Iterator[Finding]:
    yield _room(facts)
    if facts.mode is not Mode.SYSTEM:
        return
    if facts.networks:
        why = f"active: {', '.join(sorted(facts.networks))}"
        yield Finding(id="network", level=Level.OK, what="libvirt networks", why=why)
    else:
        yield Finding(
            id="network",
            level=Level.WARN,
            what="libvirt networks",
            why="none is active; machines get a user-mode network with loopback forwards",
            fixes=_everywhere("sudo virsh net-start default && sudo virsh net-autostart default"),
        )
    if uid:
        # virtlogd makes a rotated log readable by root only: facts/standin.md §2.
        yield Finding(
            id="serial-log",
            level=Level.WARN,
            what="serial log",
            why="the system daemon's log file becomes root's after 2 MiB",
            fixes=_everywhere("echo 'max_size = 0' | sudo tee -a /etc/libvirt/virtlogd.conf"),
        )


def _room(facts: HostFacts) -> Finding:
    what = f"free space for {facts.storage.folder}"
    free = facts.storage.free_bytes
    if free is None:
        return Finding(id="space", level=Level.OK, what=what, why="not known yet")
    why = f"{free / GIB:.0f} GiB"
    if free >= ROOM_WANTED:
        return Finding(id="space", level=Level.OK, what=what, why=why)
    return Finding(
        id="space",
        level=Level.WARN if free >= ROOM_NEEDED else Level.FAIL,
        what=what,
        why=f"{why}; an installed Windows takes about 20 GiB, and updates more",
        fixes=_everywhere(f"du -xh --max-depth=2 {shlex.quote(facts.storage.folder)} | sort -h"),
    )
