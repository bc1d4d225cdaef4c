"""What every `ports.Hypervisor` promises: the fake, libvirt's test driver, QEMU."""

from __future__ import annotations

import ipaddress
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.errors import FailedError, GuestError, HostError, RefusedError
from provisioner.ownership import parse_ownership
from provisioner.ports import DomainState, Hypervisor, Medium, Mode
from tests.contract.conftest import DIRECT, Host
from tests.contract.domains import FOREIGN, OWNERSHIP, disk_xml, domain_xml
from tests.fakes.hypervisor import FakeHypervisor

MEDIUM_SIZE = 2_000_000


def disc(host: Host, name: str = "a.iso") -> str:
    def write(path: Path) -> None:
        path.write_bytes(bytes(MEDIUM_SIZE))

    return host.hypervisor.store_file(name, write)


def loaded(host: Host, target: str) -> Medium | None:
    drives = {drive.target: drive.medium for drive in host.hypervisor.drives("w1")}
    return drives[target]


def test_facts_say_what_a_plan_needs(host: Host) -> None:
    facts = host.hypervisor.facts()
    assert facts.firmwares >= {"bios", "uefi", "secure-boot"}
    assert facts.tpm and not facts.tpm_reason
    assert "sata" in facts.disk_buses
    assert facts.cpus >= 1 and facts.memory_bytes > 100_000_000
    assert facts.libvirt_version >= (7, 2, 0)
    assert facts.storage.pool is None and facts.storage.free_bytes
    assert facts.qemu_user is None
    assert facts.mode is (Mode.TEST if host.kind == "test" else Mode.EMBED)
    if host.real:
        assert not facts.accelerator.kvm and "software" in facts.accelerator.reason
    if host.real and facts.mode is not Mode.TEST:
        flags = Path("/proc/cpuinfo").read_text().split()
        for ours, linux in (("sse4.2", "sse4_2"), ("popcnt", "popcnt"), ("vmx", "vmx")):
            assert (ours in facts.cpu_features) == (linux in flags)


def test_a_defined_domain_is_off_and_ours(host: Host) -> None:
    host.hypervisor.define(domain_xml(medium="/nowhere/install.iso"))
    record = host.hypervisor.domain("w1")
    assert record is not None
    assert (record.name, record.state, record.ownership) == ("w1", DomainState.OFF, OWNERSHIP)
    assert parse_ownership(host.hypervisor.domain_xml("w1")) == OWNERSHIP
    assert [drive.target for drive in host.hypervisor.drives("w1")] == ["sda", "sdb"]
    assert loaded(host, "sda") == Medium(path="/nowhere/install.iso")
    assert loaded(host, "sdb") is None


def test_domains_are_listed_in_name_order(host: Host) -> None:
    for name in ("w2", "a1"):
        host.hypervisor.define(domain_xml(name))
    assert [record.name for record in host.hypervisor.domains()] == ["a1", FOREIGN, "w2"]
    assert host.hypervisor.domain(FOREIGN).ownership is None  # type: ignore[union-attr]
    assert host.hypervisor.domain("w3") is None


def test_redefining_keeps_the_uuid(host: Host) -> None:
    host.hypervisor.define(domain_xml())
    before = host.hypervisor.domain("w1")
    assert before is not None
    host.hypervisor.define(domain_xml(uuid=before.uuid, medium="/nowhere/b.iso"))
    after = host.hypervisor.domain("w1")
    assert after is not None and after.uuid == before.uuid
    assert loaded(host, "sda") == Medium(path="/nowhere/b.iso")


@pytest.mark.parametrize("uuid", [None, "11111111-2222-4333-8444-555555555555"])
def test_a_name_has_one_uuid(host: Host, uuid: str | None) -> None:
    host.hypervisor.define(domain_xml())
    before = host.hypervisor.domain("w1")
    with pytest.raises(FailedError):
        host.hypervisor.define(domain_xml(uuid=uuid))
    assert host.hypervisor.domain("w1") == before


