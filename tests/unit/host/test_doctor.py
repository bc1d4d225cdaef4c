"""Findings and their one command for each family of distributions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.errors import HostError, ProvisionerError
from provisioner.host.doctor import Distribution, Finding, Level, distribution, judge
from provisioner.ports import Accelerator, HostFacts, Mode, Storage
from tests.fakes.hypervisor import GOOD_FACTS, good_facts


def findings(
    tmp_path: Path,
    facts: HostFacts | ProvisionerError = GOOD_FACTS,
    *,
    accelerator: Accelerator | None = None,
    binding: ProvisionerError | None = None,
    uid: int | None = None,
    find_program: Callable[[str], str | None] = lambda name: f"/usr/bin/{name}",
    family: Distribution | None = Distribution.DEBIAN,
) -> dict[str, Finding]:
    return {
        finding.id: finding
        for finding in judge(
            facts=facts,
            accelerator=accelerator or Accelerator(kvm=True),
            binding=binding,
            state_folder=tmp_path,
            uid=tmp_path.stat().st_uid if uid is None else uid,
            find_program=find_program,
            family=family,
        )
    }


def test_a_good_host(tmp_path: Path) -> None:
    found = findings(tmp_path)
    assert {finding.level for finding in found.values()} == {Level.OK}
    assert all(finding.why and not finding.fix for finding in found.values())


def test_nothing_is_installed(tmp_path: Path) -> None:
    missing = HostError("the Python module libvirt is not installed")
    found = findings(tmp_path, missing, binding=missing, find_program=lambda name: None)
    failed = {name for name, finding in found.items() if finding.level is Level.FAIL}
    assert failed == {"python-libvirt", "qemu", "qemu-img", "libvirt", "swtpm"}
    assert all("apt install" in (found[name].fix or "") for name in failed)


def test_libvirt_that_cannot_be_asked_because_qemu_is_missing(tmp_path: Path) -> None:
    """It is there: to install it once more would mend nothing."""
    there = {"virsh": "/usr/bin/virsh", "swtpm": "/usr/bin/swtpm", "swtpm_setup": "/usr/bin/x"}
    found = findings(tmp_path, HostError("no QEMU for x86_64"), find_program=there.get)
    assert "apt install qemu" in (found["qemu"].fix or "")
    assert found["libvirt"].fix is None
    assert "mend what else is wrong here first" in found["libvirt"].why


@pytest.mark.parametrize(
    ("family", "command"),
    [
        (Distribution.DEBIAN, "sudo apt install ovmf"),
        (Distribution.FEDORA, "sudo dnf install edk2-ovmf"),
        (Distribution.ARCH, "sudo pacman -S edk2-ovmf"),
        (
            None,
            (
                "Debian: sudo apt install ovmf; Fedora: sudo dnf install edk2-ovmf;"
                " Arch: sudo pacman -S edk2-ovmf"
            ),
        ),
    ],
)
def test_firmware(tmp_path: Path, family: Distribution | None, command: str) -> None:
    found = findings(tmp_path, good_facts(firmwares=frozenset({"bios", "uefi"})), family=family)
    assert found["firmware-uefi"].level is Level.OK
    assert found["firmware-secure-boot"].level is Level.FAIL
    assert found["firmware-secure-boot"].fix == command
    assert set(found["firmware-secure-boot"].fixes) == set(Distribution)


@pytest.mark.parametrize(
    ("reason", "fix"),
    [
        ("you may not open /dev/kvm; members of the group kvm may", "usermod -aG kvm"),
        ("there is no /dev/kvm: ...", "modprobe"),
        ("/dev/kvm is there but only emulates", None),
    ],
)
def test_kvm(tmp_path: Path, reason: str, fix: str | None) -> None:
    found = findings(tmp_path, accelerator=Accelerator(kvm=False, reason=reason))["kvm"]
    assert found.level is Level.WARN and reason in found.why
    assert (found.fix is None) if fix is None else (fix in (found.fix or ""))


def test_an_old_libvirt(tmp_path: Path) -> None:
    found = findings(tmp_path, good_facts(libvirt_version=(7, 1, 0)))
    assert found["libvirt"].level is Level.FAIL and "7.1.0" in found["libvirt"].why


def test_room(tmp_path: Path) -> None:
    for free, level in ((1, Level.FAIL), (10, Level.WARN), (100, Level.OK)):
        storage = Storage(folder="/x", free_bytes=free * 1024**3)
        assert findings(tmp_path, good_facts(storage=storage))["space"].level is level


def test_the_system_daemon(tmp_path: Path) -> None:
    facts = good_facts(mode=Mode.SYSTEM, network_driver=True)
    found = findings(tmp_path, facts, uid=1000)
    assert found["network"].level is Level.WARN and "net-start" in (found["network"].fix or "")
    assert found["serial-log"].level is Level.WARN
    with_network = good_facts(mode=Mode.SYSTEM, networks=frozenset({"default"}))
    assert findings(tmp_path, with_network)["network"].level is Level.OK


def test_a_state_folder_that_others_can_write(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    assert findings(tmp_path)["state-folder"].level is Level.WARN


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ('ID=debian\nVERSION_ID="12"', Distribution.DEBIAN),
        ("ID=ubuntu\nID_LIKE=debian", Distribution.DEBIAN),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"', Distribution.DEBIAN),
        ("ID=fedora", Distribution.FEDORA),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"', Distribution.FEDORA),
        ("ID=arch", Distribution.ARCH),
        ("ID=manjaro\nID_LIKE=arch", Distribution.ARCH),
        ("ID=nixos", None),
        ("", None),
        ("ID='unbalanced", None),
    ],
)
def test_distribution(text: str, family: Distribution | None) -> None:
    assert distribution(text) is family
