"""What is known to go wrong with steps, and whether what they bring along is there."""

from __future__ import annotations

import re
from collections.abc import Iterator

from provisioner.answers import step_files
from provisioner.answers.lint.targets import CONX
from provisioner.errors import Problem, Severity
from provisioner.media.facts import Edition
from provisioner.pattern import pattern
from provisioner.plan.rules.given import Places
from provisioner.profile.model import Profile
from provisioner.profile.steps import CommandStep, PowerShellStep

_MSI = pattern(r"(?im)^[ \t]*(?:start(?:-process)?[ \t]+|&[ \t]*)?[\"']?[^\s\"']+\.msi\b")
_MSIEXEC = pattern(r"(?im)^(?!.*-Wait\b).*\bmsiexec(?:\.exe)?\b.*$")
_QUIET = pattern(r"/q[nb]?\b|/quiet\b|/passive\b", re.IGNORECASE)
_WINGET = pattern(r"\bwinget(?:\.exe)?\s+(?:install|upgrade|import|source)\b", re.IGNORECASE)
_BUNDLE = pattern(r"\bvirtio-win-guest-tools(?:\.exe)?\b", re.IGNORECASE)
_LETTER = pattern(r"(?<![A-Za-z0-9$%{])([D-WYZd-wyz]):[\\/]")
_SYSPREP = pattern(r"\bsysprep(?:\.exe)?\b", re.IGNORECASE)
_REBOOT = pattern(
    r"\bshutdown(?:\.exe)?\s+(?:[-/][a-z]+\s+)*[-/][rs]\b|\b(?:Restart|Stop)-Computer\b",
    re.IGNORECASE,
)


def check_steps(profile: Profile, edition: Edition | None, places: Places) -> Iterator[Problem]:
    """The steps' files on this machine, and the traps in their scripts."""
    for index, step in enumerate(profile.windows.steps):
        key = f"windows.steps[{index}]"
        if found := step_files.problem(step):
            yield Problem(
                rule=found.rule,
                message=found.message,
                place=places(f"{key}.{step_files.key(step)}"),
                hint=found.hint,
            )
        if isinstance(step, PowerShellStep | CommandStep):
            yield from _step(step, key, edition, places)


def _step(
    step: PowerShellStep | CommandStep, key: str, edition: Edition | None, places: Places
) -> Iterator[Problem]:
    text = step.powershell if isinstance(step, PowerShellStep) else step.cmd
    place = places(key)

    def trap(rule: str, message: str, hint: str) -> Problem:
        return Problem(
            rule=rule,
            severity=Severity.WARNING,
            message=f"step {step.name!r}: {message}",
            place=place,
            hint=hint,
        )

    if _MSI.search(text):
        yield trap(
            "windows.step-msi",
            "an .msi is started by itself: its exit code is lost, and it may ask something",
            "use an `msi` step, which installs it without questions and waits for it",
        )
    else:
        for line in _MSIEXEC.findall(text):
            waits = isinstance(step, CommandStep)
            if not _QUIET.search(line) or not waits:
                yield trap(
                    "windows.step-msi",
                    "msiexec without /qn waits for a person"
                    if waits or not _QUIET.search(line)
                    else "PowerShell does not wait for msiexec, so its exit code is lost",
                    "Start-Process msiexec.exe -Wait -PassThru, with /qn /norestart"
                    if not waits
                    else "add /qn /norestart",
                )
                break
    if _WINGET.search(text):
        yield trap(
            "windows.step-winget",
            "winget is often not registered yet at the first logon and then does nothing",
            "use a `winget` step, which waits for it",
        )
    if _BUNDLE.search(text) and (edition is None or edition.version[2] >= CONX):
        yield trap(
            "windows.step-guest-tools",
            "the bundle virtio-win-guest-tools.exe has hung on Windows 11 24H2",
            "drivers and agent are installed from media.drivers; leave the bundle out",
        )
    if letter := _LETTER.search(text):
        yield trap(
            "windows.step-drive-letter",
            f"drive {letter[1].upper()}: depends on the order of the drives, which differs "
            "between hosts and boots",
            "bring files along with `copy`, `msi` or `exe`, or look for a file on every drive",
        )
    if _SYSPREP.search(text):
        yield trap(
            "windows.step-sysprep",
            "sysprep takes the cached answers of this installation again, and cuts the steps "
            "behind it",
            "remove C:\\Windows\\Panther\\unattend.xml and eject the answer disc before",
        )
    if _REBOOT.search(text):
        yield trap(
            "windows.step-reboot",
            "a restart cuts the step off, and it is run again after it",
            "leave the restart out, and add a step `- reboot: {}` behind it",
        )