@pytest.mark.parametrize(
    "xml",
    [
        "<domain",
        domain_xml(disks=disk_xml("/x", "vda") + disk_xml("/y", "vda")),
    ],
    ids=["not-xml", "two-disks-one-target"],
)
def test_bad_xml_fails(host: Host, xml: str) -> None:
    with pytest.raises(FailedError):
        host.hypervisor.define(xml)
    assert host.hypervisor.domain("w1") is None


def test_the_schema_is_checked(host: Host) -> None:
    if not host.real:
        return
    with pytest.raises(FailedError, match="schema"):
        host.hypervisor.define(domain_xml().replace("<vcpu>", "<nonsense/><vcpu>"))


def test_a_domain_without_our_metadata_is_not_defined(host: Host) -> None:
    with pytest.raises(RefusedError, match="metadata"):
        host.hypervisor.define(domain_xml(ownership=None))
    assert host.hypervisor.domain("w1") is None


FORBIDDEN: dict[str, Callable[[Hypervisor], object]] = {
    "define": lambda h: h.define(domain_xml(FOREIGN)),
    "rename": lambda h: h.rename(FOREIGN, "mine"),
    "undefine": lambda h: h.undefine(FOREIGN),
    "start": lambda h: h.start(FOREIGN),
    "shutdown": lambda h: h.shutdown(FOREIGN),
    "destroy": lambda h: h.destroy(FOREIGN),
    "change_medium": lambda h: h.change_medium(FOREIGN, "sda", None, force=False),
    "send_keys": lambda h: h.send_keys(FOREIGN, [57]),
    "screenshot": lambda h: h.screenshot(FOREIGN),
    "block_counters": lambda h: h.block_counters(FOREIGN, "sda"),
    "agent": lambda h: h.agent(FOREIGN, {"execute": "guest-ping"}, timeout=1),
    "addresses": lambda h: h.addresses(FOREIGN),
    "display": lambda h: h.display(FOREIGN),
    "serial_port": lambda h: h.serial_port(FOREIGN),
}


@pytest.mark.parametrize("method", FORBIDDEN)
def test_foreign_domains_are_not_touched(host: Host, method: str) -> None:
    before = host.hypervisor.domain(FOREIGN)
    with pytest.raises(RefusedError, match=FOREIGN):
        FORBIDDEN[method](host.hypervisor)
    assert host.hypervisor.domain(FOREIGN) == before


UNKNOWN: dict[str, Callable[[Hypervisor], object]] = {
    "domain_xml": lambda h: h.domain_xml("w9"),
    "rename": lambda h: h.rename("w9", "w1"),
    "undefine": lambda h: h.undefine("w9"),
    "start": lambda h: h.start("w9"),
    "shutdown": lambda h: h.shutdown("w9"),
    "destroy": lambda h: h.destroy("w9"),
    "drives": lambda h: h.drives("w9"),
    "change_medium": lambda h: h.change_medium("w9", "sda", None, force=False),
    "screenshot": lambda h: h.screenshot("w9"),
    "agent": lambda h: h.agent("w9", {"execute": "guest-ping"}, timeout=1),
}


@pytest.mark.parametrize("method", UNKNOWN)
def test_unknown_domains_fail(host: Host, method: str) -> None:
    with pytest.raises(FailedError, match="no machine w9"):
        UNKNOWN[method](host.hypervisor)


def test_power(host: Host) -> None:
    host.hypervisor.define(domain_xml(medium=disc(host)))
    for refused in (
        host.hypervisor.shutdown,
        host.hypervisor.screenshot,
        host.hypervisor.display,
        host.hypervisor.serial_port,
    ):
        with pytest.raises(FailedError, match="w1 is off"):
            refused("w1")
    host.hypervisor.destroy("w1")
    host.hypervisor.start("w1")
    assert host.hypervisor.domain("w1").state is DomainState.RUNNING  # type: ignore[union-attr]
    for running in (
        host.hypervisor.start,
        host.hypervisor.undefine,
        lambda name: host.hypervisor.rename(name, "w2"),
    ):
        with pytest.raises(FailedError, match="w1 is running"):
            running("w1")
    host.hypervisor.shutdown("w1")
    host.hypervisor.destroy("w1")
    assert host.hypervisor.domain("w1").state is DomainState.OFF  # type: ignore[union-attr]
    host.hypervisor.undefine("w1")
    assert host.hypervisor.domain("w1") is None


