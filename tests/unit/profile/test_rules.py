"""Rules across keys: each is triggered here, with its place, and is quiet on a sound profile."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import dedent
from typing import Any

import pytest

from provisioner.errors import Problem
from provisioner.profile.model import Profile
from provisioner.profile.rules import check, computer_name
from provisioner.profile.units import MachineName
from provisioner.profile.windows import Windows

Check = Callable[..., tuple[Problem, ...]]

SOUND = """\
name: vm
windows:
  product: windows-11
  users: [{name: dev, password: {env: A}}]
"""

CASES = [
    (
        "3010 without a restart behind it",
        "windows: {steps: [{name: a, reboot: {}}, {name: b, cmd: x, exit_codes: [0, 3010]}]}\n",
        "warning[windows.exit-codes] 1:72",
        "add `- reboot: {when: needed}` behind it",
    ),
    (
        "handshakes without a network",
        "machine: {networks: [], ready: {probes: [ssh]}}\n",
        "error[machine.ready-probes] 1:41",
        "remove `probes`, or add one to machine.networks",
    ),
    (
        "handshakes of a machine that is off",
        "machine: {ready: {when: power-off, probes: [ssh]}}\n",
        "error[machine.ready-probes] 1:44",
        "remove `probes`, or wait for the agent or the serial port",
    ),
    (
        "a handshake that nobody switched on",
        "machine: {ready: {probes: [winrm]}}\n",
        "warning[machine.ready-probes] 1:27",
        "switch it on there, unless a step does",
    ),
    (
        "a name too long for a computer name",
        "name: windows-development\n",
        "error[windows.computer-name] 1:7",
        "add windows.computer_name; it has 19 characters, Windows allows 15: 'WINDOWS-DEVELOP'",
    ),
    (
        "computer name equals a user's",
        "windows: {computer_name: DEV}\n",
        "error[windows.computer-name] 1:26",
        "Windows refuses that; rename one of them",
    ),
    (
        "derived computer name equals a user's",
        "name: Dev\n",
        "error[windows.computer-name] 1:7",
        "Windows refuses that; add windows.computer_name",
    ),
    (
        "computer name is Administrator",
        "windows: {computer_name: administrator}\n",
        "error[windows.computer-name] 1:26",
        "Windows refuses that; rename one of them",
    ),
    (
        "a user twice",
        "windows: {users: [{name: a, password: {env: A}}, {name: A, password: {env: A}}]}\n",
        "error[windows.duplicate-user] 1:57",
        "names are compared without regard to capitals",
    ),
    (
        "Administrator among the users",
        "windows: {users: [{name: administrator, password: {env: A}}]}\n",
        "error[windows.administrator] 1:26",
        "use windows.administrator: {enabled: true, password: ...}",
    ),
    (
        "autologon of nobody",
        "windows: {autologon: {user: devv}}\n",
        "error[windows.autologon-user] 1:29",
        "did you mean 'dev'?",
    ),
    (
        "autologon of Administrator without a password",
        "windows: {autologon: {user: Administrator}}\n",
        "error[windows.autologon-password] 1:29",
        "add windows.administrator.password: {generate: 20}",
    ),
    (
        "autologon of a switched-off Administrator",
        """\
