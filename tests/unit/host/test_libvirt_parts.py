"""The pure parts around libvirt: XML, errors, capabilities, the wire, the probe's guest."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

from provisioner.errors import FailedError, GuestError, HostError, ProvisionerError, RefusedError
from provisioner.host import keeper_wire as wire
from provisioner.host.domain_xml import (
    disk_with_medium,
    domain_with_medium,
    drives_in,
)
from provisioner.host.libvirt_errors import libvirt_module, translate
from provisioner.host.libvirt_facts import (
    parse_cpu_features,
    parse_domain_capabilities,
    parse_qemu_user,
    session_tpm_reason,
    version,
)
from provisioner.host.libvirt_link import PORT_ATTEMPTS, create
from provisioner.host.loopback import FIRST, LAST, free_loopback_ports
from provisioner.host.probe import probe_kvm, rom
from provisioner.ownership import format_ownership, parse_ownership
from provisioner.ports import Drive, Medium, Ownership
from tests.contract.domains import disk_xml, domain_xml
from tests.fakes.hypervisor import GOOD_FACTS


class FakeLibvirtError(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self._code = code

    def get_error_code(self) -> int:
        return self._code


@pytest.mark.parametrize(
    ("code", "text", "kind", "words"),
    [
        (38, "Failed to connect socket to '/run/libvirt/virtlogd-sock': No", HostError, "virtlogd"),
        (38, "Failed to connect socket to '/run/libvirt/libvirt-sock': No", HostError, "daemon"),
        (
            38,
            "Failed to connect socket to '/run/libvirt/libvirt-sock': Permission denied",
            HostError,
            "does not let this user in",
        ),
        (9, "timed out waiting to open tray of 'sdb'", FailedError, "locked the tray"),
        (1, "UNIX socket path '/a/b' too long", HostError, "too deep"),
        (1, "Failed to acquire pid file '/r/driver.pid'", HostError, "another process"),
        (38, "Cannot access storage file '/a.iso'", HostError, "cannot read"),
        (86, "QEMU guest agent is not connected", GuestError, "agent"),
        (3, "this function is not supported: x", HostError, "driver cannot"),
        (92, "XML document failed\nto validate", FailedError, "schema"),
        (4711, "never heard of", FailedError, "libvirt reports an error"),
    ],
)
def test_libvirts_errors_become_ours(
    code: int, text: str, kind: type[ProvisionerError], words: str
) -> None:
    error = translate(FakeLibvirtError(code, text), "start w1")
    assert type(error) is kind
    assert error.message.startswith("cannot start w1: ") and words in error.message
    assert f"libvirt error {code}" in error.message and "\n" not in error.message


def test_ownership_survives_any_text() -> None:
    ours = Ownership(profile="a<b>&\"c'.yaml", digest="0f", version="1.0")
    xml = f"<domain><metadata>{format_ownership(ours)}</metadata></domain>"
    assert parse_ownership(xml) == ours
    assert parse_ownership("<domain><metadata><a xmlns='urn:x'/></metadata></domain>") is None
    assert parse_ownership("<domain/>") is None


def test_drives() -> None:
    xml = domain_xml(disks=disk_xml("/d.qcow2"), medium="/a.iso")
    assert drives_in(xml) == (
        Drive(target="sda", medium=Medium(path="/a.iso")),
        Drive(target="sdb", medium=None),
    )


def test_a_disk_for_a_media_change() -> None:
    live = domain_xml(medium="/old.iso").replace(
        "<target dev='sda' bus='sata'/>",
        "<backingStore/><target dev='sda' bus='sata' tray='open'/><alias name='sata0-0-0'/>",
    )
    overlay = Medium(path="/b&w.qcow2", format="qcow2")
    disk = ElementTree.fromstring(
        disk_with_medium(live, "sda", overlay, backing=Medium(path="/user.iso"), relabel=False)
    )
    assert disk.find("source").get("file") == "/b&w.qcow2"  # type: ignore[union-attr]
    assert disk.find("driver").get("type") == "qcow2"  # type: ignore[union-attr]
    assert disk.find("target").get("tray") is None  # type: ignore[union-attr]
    assert disk.find("alias") is None
    assert len(disk.findall("backingStore")) == 1
    assert disk.find("source/seclabel") is None
    label = disk.find("backingStore/source/seclabel")
    assert label is not None and label.attrib == {"model": "dac", "relabel": "no"}
    empty = ElementTree.fromstring(disk_with_medium(live, "sda", None, backing=None, relabel=True))
    assert empty.find("source") is None and empty.find("backingStore") is None


def test_a_domain_keeps_everything_else() -> None:
    ours = domain_xml(medium="/old.iso")
    changed = domain_with_medium(ours, "sdb", Medium(path="/new.iso"))
    assert parse_ownership(changed) == parse_ownership(ours)
    assert drives_in(changed) == (
        Drive(target="sda", medium=Medium(path="/old.iso")),
        Drive(target="sdb", medium=Medium(path="/new.iso")),
    )
    with pytest.raises(FailedError, match="sdz"):
        domain_with_medium(ours, "sdz", None)


CAPABILITIES = """<domainCapabilities><os supported='yes'>
<enum name='firmware'>{firmware}</enum>
<loader supported='yes'><enum name='secure'><value>{secure}</value></enum></loader></os>
<devices><disk supported='yes'><enum name='bus'><value>sata</value><value>virtio</value></enum>
</disk><tpm supported='{tpm}'><enum name='backendModel'><value>emulator</value></enum></tpm>
</devices></domainCapabilities>"""


@pytest.mark.parametrize(
    ("firmware", "secure", "tpm", "expected"),
    [
        ("<value>efi</value>", "yes", "yes", ({"bios", "uefi", "secure-boot"}, True)),
        ("<value>efi</value>", "no", "yes", ({"bios", "uefi"}, True)),
        ("", "yes", "no", ({"bios"}, False)),
    ],
)
def test_domain_capabilities(
    firmware: str, secure: str, tpm: str, expected: tuple[set[str], bool]
) -> None:
    parsed = parse_domain_capabilities(
        CAPABILITIES.format(firmware=firmware, secure=secure, tpm=tpm)
    )
    assert (set(parsed.firmwares), parsed.tpm_emulator) == expected
    assert parsed.disk_buses == {"sata", "virtio"}


def test_qemu_user() -> None:
    label = "<baselabel type='kvm'>{}</baselabel>"
    host = "<capabilities><host><secmodel><model>{}</model>{}</secmodel></host></capabilities>"
    assert parse_qemu_user(host.format("dac", label.format("+64055:+108"))) == (64055, 108)
    assert parse_qemu_user(host.format("apparmor", label.format("x"))) is None
    assert parse_qemu_user("<capabilities/>") is None


def test_processor_features() -> None:
    cpu = (
        "<cpu><model>core2duo</model><feature policy='require' name='sse4.2'/>"
        "<feature policy='disable' name='popcnt'/><feature name='lm'/></cpu>"
    )
    assert parse_cpu_features(cpu) == {"sse4.2", "lm"}


def test_versions() -> None:
    assert version(9_000_000) == (9, 0, 0)
    assert version(7_002_022) == (7, 2, 22)


def test_facts_pass_the_wire() -> None:
    members = wire.facts_to_wire(GOOD_FACTS)
    assert wire.facts_from_wire(members) == GOOD_FACTS


def test_errors_pass_the_wire() -> None:
    for kind in (FailedError, GuestError, HostError, RefusedError):
        there = wire.error_from_wire(wire.error_to_wire(kind("what", hint="do")))
        assert (type(there), there.message, there.hint) == (kind, "what", "do")
    odd = wire.error_from_wire({"kind": "Problem", "message": "m", "hint": None})
    assert type(odd) is FailedError


def test_lines_arrive_in_pieces() -> None:
    here, there = socket.socketpair()
    with here, there:
        line = wire.Line(there)
        here.sendall(b'{"a": 1}\n{"b"')
        assert line.receive() == {"a": 1}
        here.sendall(b": 2}\n[]\n")
        assert line.receive() == {"b": 2}
        with pytest.raises(ValueError, match="not an object"):
            line.receive()
        here.close()
        assert line.receive() is None


def test_ports_are_free_and_different() -> None:
    ports = free_loopback_ports(5)
    assert len(set(ports)) == 5 and all(FIRST <= port <= LAST for port in ports)
    assert not set(free_loopback_ports(5, taken=ports)) & set(ports)
    for port in ports:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", port))


def test_the_probes_guest_starts_at_its_reset_vector() -> None:
    image = rom()
    assert len(image) == 0x10000
    jump = image[0xFFF0:0xFFF3]
    target = (0xFFF3 + int.from_bytes(jump[1:3], "little")) & 0xFFFF
    assert jump[0] == 0xE9 and target == 0 and image[0] == 0xFA
    assert int.from_bytes(image[image.index(0xB9) + 1 :][:4], "little") == 5_000_000


def test_a_device_file_proves_nothing(tmp_path: Path) -> None:
    absent = probe_kvm(tmp_path, device=tmp_path / "kvm")
    assert not absent.kvm and "there is no" in absent.reason
    (tmp_path / "kvm").touch()
    present = probe_kvm(tmp_path, device=tmp_path / "kvm", qemu="no-such-qemu")
    assert not present.kvm and "no-such-qemu" in present.reason
    refuses = probe_kvm(tmp_path, device=tmp_path / "kvm", qemu="false")
    assert not refuses.kvm and "cannot use it" in refuses.reason
    assert not (tmp_path / "kvm.json").exists(), "nothing uncertain is remembered"


def test_a_fast_guest_is_proof_and_is_remembered(tmp_path: Path) -> None:
    """Stands in for QEMU: ends at once with the code that only the guest can bring about."""
    (tmp_path / "kvm").touch()
    qemu = tmp_path / "qemu"
    qemu.write_text("#!/bin/sh\nexit 33\n")
    qemu.chmod(0o755)
    assert probe_kvm(tmp_path / "c", device=tmp_path / "kvm", qemu=str(qemu)).kvm
    qemu.unlink()
    assert probe_kvm(tmp_path / "c", device=tmp_path / "kvm", qemu=str(qemu)).kvm


def test_an_emulated_kvm_is_found_out(tmp_path: Path) -> None:
    (tmp_path / "kvm").touch()
    qemu = tmp_path / "qemu"
    qemu.write_text("#!/bin/sh\nwhile :; do :; done\n")
    qemu.chmod(0o755)
    found = probe_kvm(tmp_path / "c", device=tmp_path / "kvm", qemu=str(qemu))
    assert not found.kvm and "only emulates" in found.reason


@pytest.mark.parametrize(
    ("settings", "libvirt", "prints", "command"),
    [
        (True, (7, 0, 0), "", None),
        (False, (9, 0, 0), '["cmdarg-create-config-files"]', None),
        (False, (7, 2, 0), '["cmdarg-create-config-files"]', "swtpm_setup --create-config-files"),
        (False, (9, 0, 0), "[]", "swtpm-create-user-config-files"),
    ],
)
def test_a_user_without_settings_of_swtpm(
    tmp_path: Path, settings: bool, libvirt: tuple[int, int, int], prints: str, command: str | None
) -> None:
    """virt-manager #310: known before the start, with the one command that helps."""
    if settings:
        (tmp_path / "swtpm_setup.conf").touch()
    reason = session_tpm_reason(tmp_path, libvirt_version=libvirt, run=lambda: prints)
    if command is None:
        assert reason == ""
    else:
        assert "not set up for you" in reason and command in reason


@dataclass
class Starting:
    """A domain whose port somebody else is quicker to take, a number of times."""

    beaten: int
    text: str = (
        "internal error: process exited while connecting to monitor: qemu-system-x86_64:"
        " -vnc 127.0.0.1:0: Failed to find an available port: Address already in use"
    )
    started: int = 0

    def create(self) -> None:
        self.started += 1
        if self.started <= self.beaten:
            raise libvirt_module().libvirtError(self.text)


@pytest.mark.parametrize("beaten", range(PORT_ATTEMPTS))
def test_a_display_port_that_another_libvirt_took_is_left_to_it(beaten: int) -> None:
    domain = Starting(beaten)
    create(domain)
    assert domain.started == beaten + 1


@pytest.mark.parametrize(
    ("domain", "attempts"),
    [(Starting(99), PORT_ATTEMPTS), (Starting(99, "Cannot access storage file"), 1)],
)
def test_a_start_that_fails_for_good_is_told(domain: Starting, attempts: int) -> None:
    with pytest.raises(libvirt_module().libvirtError) as caught:
        create(domain)
    assert domain.started == attempts
    told = translate(caught.value, "start the machine w1")
    assert isinstance(told, HostError) and told.hint
