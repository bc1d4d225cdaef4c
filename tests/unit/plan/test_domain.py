"""The domain of a machine on q35: libvirt's schema, and what must and must not be in it."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from provisioner.plan.show import domain_xml
from provisioner.ports import Accelerator, Mode
from tests.fakes.hypervisor import good_facts
from tests.unit.plan.scene import Scene, drivers

PROFILE = """\
name: dev11
media: {install: /iso/install.iso}
windows:
  product: windows-11
  hardware_checks: bypass
  users: [{name: dev, groups: [Administrators], password: {generate: 20}}]
machine: {cpus: 4, MACHINE}
"""
SYSTEM = replace(
    good_facts(), mode=Mode.SYSTEM, networks=frozenset({"default"}), network_driver=True
)
EMULATED = replace(good_facts(), accelerator=Accelerator(kvm=False, reason="a test"))


def scene(machine: str = "tpm: true", **members: object) -> Scene:
    return Scene(profile=PROFILE.replace("MACHINE", machine), **members)  # type: ignore[arg-type]


SCENES = {
    "secure-boot": scene(),
    "uefi": scene("firmware: uefi, tpm: false"),
    "bios": scene("firmware: bios"),
    "drivers": scene(drivers=drivers()),
    "system": scene(host=SYSTEM),
    "session": scene(host=replace(good_facts(), mode=Mode.SESSION)),
    "emulated": scene(host=EMULATED),
    "keys": scene("boot_prompt: keys", host=SYSTEM),
    "two-cards": scene("networks: [{}, {model: e1000e}], graphics: spice"),
    "no-display": scene("networks: [], graphics: null"),
    "two-disks": scene("disks: [{size: 64 GiB}, {size: 1 GiB, bus: sata}]"),
}


def xml_of(name: str, folder: Path) -> ElementTree.Element:
    return ElementTree.fromstring(domain_xml(SCENES[name].plan(folder)))


@pytest.mark.parametrize("name", SCENES)
def test_the_domain_fits_libvirts_schema(name: str, tmp_path: Path) -> None:
    file = tmp_path / "domain.xml"
    file.write_text(domain_xml(SCENES[name].plan(tmp_path)), encoding="utf-8")
    done = subprocess.run(
        ["virt-xml-validate", str(file), "domain"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "wanted"), [("secure-boot", "yes"), ("uefi", "no"), ("emulated", "yes")]
)
def test_both_firmware_features_are_stated(name: str, wanted: str, tmp_path: Path) -> None:
    features = {
        feature.get("name"): feature.get("enabled")
        for feature in xml_of(name, tmp_path).iterfind("./os/firmware/feature")
    }
    assert features == {"secure-boot": wanted, "enrolled-keys": wanted}


def test_only_the_system_daemon_is_told_to_leave_the_iso_alone(tmp_path: Path) -> None:
    def labels(name: str) -> list[dict[str, str]]:
        return [dict(label.attrib) for label in xml_of(name, tmp_path).iter("seclabel")]

    assert labels("system") == labels("keys") == [{"model": "dac", "relabel": "no"}]
    assert labels("session") == labels("secure-boot") == []


def test_emulation_gets_no_enlightenments(tmp_path: Path) -> None:
    emulated, kvm = xml_of("emulated", tmp_path), xml_of("secure-boot", tmp_path)
    assert (emulated.get("type"), kvm.get("type")) == ("qemu", "kvm")
    assert emulated.find("./features/hyperv") is None
    assert kvm.find("./features/hyperv") is not None
    assert [cpu.get("mode") for root in (emulated, kvm) for cpu in root.iterfind("./cpu")] == [
        "maximum",
        "host-passthrough",
    ]


@pytest.mark.parametrize("name", SCENES)
def test_discs_are_on_sata_and_the_disk_starts_first(name: str, tmp_path: Path) -> None:
    root = xml_of(name, tmp_path)
    buses = {
        t.get("bus") for d in root.iterfind(".//disk[@device='cdrom']") for t in d.iter("target")
    }
    assert buses == {"sata"}
    order = {
        disk.get("device"): boot.get("order")
        for disk in root.iterfind("./devices/disk")
        for boot in disk.iterfind("boot")
    }
    assert order == {"disk": "1", "cdrom": "2"}
    sockets = [topology.get("sockets") for topology in root.iterfind("./cpu/topology")]
    assert sockets == ["1"]
