"""The scripted guest keeps time; failures come when ordered."""

from __future__ import annotations

import pytest

from provisioner.errors import FailedError, GuestError
from provisioner.ports import BlockCounters, DomainState
from tests.contract.domains import domain_xml
from tests.fakes.clock import FakeClock
from tests.fakes.guest import FakeGuest
from tests.fakes.hypervisor import FakeHypervisor


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def hypervisor(clock: FakeClock) -> FakeHypervisor:
    made = FakeHypervisor(clock=clock)
    made.define(domain_xml())
    return made


def test_a_guest_follows_its_script(hypervisor: FakeHypervisor, clock: FakeClock) -> None:
    def installs(guest: FakeGuest) -> None:
        guest.after(3, lambda: guest.write_serial(b"BdsDxe\n"))
        guest.reads("sda", 100, start=5, seconds=10)
        guest.after(20, lambda: guest.after(1, lambda: guest.agent_up({"guest-info": {"v": 1}})))
        guest.after(30, guest.power_off)

    log = hypervisor.serial_log("w1")
    hypervisor.plays("w1", installs)
    hypervisor.start("w1")
    assert log.read_new() == b""
    clock.sleep(3)
    assert log.read_new() == b"BdsDxe\n"
    clock.sleep(6)
    assert hypervisor.block_counters("w1", "sda") == BlockCounters(read_bytes=50, written_bytes=0)
    with pytest.raises(GuestError):
        hypervisor.agent("w1", {"execute": "guest-ping"}, timeout=1)
    clock.sleep(12)
    assert hypervisor.agent("w1", {"execute": "guest-ping"}, timeout=1) == {}
    assert hypervisor.agent("w1", {"execute": "guest-info"}, timeout=1) == {"v": 1}
    assert hypervisor.block_counters("w1", "sda").read_bytes == 100
    clock.sleep(9)
    assert hypervisor.domain("w1").state is DomainState.OFF  # type: ignore[union-attr]


def test_keys_reach_the_guest(hypervisor: FakeHypervisor) -> None:
    def waits(guest: FakeGuest) -> None:
        guest.on_keys = lambda keys: guest.write_serial(b"key")

    hypervisor.plays("w1", waits)
    hypervisor.start("w1")
    hypervisor.send_keys("w1", [57])
    assert hypervisor.guest("w1").keys == [(57,)]
    assert hypervisor.serial_log("w1").read_new() == b"key"


def test_a_locked_tray_needs_force(hypervisor: FakeHypervisor) -> None:
    hypervisor.plays("w1", lambda guest: guest.locked.add("sda"))
    hypervisor.start("w1")
    with pytest.raises(FailedError, match="locked"):
        hypervisor.change_medium("w1", "sda", None, force=False)
    hypervisor.change_medium("w1", "sda", None, force=True)


def test_failures_before_and_after_the_effect(hypervisor: FakeHypervisor) -> None:
    hypervisor.fails("create_disk", FailedError("before"), on_call=2)
    hypervisor.fails("start", KeyboardInterrupt(), after=True)
    hypervisor.create_disk("a.qcow2", 1)
    with pytest.raises(FailedError, match="before"):
        hypervisor.create_disk("b.qcow2", 1)
    assert set(hypervisor.disks) == {"a.qcow2"}
    with pytest.raises(KeyboardInterrupt):
        hypervisor.start("w1")
    assert hypervisor.domain("w1").state is DomainState.RUNNING  # type: ignore[union-attr]


def test_a_failure_at_any_call(hypervisor: FakeHypervisor) -> None:
    hypervisor.fails(None, FailedError("third"), on_call=3)
    hypervisor.domains()
    hypervisor.domains()
    with pytest.raises(FailedError, match="third"):
        hypervisor.domains()
    assert [call[0] for call in hypervisor.calls] == ["define", *["domains"] * 3]