def test_rename(host: Host) -> None:
    host.hypervisor.define(domain_xml())
    uuid = host.hypervisor.domain("w1").uuid  # type: ignore[union-attr]
    host.hypervisor.rename("w1", "w1-old")
    assert host.hypervisor.domain("w1") is None
    assert host.hypervisor.domain("w1-old").uuid == uuid  # type: ignore[union-attr]
    host.hypervisor.define(domain_xml("w1"))
    with pytest.raises(FailedError):
        host.hypervisor.rename("w1", "w1-old")


def test_a_medium_changes_in_a_machine_that_is_off(host: Host) -> None:
    host.hypervisor.define(domain_xml())
    host.hypervisor.change_medium("w1", "sdb", Medium(path="/nowhere/x.iso"), force=False)
    assert loaded(host, "sdb") == Medium(path="/nowhere/x.iso")
    host.hypervisor.change_medium(
        "w1", "sdb", Medium(path="/nowhere/y.qcow2", format="qcow2"), force=False
    )
    assert loaded(host, "sdb") == Medium(path="/nowhere/y.qcow2", format="qcow2")
    host.hypervisor.change_medium("w1", "sdb", None, force=False)
    assert loaded(host, "sdb") is None
    assert host.hypervisor.domain("w1").ownership == OWNERSHIP  # type: ignore[union-attr]


def test_a_medium_changes_in_a_running_machine(host: Host) -> None:
    first, second = disc(host), disc(host, "b.iso")
    host.hypervisor.define(domain_xml(medium=first))
    host.hypervisor.start("w1")
    if not host.devices_change:
        with pytest.raises(HostError, match="driver cannot"):
            host.hypervisor.change_medium("w1", "sdb", Medium(path=second), force=False)
        return
    for medium in (Medium(path=second), Medium(path=second), None, Medium(path=first)):
        host.hypervisor.change_medium("w1", "sdb", medium, force=False)
        assert loaded(host, "sdb") == medium
    host.hypervisor.change_medium("w1", "sda", None, force=True)
    host.hypervisor.destroy("w1")
    assert loaded(host, "sda") is None
    assert loaded(host, "sdb") == Medium(path=first)


def test_an_unknown_drive_fails(host: Host) -> None:
    host.hypervisor.define(domain_xml())
    with pytest.raises(FailedError, match="no CD-ROM drive sdz") as caught:
        host.hypervisor.change_medium("w1", "sdz", None, force=False)
    assert caught.value.__class__ is FailedError
    assert loaded(host, "sdb") is None


def test_a_running_machine_is_watched(host: Host) -> None:
    host.hypervisor.define(domain_xml(medium=disc(host)))
    with pytest.raises(FailedError, match="off"):
        host.hypervisor.block_counters("w1", "sda")
    host.hypervisor.start("w1")
    host.hypervisor.send_keys("w1", [57])
    picture = host.hypervisor.screenshot("w1")
    assert picture.media_type in ("image/png", "image/x-portable-pixmap")
    assert picture.data[:4] in (b"\x89PNG", b"P6\n7", b"P6\n1")
    counters = host.hypervisor.block_counters("w1", "sda")
    assert counters.read_bytes >= 0 and counters.written_bytes >= 0
    with pytest.raises(FailedError):
        host.hypervisor.block_counters("w1", "vdz")
    for address in host.hypervisor.addresses("w1"):
        assert not ipaddress.ip_address(address).is_loopback
    port = host.hypervisor.serial_port("w1")
    # Its XML has one; the test driver opens no terminal for it.
    assert port is None if host.kind == "test" else port is not None
    assert port is None or port.startswith("/dev/pts/")
    display = host.hypervisor.display("w1")
    if host.kind == "test":  # it gives no ports to displays
        assert display is None
    else:
        assert display is not None and re.fullmatch(r"vnc://127\.0\.0\.1:59[0-9]{2}", display)


