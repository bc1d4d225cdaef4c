"""`windows.steps`: kinds, common keys, what is refused and where; paths beside the profile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from provisioner.profile.steps import (
    STEP_KINDS,
    Argument,
    CopyStep,
    ExeStep,
    GuestPath,
    RegistryKey,
    RunStep,
    WaitStep,
)
from provisioner.profile.values import BadValue

SOUND = """\
name: vm
windows:
  product: windows-11
  users: [{name: dev, password: {env: A}}]
  steps:
    - STEP
"""

COMMON = {"name", "timeout", "exit_codes", "retries", "run_as", "only_if", "outputs"}


def test_every_kind_that_runs_something_has_the_common_keys() -> None:
    import provisioner.profile.steps as module

    models = {kind: getattr(module, name) for kind, name in STEP_KINDS.items()}
    assert len(models) == 11
    for kind, model in models.items():
        if issubclass(model, RunStep):
            assert set(model.model_fields) >= COMMON, kind
        else:
            assert kind in ("reboot", "wait")


def test_paths_are_beside_the_profile_that_names_them(desk: Any) -> None:
    desk.write("sub/base.yaml", SOUND.replace("STEP", "{name: a, exe: files/x.exe}"))
    desk.write("vm.yaml", "extends: sub/base.yaml\nname: vm\n")
    [step] = desk.load("vm.yaml").profile.windows.steps
    assert isinstance(step, ExeStep)
    assert Path(step.exe).is_absolute()
    assert step.exe.endswith("sub/files/x.exe")
    text = "windows.steps[0]={name: c, copy: y, to: 'C:\\T'}"
    [step] = desk.load("vm.yaml", sets=[text]).profile.windows.steps
    assert isinstance(step, CopyStep)
    assert Path(step.copy).is_absolute()


def test_a_pause_and_a_condition(desk: Any) -> None:
    for text, kind in (("wait: 10 s", "Duration"), ("wait: {exists: 'C:\\x'}", "Condition")):
        desk.write("vm.yaml", SOUND.replace("STEP", text))
        [step] = desk.load("vm.yaml").profile.windows.steps
        assert isinstance(step, WaitStep)
        assert (type(step.wait).__name__, step.name) == (kind, "wait")


@pytest.mark.parametrize(
    ("step", "rule", "words"),
    [
        ("{name: a, cmd: x, msi: y}", "windows.step", "exactly one thing"),
        ("{name: a}", "windows.step", "exactly one thing"),
        ("{cmd: x}", "profile.missing-key", "missing key 'name'"),
        ("{name: a, cmd: x, retries: 21}", "profile.range", "at most 20"),
        ("{name: a, cmd: x, exit_codes: []}", "profile.range", "is empty"),
        ("{name: a, cmd: x, exit_codes: [4294967296]}", "profile.range", "at most"),
        ("{name: a, cmd: x, run_as: root}", "profile.choice", "cannot be 'root'"),
        ("{name: a, winget: x, run_as: system}", "profile.choice", "cannot be 'system'"),
        ("{name: a, cmd: x, only_if: {}}", "windows.step-condition", "exactly one thing"),
        ("{name: a, cmd: x, only_if: {exists: 'C:\\x', missing: 'C:\\y'}}",
         "windows.step-condition", "exactly one thing"),
        ("{name: a, cmd: x, only_if: {exists: x}}", "windows.step-path", "'x' is not an absolute"),
        ("{name: a, cmd: x, timeout: 5}", "profile.type", "a duration"),
        ("{name: a, copy: x}", "profile.missing-key", "missing key 'to'"),
        ("{name: a, copy: x, to: Tools}", "windows.step-path", "'Tools' is not"),
        ("{name: a, exe: x, arguments: ['/n=\"x\"']}", "windows.step-argument", "batch file"),
        ("{name: a, exe: x, arguments: /q}", "profile.type", "a list"),
        ("{name: a, registry: Software\\x}", "windows.step-registry", "not a key"),
        ("{name: a, registry: HKLM}", "windows.step-registry", "not a key"),
        ("{name: a, registry: HKLM\\x, values: [{data: -1}]}", "windows.step-registry", "DWORD"),
        ("{name: a, registry: HKLM\\x, values: [{data: 1, type: REG_SZ}]}",
         "windows.step-registry", "REG_SZ wants a text"),
        ("{name: a, registry: HKLM\\x, values: [{data: x, type: REG_BINARY}]}",
         "windows.step-registry", "hexadecimal"),
        ("{name: a, registry: HKLM\\x, values: [{data: ['']}]}", "windows.step-registry", "list"),
        ("{name: a, registry: HKLM\\x, values: [{name: x}]}", "profile.missing-key", "'data'"),
        ("{reboot: now}", "profile.type", "a mapping"),
        ("{reboot: {when: never}}", "profile.choice", "cannot be 'never'"),
        ("{wait: soon}", "profile.duration", "not a duration"),
        ("{name: a, feature: []}", "profile.range", "is empty"),
    ],
)  # fmt: skip
def test_what_is_refused(desk: Any, step: str, rule: str, words: str) -> None:
    desk.write("vm.yaml", SOUND.replace("STEP", step))
    problems = desk.problems("vm.yaml")
    assert [problem.rule for problem in problems] == [rule]
    assert words in problems[0].message
    assert problems[0].place.line == 6


@pytest.mark.parametrize("text", ["C:\\", "c:\\a b\\ä.txt", "D:\\x%y"])
def test_guest_paths(text: str) -> None:
    assert GuestPath(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "C:", "C:x", "/x", "\\\\host\\x", "C:\\a/b", 'C:\\"', "C:\\a\nb", "C:\\" + 300 * "x"],
)
def test_no_guest_paths(text: str) -> None:
    with pytest.raises(BadValue):
        GuestPath(text)


@pytest.mark.parametrize("text", ["!", '"', "a\tb", "a\r\n", 1001 * "x"])
def test_no_arguments(text: str) -> None:
    with pytest.raises(BadValue):
        Argument(text)


def test_registry_roots_have_one_spelling() -> None:
    assert RegistryKey("HKEY_LOCAL_MACHINE\\SOFTWARE\\x") == "HKLM\\SOFTWARE\\x"
    assert RegistryKey("hkcu:\\Software\\x") == "HKCU\\Software\\x"
