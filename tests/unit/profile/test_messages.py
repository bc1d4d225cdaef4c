"""pydantic's errors in our words: what is said, where, how long the underline is, which hint."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from provisioner.errors import Problem

Check = Callable[..., tuple[Problem, ...]]

HEAD = "name: vm\nwindows: {product: windows-10, users: [{name: dev, password: {env: A}}]}\n"

CASES = [
    ("machnie: {}", "profile.unknown-key", "3:1", 7, "did you mean 'machine'?"),
    ("edition: Pro", "profile.unknown-key", "3:1", 7, "did you mean 'windows.edition'?"),
    ("machine: {ram: 4}", "profile.unknown-key", "3:11", 3, "known here: cpus, memory, "),
    ("machine: {cpus: '4'}", "profile.type", "3:17", 3, "take the quotes away"),
    ("machine: {cpus: some}", "profile.type", "3:17", 4, "cpus: Virtual processors"),
    ("machine: {cpus: 1.5}", "profile.type", "3:17", 3, "cpus: Virtual processors"),
    ("machine: {cpus: true}", "profile.type", "3:17", 4, "cpus: Virtual processors"),
    ("machine: {cpus: 0}", "profile.range", "3:17", 1, None),
    ("machine: {cpus: 513}", "profile.range", "3:17", 3, None),
    ("machine: {memory: 8}", "profile.type", "3:19", 1, "a size needs a unit: '8 GiB' or"),
    ("machine: {memory: 8G}", "profile.size", "3:19", 2, "did you mean '8 GiB' (powers of"),
    ("machine: {tpm: yes}", "profile.type", "3:16", 3, "write true or false"),
    ("machine: {tpm: 1}", "profile.type", "3:16", 1, "tpm: An emulated TPM 2"),
    ("machine: {firmware: efi}", "profile.choice", "3:21", 3, "did you mean 'uefi'?"),
    ("machine: {firmware: x}", "profile.choice", "3:21", 1, "one of secure-boot, uefi, bios"),
    ("machine: {firmware: 1}", "profile.type", "3:21", 1, "firmware: `secure-boot`: UEFI"),
    ("machine: {disks: []}", "profile.range", "3:18", 2, None),
    ("machine: {disks: 64 GiB}", "profile.type", "3:18", 6, "write a list: [first, second]"),
    ("machine: {disks: [64 GiB]}", "profile.type", "3:19", 6, None),
    ("machine: windows", "profile.type", "3:10", 7, "machine: The virtual machine it runs on"),
    ("machine: {ready: {within: 90}}", "profile.type", "3:27", 2, "'90 min' or '90 s'?"),
    ("description: 3", "profile.type", "3:14", 1, "put it in quotes"),
    ("media: {install: ''}", "profile.range", "3:18", 2, None),
    ("kind: lap", "profile.choice", "3:7", 3, "one of machine"),
]


@pytest.mark.parametrize(("line", "rule", "position", "length", "hint"), CASES)
def test_one_mistake(
    problems_of: Check, line: str, rule: str, position: str, length: int, hint: str | None
) -> None:
    [problem] = problems_of(HEAD + line + "\n")
    assert problem.place is not None
    assert (problem.rule, str(problem.place)) == (rule, f"vm.yaml:{position}")
    assert problem.place.length == length
    assert problem.place.source == line
    assert (hint is None) or hint in (problem.hint or "")


WINDOWS_CASES = [
    ("edition: [x]", "profile.type", "'edition' wants text or a whole number, and this is a list"),
    ("edition: 0", "profile.range", "'edition' must be at least 1, not 0"),
    ("locale: {keyboard: de-GE}", "windows.keyboard", "unknown keyboard 'de-GE'"),
    ("locale: {keyboard: [en-US, de-GE]}", "windows.keyboard", "unknown keyboard 'de-GE'"),
    ("locale: {keyboard: 7}", "profile.type", "'keyboard' wants a list or text, and this is a"),
    ("locale: {keyboard: [7]}", "profile.type", "'keyboard[0]' wants text, and this is a number"),
    ("owner: ''", "profile.range", "'owner' is empty"),
    (f"owner: {'x' * 64}", "profile.range", "'owner' has 64 characters, at most 63 are allowed"),
    ('owner: "a\\nb"', "profile.one-line", "a line break or control character where one line is"),
    ("steps: [{name: x}]", "windows.step", "a step runs exactly one thing"),
    ("steps: [{name: x, cmd: a, powershell: b}]", "windows.step", "a step runs exactly one thing"),
    ("steps: [{cmd: a}]", "profile.missing-key", "missing key 'name'"),
    ("steps: [{name: x, cmd: a, exit_code: 1}]", "profile.unknown-key", "unknown key 'exit_code'"),
    ("steps: [{name: x, cmd: 7}]", "profile.type", "'cmd' wants text, and this is a number"),
    ("steps: [dir]", "windows.step", "a step runs exactly one thing"),
    ("recovery: 1", "profile.type", "'recovery' wants a size, and this is a number"),
    ("product_key: AAAAA", "profile.secret", "a secret is written as a reference, not as a value"),
    ("product_key: {generat: 3}", "profile.secret", "this is no source of a secret"),
    ("autologon: {}", "profile.missing-key", "missing key 'user'"),
    ("users: null", None, ""),
]


@pytest.mark.parametrize(("line", "rule", "message"), WINDOWS_CASES)
def test_one_problem_for_one_mistake_below_windows(
    problems_of: Check, line: str, rule: str | None, message: str
) -> None:
    text = (
        "windows:\n  product: windows-10\n  administrator: {password: {env: A}}\n  " + line + "\n"
    )
    found = problems_of(text)
    if rule is None:
        assert not found
        return
    [problem] = found
    assert problem.rule == rule
    assert message in problem.message


def test_no_profile_text_reaches_a_message_of_a_secret(problems_of: Check) -> None:
    text = """\
        windows:
          product: windows-10
          product_key: hunter2
          administrator: {password: {plain: "hunter2\\n"}, passwd: hunter2}
          users:
            - {name: a, password: hunter2}
            - {name: b, password: {env: hunter2!}}
            - name: c
              password:
                plian: hunter2
            - name: d
              password:
                plain:
                  hunter2
        """
    found = problems_of(text)
    assert len([problem for problem in found if problem.severity == "error"]) == 6
    assert "hunter2" not in repr(found)


def test_values_of_many_lines_do_not_break_the_message(problems_of: Check) -> None:
    [problem] = problems_of(HEAD + 'machine: {firmware: "a\\nb ' + "x" * 500 + '"}\n')
    assert "\n" not in problem.message
    assert len(problem.message) <= 300
