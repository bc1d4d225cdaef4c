"""Which services have to shake hands, and where they are asked."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from provisioner.plan.model import ForwardedPort
from provisioner.plan.ready import services_of
from provisioner.plan.steps import Service, ShakeHands, describe
from provisioner.profile.model import Profile
from tests.fakes.hypervisor import good_facts

BOTH = {"rdp": True, "winrm": "https"}
PORTS = (
    ForwardedPort(service="rdp", guest_port=3389, host_port=20001),
    ForwardedPort(service="winrm", guest_port=5986, host_port=20002),
)


def profile(remote: dict[str, Any], machine: dict[str, Any]) -> Profile:
    windows = {"product": "windows-11", "remote": remote}
    return Profile.model_validate_json(
        json.dumps({"name": "x", "windows": windows, "machine": machine})
    )


@pytest.mark.parametrize(
    ("remote", "machine", "when", "names"),
    [
        (BOTH, {}, "agent", ["rdp", "winrm"]),
        ({"rdp": True}, {}, "serial", ["rdp"]),
        ({}, {}, "agent", []),
        (BOTH, {}, "power-off", []),
        (BOTH, {"networks": []}, "agent", []),
        (BOTH, {"ready": {"probes": []}}, "agent", []),
        ({}, {"ready": {"probes": ["ssh", "rdp", "ssh"]}}, "agent", ["ssh", "rdp"]),
    ],
)
def test_the_choice(
    remote: dict[str, Any], machine: dict[str, Any], when: Any, names: list[str]
) -> None:
    found = services_of(profile(remote, machine), good_facts(), when, PORTS)
    assert [service.name for service in found] == names


def test_where_they_are_asked() -> None:
    chosen = profile({}, {"ready": {"probes": ["rdp", "ssh"]}})
    assert services_of(chosen, good_facts(), "agent", PORTS) == (
        Service(name="rdp", guest_port=3389, host_port=20001),
        Service(name="ssh", guest_port=22, host_port=0),
    )


def test_a_hypervisor_elsewhere_is_asked_only_on_request() -> None:
    """Its networks are not ours."""
    elsewhere = replace(good_facts(), uri="qemu+ssh://big.example/system")
    assert services_of(profile(BOTH, {}), elsewhere, "agent", ()) == ()
    chosen = profile(BOTH, {"ready": {"probes": ["rdp"]}})
    assert [s.name for s in services_of(chosen, elsewhere, "agent", ())] == ["rdp"]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["rdp"], "wait until RDP shakes hands"),
        (["rdp", "winrm"], "wait until RDP and WinRM shake hands"),
        (["rdp", "winrm", "ssh"], "wait until RDP, WinRM and SSH shake hands"),
    ],
)
def test_in_words(names: list[str], words: str) -> None:
    services = tuple(Service(name=name, guest_port=1) for name in names)
    assert describe(ShakeHands(name="x", services=services, within=60)) == words
