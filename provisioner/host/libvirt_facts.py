"""Reads what a libvirt connection can do. Sources: `virConnectGetDomainCapabilities`
(https://libvirt.org/formatdomaincaps.html), the host capabilities, and the host itself.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from provisioner.frozen import frozen
from provisioner.host.libvirt_errors import NO_SUPPORT, code_of, libvirt_module, translated
from provisioner.ports import Accelerator, HostFacts, Mode, Storage


@frozen
class DomainCapabilities:
    """The part of the domain capabilities for q35 on x86_64 that decides something for us."""

    firmwares: frozenset[str]
    disk_buses: frozenset[str]
    tpm_emulator: bool


EVERYTHING = DomainCapabilities(
    firmwares=frozenset({"bios", "uefi", "secure-boot"}),
    disk_buses=frozenset({"sata", "scsi", "usb", "virtio"}),
    tpm_emulator=True,
)
"""The test driver answers no such question (`docs/facts/libvirt.md` §2) and accepts all of this."""


def look(
    connection: Any,
    *,
    mode: Mode,
    accelerator: Accelerator,
    storage: Storage,
    find_program: Callable[[str], str | None] = shutil.which,
) -> HostFacts:
    """All facts of one connection. The first look at a new QEMU takes libvirt 2 to 9 s."""
    with translated("look at the host"):
        capabilities = (
            EVERYTHING
            if mode is Mode.TEST
            else parse_domain_capabilities(
                connection.getDomainCapabilities(
                    None, "x86_64", "q35", "kvm" if accelerator.kvm else "qemu"
                )
            )
        )
        # A session answers the question, but cannot make a bridge (`docs/facts/libvirt.md` §3.3).
        networks = None if mode is Mode.SESSION else _active_networks(connection)
        information = connection.getInfo()
        host = connection.getCapabilities()
        tpm_reason = "" if mode is Mode.TEST else _tpm_reason(capabilities, find_program)
        if mode is Mode.SESSION and not tpm_reason and os.geteuid() != 0:
            config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
            tpm_reason = session_tpm_reason(
                config, libvirt_version=version(connection.getLibVersion()), run=_swtpm_setup
            )
        return HostFacts(
            uri=connection.getURI(),
            mode=mode,
            libvirt_version=version(connection.getLibVersion()),
            qemu_version=version(connection.getVersion()),
            accelerator=accelerator,
            firmwares=capabilities.firmwares,
            tpm=not tpm_reason,
            tpm_reason=tpm_reason,
            disk_buses=capabilities.disk_buses,
            networks=networks or frozenset(),
            network_driver=networks is not None,
            storage=storage,
            qemu_user=parse_qemu_user(host) if mode is Mode.SYSTEM else None,
            cpus=information[2],
            cpu_features=_cpu_features(connection, host),
            memory_bytes=information[1] * 1024**2,
        )


def version(number: int) -> tuple[int, int, int]:
    """libvirt packs a version as major * 1000000 + minor * 1000 + release."""
    return number // 1_000_000, number // 1_000 % 1_000, number % 1_000


def parse_domain_capabilities(xml: str) -> DomainCapabilities:
    """`efi` is listed where a firmware descriptor fits the machine type, `secure` = `yes` where
    one of those can do Secure Boot. SeaBIOS comes with QEMU itself.
    """
    root = ElementTree.fromstring(xml)
    firmwares = {"bios"}
    if "efi" in _values(root, "./os/enum[@name='firmware']"):
        firmwares.add("uefi")
        if "yes" in _values(root, "./os/loader/enum[@name='secure']"):
            firmwares.add("secure-boot")
    tpm = root.find("./devices/tpm")
    return DomainCapabilities(
        firmwares=frozenset(firmwares),
        disk_buses=_values(root, "./devices/disk/enum[@name='bus']"),
        tpm_emulator=(
            tpm is not None
            and tpm.get("supported") == "yes"
            and "emulator" in _values(tpm, "./enum[@name='backendModel']")
        ),
    )


def parse_qemu_user(capabilities: str) -> tuple[int, int] | None:
    """uid and gid out of the DAC security model's label (`+64055:+64055`)."""
    for model in ElementTree.fromstring(capabilities).iterfind("./host/secmodel"):
        if model.findtext("model") != "dac":
            continue
        for label in model.iterfind("baselabel"):
            user, _, group = (label.text or "").partition(":")
            try:
                return int(user), int(group)
            except ValueError:
                continue
    return None


def _cpu_features(connection: Any, capabilities: str) -> frozenset[str]:
    """The features of the host's processor, those that its model implies among them."""
    cpu = ElementTree.fromstring(capabilities).find("./host/cpu")
    if cpu is None or cpu.find("model") is None:
        return frozenset()
    libvirt = libvirt_module()
    try:
        expanded = connection.baselineCPU(
            [ElementTree.tostring(cpu, encoding="unicode")],
            libvirt.VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES,
        )
    except libvirt.libvirtError:
        return frozenset()  # a processor or a driver that it cannot do this for
    return parse_cpu_features(expanded)


def parse_cpu_features(cpu: str) -> frozenset[str]:
    """The names in a `<cpu>` with all its features (https://libvirt.org/formatdomain.html)."""
    found = ElementTree.fromstring(cpu).iterfind("feature")
    return frozenset(
        feature.get("name", "") for feature in found if feature.get("policy") != "disable"
    )


def _values(root: ElementTree.Element, enum: str) -> frozenset[str]:
    return frozenset(value.text or "" for value in root.iterfind(f"{enum}/value"))


def _tpm_reason(capabilities: DomainCapabilities, find_program: Callable[[str], str | None]) -> str:
    for program in ("swtpm", "swtpm_setup"):
        if find_program(program) is None:
            return f"the program {program} is not installed"
    if not capabilities.tpm_emulator:
        return "this libvirt or QEMU does not offer an emulated TPM"
    return ""


def session_tpm_reason(
    config: Path, *, libvirt_version: tuple[int, int, int], run: Callable[[], str]
) -> str:
    """Why swtpm cannot make a TPM for this user, who may not use the system's certificate
    authority; empty where it can. `run` gives what `swtpm_setup --print-capabilities` prints.

    A user needs settings of their own (swtpm_setup(8), "--create-config-files"). libvirt 8 makes
    them where swtpm_setup can (libvirt, src/qemu/qemu_tpm.c, qemuTPMCreateConfigFiles); whether
    older ones do is not known here.
    """
    settings = config / "swtpm_setup.conf"
    if settings.exists():
        return ""
    able = "cmdarg-create-config-files" in run()
    if able and libvirt_version >= (8, 0, 0):
        return ""
    command = (
        "swtpm_setup --create-config-files skip-if-exist"
        if able
        else "/usr/share/swtpm/swtpm-create-user-config-files"
    )
    return f"swtpm is not set up for you: there is no {settings}; run once: {command}"


def _swtpm_setup() -> str:
    argv = ["swtpm_setup", "--tpm2", "--print-capabilities"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def _active_networks(connection: Any) -> frozenset[str] | None:
    """None where the connection has no network driver (embed, session)."""
    libvirt = libvirt_module()
    try:
        active = connection.listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE)
    except libvirt.libvirtError as err:
        if code_of(err) == NO_SUPPORT:
            return None
        raise
    return frozenset(network.name() for network in active)
