"""An answer file of the user's own on the disc: what can be known of it, and what cannot.

It is packed as it is. Nothing of ours runs in a Windows that it sets up: no first-logon script, no
steps, no report, no cleanup.
"""

from __future__ import annotations

from collections.abc import Iterator

from provisioner.answers.lint.answerfile import AnswerFile, Purpose, answer_file
from provisioner.answers.lint.document import NotADocument, parse
from provisioner.answers.lint.encoding import decode
from provisioner.answers.supplied import SuppliedFile
from provisioner.errors import Problem, Severity
from provisioner.frozen import frozen
from provisioner.profile.model import Profile

USED = frozenset({"product", "architecture", "edition", "answer_file", "hardware_checks"})
"""Keys of `windows` that still mean something; the last says that the file bypasses the checks."""


@frozen
class OwnAnswers:
    """What the file says, as far as plans show it. Everything is empty for what is no XML."""

    file: SuppliedFile
    computer_name: str
    """Empty where the file leaves it to Windows."""
    users: tuple[str, ...]
    erased: tuple[str, ...]
    """DiskIDs that are wiped."""
    asks_for_disk: bool
    commands: int
    """Commands of the first logon."""

    def describe(self) -> tuple[tuple[str, str], ...]:
        """Rows for plans."""
        disks = "Setup asks for the disk"
        if self.erased:
            disks = f"your answer file erases disk {', '.join(self.erased)}"
        elif not self.asks_for_disk:
            disks = "as your answer file says; it erases no disk"
        told = f"{self.commands} commands" if self.commands != 1 else "1 command"
        return (
            ("answer file", f"your own, unchanged: {self.file.path} ({len(self.file.data)} bytes)"),
            ("computer", self.computer_name or "named by Windows"),
            ("accounts", ", ".join(self.users) or "none that the file creates"),
            ("disk layout", disks),
            ("first logon", f"{told} of your own; nothing of provisioner's runs in Windows"),
        )


def read(file: SuppliedFile) -> OwnAnswers:
    """What is in the file; `lint` says what is wrong with it."""
    try:
        answers: AnswerFile | None = answer_file(parse(decode(file.data).text), Purpose())
    except NotADocument:
        answers = None
    return OwnAnswers(
        file=file,
        computer_name=_first(answers, "Shell-Setup", "ComputerName", "specialize").strip("*"),
        users=tuple(_users(answers)),
        erased=tuple(_erased(answers)),
        asks_for_disk=not _has(answers, "ImageInstall/OSImage/InstallTo")
        and _first(
            answers, "Setup", "ImageInstall/OSImage/InstallToAvailablePartition", "windowsPE"
        )
        != "true",
        commands=sum(
            1
            for _ in _all(
                answers, "Shell-Setup", "FirstLogonCommands/SynchronousCommand", "oobeSystem"
            )
        ),
    )


def check(profile: Profile, own: OwnAnswers) -> Iterator[Problem]:
    """What a person has to know of a machine that only their own file sets up."""
    unused = sorted(profile.windows.model_fields_set - USED)
    if unused:
        yield Problem(
            rule="windows.answer-file-alone",
            severity=Severity.WARNING,
            message="with an answer file of your own these keys of `windows` do nothing: "
            f"{_listed(unused)}",
            hint="say it in your file, or take these keys away (`KEY: null` for inherited ones)",
        )
    yield Problem(
        rule="windows.answer-file-stays",
        severity=Severity.NOTE,
        message="Windows keeps copies of your answer file, passwords included, in "
        "C:\\Windows\\Panther; nothing of provisioner's removes them",
        hint="let a command of your file delete them",
    )
    if profile.metal is None and profile.machine.ready.when == "serial":
        yield Problem(
            rule="windows.answer-file-ready",
            severity=Severity.WARNING,
            message="`ready: {when: serial}`: a command of your file has to say so on COM1",
            hint="docs/protocol.md has the lines; `power-off` needs none",
        )
    agent_needs_help = profile.machine.ready.when == "agent" and not own.commands
    if profile.metal is None and agent_needs_help:
        yield Problem(
            rule="windows.answer-file-ready",
            severity=Severity.WARNING,
            message="`ready: {when: agent}`, and your file has no first-logon command that could "
            "install the guest agent",
            hint="its installer is on the answer disc: provision\\agent\\qemu-ga.msi",
        )


def not_ready() -> Problem:
    """Nobody but the user knows how such a machine shows that it is ready."""
    return Problem(
        rule="windows.answer-file-ready",
        message="with an answer file of your own nothing of provisioner's runs in Windows, so the "
        "profile has to say how the machine shows that it is ready",
        hint="machine: {ready: {when: power-off}}, and let your file end with shutdown; or "
        "`agent`, if it installs the guest agent",
    )


def _listed(keys: list[str]) -> str:
    return ", ".join(keys) if len(keys) < 6 else f"{', '.join(keys[:5])} and {len(keys) - 5} others"


def _all(answers: AnswerFile | None, component: str, path: str, where: str) -> Iterator[str]:
    if answers is not None:
        yield from (element.value for element in answers.all(component, path, where))


def _first(answers: AnswerFile | None, component: str, path: str, where: str) -> str:
    return next(_all(answers, component, path, where), "")


def _has(answers: AnswerFile | None, path: str) -> bool:
    return any(True for _ in _all(answers, "Setup", path, "windowsPE"))


def _users(answers: AnswerFile | None) -> Iterator[str]:
    """The one that is logged on first in front, then the accounts; each once."""
    names = [
        _first(answers, "Shell-Setup", "AutoLogon/Username", "oobeSystem"),
        *_all(answers, "Shell-Setup", "UserAccounts/LocalAccounts/LocalAccount/Name", "oobeSystem"),
    ]
    yield from dict.fromkeys(name for name in names if name)


def _erased(answers: AnswerFile | None) -> Iterator[str]:
    if answers is None:
        return
    for disk in answers.all("Setup", "DiskConfiguration/Disk", "windowsPE"):
        if disk.get("WillWipeDisk") == "true":
            yield disk.get("DiskID") or "?"