windows: {autologon: {user: Administrator}, administrator: {enabled: false, password: {env: A}}}
""",
        "error[windows.autologon-user] 1:29",
        "remove windows.administrator.enabled, or log on somebody else",
    ),
    (
        "nobody can log on",
        "windows: {users: []}\n",
        "error[windows.no-account] 1:1",
        "add windows.users, or windows.administrator.password: {generate: 20}",
    ),
    (
        "the agent without drivers",
        "machine: {ready: {when: agent}}\n",
        "error[machine.ready-agent] 1:25",
        "add media.drivers (virtio-win.iso), or use `when: serial`",
    ),
    (
        "a virtio disk without drivers",
        "machine: {disks: [{bus: virtio}]}\n",
        "error[machine.virtio-drivers] 1:25",
        "add media.drivers (virtio-win.iso), or use `bus: sata`",
    ),
    (
        "a virtio network without drivers",
        "machine: {networks: [{model: virtio}]}\n",
        "warning[machine.virtio-drivers] 1:30",
        "add media.drivers (virtio-win.iso), or use `model: e1000e`",
    ),
    (
        "Windows 11 on BIOS",
        "machine: {firmware: bios}\n",
        "error[machine.hardware-checks] 1:21",
        "use `firmware: secure-boot`, or set windows.hardware_checks: bypass",
    ),
    (
        "Windows 11 without a TPM",
        "machine: {tpm: false}\n",
        "error[machine.hardware-checks] 1:16",
        "use `tpm: true`, or set windows.hardware_checks: bypass",
    ),
    (
        "a bypass where nothing is checked",
        "windows: {product: windows-10, hardware_checks: bypass}\n",
        "warning[machine.hardware-checks] 1:49",
        "remove the key",
    ),
    (
        "hardly any memory",
        "machine: {memory: 256 MiB}\n",
        "error[machine.memory] 1:19",
        "4 GiB is the least Windows 11 accepts; servers start with 2 GiB",
    ),
    (
        "a recovery partition as large as the disk",
        "windows: {recovery: 64 GiB}\n",
        "error[machine.disk-size] 1:21",
        "make machine.disks[0].size larger",
    ),
    (
        "one MAC address for two interfaces",
        "machine: {networks: [{mac: '52:54:00:00:00:01'}, {mac: 52-54-00-00-00-01}]}\n",
        "error[machine.mac] 1:56",
        "remove it; one is made from the machine's name",
    ),
    (
        "remote access without a network",
        "windows: {remote: {rdp: true}}\nmachine: {networks: []}\n",
        "warning[windows.remote] 1:11",
        "add one to machine.networks",
    ),
    (
        "a virtual machine and a physical PC",
        "metal: {}\nmachine: {cpus: 2}\n",
        "error[profile.machine-or-metal] 1:1",
        "remove `machine` or `metal`; `machine: null` takes an inherited one away",
    ),
    (
        "a driver disc for a physical PC",
        "media: {drivers: v.iso}\nmetal: {}\n",
        "warning[media.drivers-unused] 1:18",
        "remove the key",
    ),
    (
        "a disk to erase that nobody named",
        "metal: {wipe: true}\n",
        "error[metal.wipe] 1:15",
        "add `disk: {serial: ...}`, or `disk: only` for a PC with one disk",
    ),
    (
        "a disk that may not be erased",
        "metal: {disk: only}\n",
        "warning[metal.wipe] 1:15",
        "add `wipe: true`, or remove `disk`",
    ),
    (
        "a disk to erase while Setup asks",
        "metal: {disk: only, wipe: true, answers: first-start}\n",
        "warning[metal.wipe] 1:42",
        "use `answers: setup`, or remove `disk` and `wipe`",
    ),
    (
        "nothing said of the disk",
        "metal: {disk: {}, wipe: true}\n",
        "error[metal.disk] 1:15",
        "say its serial, model, size or bus, or write `disk: only`",
    ),
    (
        "Windows 11 on a PC with BIOS",
        "metal: {firmware: bios}\n",
        "error[machine.hardware-checks] 1:19",
        "use `firmware: secure-boot`, or set windows.hardware_checks: bypass",
    ),
    (
        "BIOS for arm64",
        "windows: {architecture: arm64}\nmachine: {firmware: bios}\n",
        "error[machine.architecture] 2:21",
        "use `firmware: secure-boot` or `firmware: uefi`",
    ),
    (
        "arm64 without drivers for its network",
        "windows: {architecture: arm64}\n",
        "warning[machine.virtio-drivers] 1:25",
        "add media.drivers (virtio-win.iso); without it Windows has no network",
    ),
    (
        "an agent for arm64",
        "windows: {architecture: arm64}\nmachine: {ready: {when: agent}}\n",
        "error[machine.ready-agent] 2:25",
        "use `when: serial`, or leave the key out",
    ),
    (
        "a secret in clear",
        "windows: {users: [{name: a, password: {plain: hunter2}}]}\n",
        "note[profile.plain-secret] 1:39",
        "{env: NAME}, {file: PATH}, {keyring: SERVICE/USER} or {generate: 20} keep it out",
    ),
    (
        "a product key that is none",
        "windows: {product_key: {plain: AAAAA-AAAAA}}\n",
        "error[windows.product-key] 1:24",
        "five groups of five letters and digits, with hyphens between them",
    ),
    (
        "a product key made up",
        "windows: {product_key: {generate: 20}}\n",
        "error[windows.product-key] 1:24",
        "leave the key out: a generic one is used where the edition needs it",
    ),
]


@pytest.mark.parametrize(
    ("text", "expected", "hint"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_each_rule(desk: Any, text: str, expected: str, hint: str) -> None:
    desk.write("base.yaml", SOUND)
    desk.write("vm.yaml", f"{text}extends: base.yaml\n")
    found = {
        f"{problem.severity}[{problem.rule}] {problem.place.line}:{problem.place.column}": problem
        for problem in desk.problems("vm.yaml")
    }
    assert expected in found
    assert found[expected].hint == hint
    assert "hunter2" not in repr(list(found.values()))
    assert "AAAAA" not in repr(list(found.values()))


@pytest.mark.parametrize(
    "more",
    [
        "",
        "machine: {firmware: bios, tpm: true}\n",
        "machine: {tpm: false}\n",
        "media: {drivers: v.iso}\nmachine: {disks: [{bus: virtio}], ready: {when: agent}}\n",
        "metal: {}\n",
        "metal: {firmware: uefi}\n",
    ],
)
def test_a_sound_profile_has_no_problems(problems_of: Check, more: str) -> None:
    bypass = "  hardware_checks: bypass\n" if "firmware" in more or "tpm" in more else ""
    assert problems_of(dedent(SOUND) + bypass + more) == ()


def test_an_inherited_machine_can_be_taken_away(desk: Any) -> None:
    desk.write("pc.yaml", "extends: windows-11\nname: pc\nmetal: {}\n")
    assert [p.rule for p in desk.problems("pc.yaml")] == ["profile.machine-or-metal"]
    desk.write("pc.yaml", "extends: windows-11\nname: pc\nmetal: {}\nmachine: null\n")
    profile = desk.load("pc.yaml").profile
    assert profile.metal is not None and profile.firmware == "secure-boot"


def test_bios_is_fine_for_windows_10(problems_of: Check) -> None:
    text = SOUND.replace("windows-11", "windows-10") + "machine: {firmware: bios, tpm: true}\n"
    assert problems_of(text) == ()


def test_rules_run_beside_errors_in_single_keys(problems_of: Check) -> None:
    text = """\
        name: vm
        windows:
          product: windows-11
          edition: true
          users:
            - {name: dev, password: {env: A}, groups: 3}
            - {name: DEV, password: {env: A}}
          autologon: {user: nobody, times: 0}
          steps: [{name: x}]
        machine: {tpm: false, ready: {when: agent}, cpus: 0}
        """
    assert [problem.rule for problem in problems_of(text)] == [
        "profile.type",
        "profile.type",
        "windows.duplicate-user",
        "windows.autologon-user",
        "profile.range",
        "windows.step",
        "machine.hardware-checks",
        "machine.ready-agent",
        "profile.range",
    ]


def test_rules_do_not_judge_what_could_not_be_read(problems_of: Check) -> None:
    text = """\
        name: vm
        media: {drivers: 3}
        windows: {product: windows-12, users: dev, autologon: {user: dev}}
        machine: {firmware: bios, ready: {when: agent}}
        """
    assert {problem.rule for problem in problems_of(text)} == {"profile.type", "profile.choice"}


@pytest.mark.parametrize(
    ("name", "expected"), [("dev11", "DEV11"), ("my_vm.1", "MY-VM-1"), ("a" * 15, "A" * 15)]
)
def test_computer_name_is_made_from_the_name(name: str, expected: str) -> None:
    profile = Profile(name=MachineName(name), windows=Windows(product="windows-10"))
    assert computer_name(profile) == expected


def test_a_profile_made_in_python_is_checked_too() -> None:
    profile = Profile(name=MachineName("vm"), windows=Windows(product="windows-10"))
    assert [finding.rule for finding in check(profile)] == ["windows.no-account"]
