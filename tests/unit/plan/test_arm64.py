"""Machines for arm64: planned, rendered, checked against libvirt's schema, and not started."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from provisioner.errors import HostError, ProfileError, Severity
from provisioner.plan.domain import NOT_STARTED
from provisioner.plan.model import MachinePlan
from provisioner.plan.show import domain_xml
from provisioner.plan.steps import WaitReady
from provisioner.ports import Mode
from provisioner.run.machine import UpOptions, up
from tests.fakes.hypervisor import good_facts
from tests.golden.media import edition
from tests.unit.plan.scene import Scene, disc, drivers
from tests.unit.run.scenes import Scene as Stage

ARM = """\
name: arm11
media: {install: /iso/install.iso}
windows:
  product: windows-11
  architecture: arm64
  users: [{name: dev, groups: [Administrators], password: {generate: 20}}]
machine: {cpus: 4}
"""
PRO = edition("Professional", index=6, architecture="arm64")
INSTALL = replace(disc(PRO), architecture="arm64")
WITH_DRIVERS = Scene(profile=ARM, install=INSTALL, drivers=drivers())
NETWORK = replace(good_facts(), networks=frozenset({"default"}), network_driver=True)
NVME = replace(good_facts(), disk_buses=frozenset({"virtio", "sata", "nvme"}))


def with_machine(text: str) -> str:
    return ARM.replace("cpus: 4", f"cpus: 4, {text}")


SCENES = {
    "drivers": WITH_DRIVERS,
    "network": replace(WITH_DRIVERS, host=NETWORK),
    "no-network": replace(WITH_DRIVERS, profile=with_machine("networks: []")),
    "uefi-no-tpm": replace(
        WITH_DRIVERS,
        profile=with_machine("firmware: uefi, tpm: false").replace(
            "  users:", "  hardware_checks: bypass\n  users:"
        ),
    ),
    "two-disks-no-display": replace(
        WITH_DRIVERS,
        profile=with_machine("disks: [{size: 64 GiB}, {size: 1 GiB}], graphics: null"),
    ),
    "kvm": replace(WITH_DRIVERS, profile=with_machine("accelerator: kvm")),
    "embed": replace(
        WITH_DRIVERS, host=replace(good_facts(), mode=Mode.EMBED, networks=frozenset())
    ),
}


def xml_of(scene: Scene, folder: Path) -> ElementTree.Element:
    return ElementTree.fromstring(domain_xml(scene.plan(folder)))


@pytest.mark.parametrize("name", SCENES)
def test_the_domain_fits_libvirts_schema(name: str, tmp_path: Path) -> None:
    file = tmp_path / "domain.xml"
    file.write_text(domain_xml(SCENES[name].plan(tmp_path)), encoding="utf-8")
    done = subprocess.run(
        ["virt-xml-validate", str(file), "domain"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_board(tmp_path: Path) -> None:
    root = xml_of(WITH_DRIVERS, tmp_path)
    board = root.find("./os/type")
    assert board is not None
    assert board.attrib == {"arch": "aarch64", "machine": "virt"}
    assert root.find("./features/apic") is None
    assert root.find("./features/hyperv") is None
    assert [dict(e.attrib) for e in root.iterfind("./features/gic")] == [{"version": "3"}]
    assert list(root.iterfind("./clock/timer")) == []
    assert root.find("./pm") is None
    assert root.attrib["type"] == "qemu"
    assert [e.get("mode") for e in root.iterfind("./cpu")] == ["maximum"]


def test_the_devices(tmp_path: Path) -> None:
    root = xml_of(SCENES["network"], tmp_path)
    devices = root.find("./devices")
    assert devices is not None
    targets = [
        (d.get("device"), t.get("dev"), t.get("bus"))
        for d in devices.iterfind("disk")
        for t in d.iterfind("target")
    ]
    assert targets == [
        ("disk", "vda", "virtio"),
        ("cdrom", "sda", "usb"),
        ("cdrom", "sdb", "usb"),
        ("cdrom", "sdc", "usb"),
    ]
    assert [e.get("type") for e in devices.iterfind("interface/model")] == ["virtio"]
    assert [e.get("model") for e in devices.iterfind("tpm")] == ["tpm-tis"]
    assert [e.get("type") for e in devices.iterfind("video/model")] == ["ramfb"]
    assert {(e.get("type"), e.get("bus")) for e in devices.iterfind("input")} == {
        ("tablet", "usb"),
        ("keyboard", "usb"),
    }
    assert [e.get("name") for e in devices.iterfind("serial/target/model")] == ["pl011"]
    assert devices.find("channel") is None, "there is no guest agent for arm64"


def test_kvm_only_where_the_profile_insists(tmp_path: Path) -> None:
    root = xml_of(SCENES["kvm"], tmp_path)
    assert root.attrib["type"] == "kvm"
    assert [e.get("mode") for e in root.iterfind("./cpu")] == ["host-passthrough"]
    assert [dict(e.attrib) for e in root.iterfind("./features/gic")] == [{"version": "host"}]


def test_without_a_driver_disc(tmp_path: Path) -> None:
    """NVMe needs no driver, and there is no network; a host without NVMe says so."""
    scene = Scene(profile=ARM, install=INSTALL, host=NVME)
    said = {(p.rule, p.severity) for p in scene.problems(tmp_path)}
    assert said == {
        ("host.architecture", Severity.WARNING),
        ("machine.virtio-drivers", Severity.WARNING),
    }
    assert [e.get("bus") for e in xml_of(scene, tmp_path).iterfind("./devices/disk/target")] == [
        "nvme",
        "usb",
        "usb",
        "usb",
    ]
    poor = replace(scene, host=replace(NVME, disk_buses=frozenset({"virtio", "sata"})))
    with pytest.raises(ProfileError) as raised:
        poor.plan(tmp_path)
    (problem,) = [p for p in raised.value.problems if p.severity is Severity.ERROR]
    assert (problem.rule, raised.value.exit_code) == ("host.disk-bus", 3)
    assert "media.drivers" in (problem.hint or "")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("firmware: bios", "machine.architecture"),
        ("disks: [{bus: sata}]", "machine.architecture"),
        ("networks: [{model: e1000e}]", "machine.architecture"),
        ("ready: {when: agent}", "machine.ready-agent"),
    ],
)
def test_what_such_a_machine_cannot_have(text: str, rule: str, tmp_path: Path) -> None:
    scene = replace(WITH_DRIVERS, profile=with_machine(text))
    errors = [p for p in scene.problems(tmp_path) if p.severity is Severity.ERROR]
    assert rule in {p.rule for p in errors}


def test_another_disc(tmp_path: Path) -> None:
    scene = replace(WITH_DRIVERS, install=disc())
    assert "media.architecture" in {p.rule for p in scene.problems(tmp_path)}


def test_the_hosts_own_facts_do_not_count(tmp_path: Path) -> None:
    """What libvirt offers for x86_64 says nothing; one warning says that `up` will refuse."""
    host = replace(good_facts(), firmwares=frozenset({"bios"}), tpm=False, tpm_reason="no swtpm")
    problems = replace(WITH_DRIVERS, host=host).problems(tmp_path)
    assert [(p.rule, p.severity, p.message) for p in problems] == [
        ("host.architecture", Severity.WARNING, NOT_STARTED)
    ]


def test_the_answers(tmp_path: Path) -> None:
    plan = WITH_DRIVERS.plan(tmp_path)
    assert plan.facts[0][1].endswith("viostor + NetKVM + Balloon for w11/ARM64")
    assert [step.when for step in plan.steps if isinstance(step, WaitReady)] == ["serial"]
    (machine,) = [text for name, text in plan.facts if name == "machine"]
    assert machine.startswith("arm64, 4 CPUs")


def test_up_refuses(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "run")
    plan = WITH_DRIVERS.plan(tmp_path)

    def compiled(generation: int, forwards: object) -> MachinePlan:
        return plan

    with pytest.raises(HostError, match=re.escape(NOT_STARTED)) as raised:
        up(compiled, stage.world(), UpOptions(choose_ports=lambda n: (0,) * n))
    assert raised.value.exit_code == 3
    assert "provisioner plan" in (raised.value.hint or "")
    assert stage.leaked() == []