CTRL_ALT_DELETE = (29, 56, 111)


def test_restarts_are_counted(host: Host) -> None:
    """The BIOS restarts at Ctrl-Alt-Delete; turning the machine off and on is no restart."""
    host.hypervisor.define(domain_xml(medium=disc(host)))
    host.hypervisor.start("w1")
    before = host.hypervisor.restarts("w1")
    host.hypervisor.destroy("w1")
    host.hypervisor.start("w1")
    assert host.hypervisor.restarts("w1") == before
    if host.kind == "test":  # it plays no guest that could
        return
    if isinstance(host.hypervisor, FakeHypervisor):
        host.hypervisor.guest("w1").on_keys = lambda _: restart(host.hypervisor)
    deadline = time.monotonic() + 60
    while host.hypervisor.restarts("w1") == before:
        assert time.monotonic() < deadline, "no key restarted it"
        host.hypervisor.send_keys("w1", CTRL_ALT_DELETE)
        time.sleep(0.2)


def restart(hypervisor: Hypervisor) -> None:
    """What the fake's guest does at the keys."""
    assert isinstance(hypervisor, FakeHypervisor)
    hypervisor.guest("w1").restart()


def test_no_agent_is_the_guests_fault(host: Host) -> None:
    host.hypervisor.define(domain_xml(medium=disc(host)))
    host.hypervisor.start("w1")
    kind = GuestError if host.devices_change else HostError
    with pytest.raises(kind):
        host.hypervisor.agent("w1", {"execute": "guest-ping"}, timeout=1)


def test_disks(host: Host) -> None:
    path = host.hypervisor.create_disk("w1.qcow2", 10 * 1024**3)
    assert path == f"{host.hypervisor.facts().storage.folder}/w1.qcow2"
    with pytest.raises(FailedError, match="exists already"):
        host.hypervisor.create_disk("w1.qcow2", 1024**3)
    assert 0 < host.hypervisor.stored_files()["w1.qcow2"] < 1_000_000
    if host.real:
        assert Path(path).read_bytes()[:4] == b"QFI\xfb"
        assert Path(path).stat().st_mode & 0o777 == 0o600
    host.hypervisor.delete_file("w1.qcow2")
    host.hypervisor.delete_file("w1.qcow2")
    assert dict(host.hypervisor.stored_files()) == {}


def test_files(host: Host) -> None:
    path = disc(host)
    assert path == f"{host.hypervisor.facts().storage.folder}/a.iso"
    assert host.hypervisor.stored_files()["a.iso"] >= MEDIUM_SIZE
    if host.real:
        assert Path(path).stat().st_mode & 0o777 == 0o600

    def fails(path: Path) -> None:
        path.write_bytes(b"half")
        raise FailedError("in the middle")

    for name in ("a.iso", "b.iso"):
        with pytest.raises(FailedError, match="in the middle"):
            host.hypervisor.store_file(name, fails)
    assert set(host.hypervisor.stored_files()) == {"a.iso"}
    assert host.hypervisor.stored_files()["a.iso"] >= MEDIUM_SIZE


@pytest.mark.parametrize("name", ["", "..", "../a", "/etc/passwd", "a/b"])
def test_files_stay_in_the_storage(host: Host, name: str) -> None:
    with pytest.raises(FailedError, match="not a file name"):
        host.hypervisor.store_file(name, lambda path: None)
    with pytest.raises(FailedError, match="not a file name"):
        host.hypervisor.create_disk(name, 1024**2)
    with pytest.raises(FailedError, match="not a file name"):
        host.hypervisor.delete_file(name)


@pytest.mark.integration
def test_direct_embed() -> None:
    """The same tests on a root that the process itself opens; libvirt allows one per process."""
    if DIRECT in os.environ:
        return
    with tempfile.TemporaryDirectory(prefix="pd") as folder:
        Path(folder).chmod(0o755)
        argv = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__)
        result = subprocess.run(
            (*argv, "-k", "direct and not test_direct_embed"),
            env={**os.environ, DIRECT: folder},
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )
        assert result.returncode == 0, result.stdout[-3000:]
        assert "passed" in result.stdout
