"""`windows.settings`: the small types, the rules across keys, and what is said then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from provisioner.errors import Problem
from provisioner.profile.guest_values import (
    FeatureName,
    PublicKey,
    RegistryPath,
    WindowsPath,
)
from provisioner.profile.values import BadValue, TextValue
from tests.golden.settings_profiles import KEY

Check = Callable[..., tuple[Problem, ...]]

SOUND = """\
name: vm
media: {drivers: /iso/virtio-win.iso}
windows:
  product: windows-11
  users: [{name: dev, password: {env: A}}]
"""


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (RegistryPath, "hkey_local_machine\\SOFTWARE\\Ü x", "HKLM\\SOFTWARE\\Ü x"),
        (RegistryPath, "HKEY_CURRENT_USER\\a", "HKCU\\a"),
        (RegistryPath, "HKU\\default\\a\\b", "HKU\\Default\\a\\b"),
        (WindowsPath, "c:/Program Files/x/", "c:\\Program Files\\x"),
        (WindowsPath, "%ProgramFiles(x86)%\\x", "%ProgramFiles(x86)%\\x"),
        (FeatureName, "OpenSSH.Client~~~~0.0.1.0", "OpenSSH.Client~~~~0.0.1.0"),
        (PublicKey, KEY + "\n", KEY),
        (PublicKey, KEY.rpartition(" ")[0], KEY.rpartition(" ")[0]),
    ],
)  # fmt: skip
def test_taken(kind: type[TextValue], text: str, value: str) -> None:
    assert kind(text) == value
    assert kind(value) == value


def test_parts_of_a_key() -> None:
    key = RegistryPath("hku\\DEFAULT\\Software\\x")
    assert (key.root, key.path) == ("HKU\\Default", "Software\\x")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (RegistryPath, "HKLM"),
        (RegistryPath, "HKLM\\"),
        (RegistryPath, "HKCR\\.txt"),
        (RegistryPath, "HKLM\\a\\\\b"),
        (RegistryPath, "HKLM\\a\\"),
        (RegistryPath, "HKLM\\a\nb"),
        (RegistryPath, "HKLM\\" + "x" * 256),
        (WindowsPath, "Tools"),
        (WindowsPath, "C:"),
        (WindowsPath, "\\\\server\\share"),
        (WindowsPath, "C:\\a\\..\\b"),
        (WindowsPath, "C:\\a:stream"),
        (WindowsPath, "C:\\a."),
        (WindowsPath, "C:\\%TEMP%"),
        (WindowsPath, "C:\\a\"b"),
        (FeatureName, "a b"),
        (FeatureName, "a;Remove-Item"),
        (FeatureName, "a'b"),
        (PublicKey, "id_ed25519.pub"),
        (PublicKey, KEY + "\n" + KEY),
        (PublicKey, "-----BEGIN OPENSSH PRIVATE KEY-----"),
    ],
)  # fmt: skip
def test_refused(kind: type[TextValue], text: str) -> None:
    with pytest.raises(BadValue) as raised:
        kind(text)
    assert kind is not PublicKey or text not in raised.value.message
    assert len(raised.value.message) < 300


VALUE = "windows: {settings: {registry: [{key: 'HKLM\\a', name: n, "
CASES = [
    (VALUE + "data: -1}]}}\n", "windows.registry-value", "no number of 32 bits"),
    (VALUE + "data: 4294967296}]}}\n", "windows.registry-value", "no number of 32 bits"),
    (VALUE + "type: REG_QWORD, data: x}]}}\n", "windows.registry-value", "no data for REG_QWORD"),
    (VALUE + "type: REG_BINARY, data: 0x}]}}\n", "windows.registry-value", "hexadecimal"),
    (VALUE + "data: [a, '']}]}}\n", "windows.registry-value", "an empty text ends a list"),
    (VALUE + "}]}}\n", "windows.registry-value", "there is no data"),
    (VALUE + "remove: true, data: 1}]}}\n", "windows.registry-value", "it is removed"),
    (
        VALUE + "data: 1}, {key: 'HKEY_LOCAL_MACHINE\\A', name: N, data: 2}]}}\n",
        "windows.registry-value",
        "written twice",
    ),
    (
        "windows: {settings: {files: [{source: a, to: 'C:\\x'}, {source: b, to: 'C:/X'}]}}\n",
        "windows.copied-file",
        "two files",
    ),
    (
        "windows: {settings: {page_file: {initial: 2 GiB, maximum: 1 GiB}}}\n",
        "windows.page-file",
        "is less than",
    ),
    (
        "windows: {settings: {page_file: {initial: 1 MiB, maximum: 1 GiB}}}\n",
        "windows.page-file",
        "too small",
    ),
    (
        "windows: {settings: {page_file: {initial: 1 GiB, maximum: 1 TiB}}}\n",
        "windows.page-file",
        "does not fit",
    ),
    ("windows: {settings: {power: {sleep: 90 s}}}\n", "windows.power", "whole minutes"),
    ("windows: {remote: {desktop: {drives: false}}}\n", "windows.remote", "is not turned on"),
    ("windows: {remote: {ssh: {package: a.exe}}}\n", "windows.ssh-package", ".zip or an .msi"),
    ("windows: {remote: {ssh: {passwords: false}}}\n", "windows.ssh-no-way", "nobody"),
    (
        "windows: {administrator: {password: {env: A}, rotate: true}}\n",
        "windows.rotate",
        "only a generated password",
    ),
    (
        """\
windows: {administrator: {password: {generate: 20}, rotate: true}}
machine: {ready: {when: serial}}
""",
        "windows.rotate",
        "the guest agent",
    ),
]


@pytest.mark.parametrize(("text", "rule", "says"), CASES, ids=lambda value: str(value)[:30])
def test_rules(text: str, rule: str, says: str, desk: Any) -> None:
    desk.write("base.yaml", SOUND)
    desk.write("vm.yaml", "extends: base.yaml\n" + text)
    (problem,) = desk.problems("vm.yaml")
    assert problem.rule == rule and says in problem.message
    assert problem.hint and problem.place is not None


def test_a_wish_that_can_be_met(desk: Any) -> None:
    text = SOUND + "  administrator: {password: {generate: 20}, rotate: true}\n"
    desk.write("vm.yaml", text)
    assert desk.problems("vm.yaml") == ()
