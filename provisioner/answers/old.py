"""The first logon of a Windows before 10 1607 and Server 2016, whose PowerShell is 2.0 to 4.0.

A script of its own runs the steps, which are files of their own: what is written for PowerShell 5.1
does not run there (docs/facts/windows-setup.md §13).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from provisioner.answers.drivers import AGENT, DriverFiles
from provisioner.answers.logon import Autologon, administrator_enabled
from provisioner.answers.windows import ReadyWhen
from provisioner.errors import Problem, ProfileError
from provisioner.frozen import frozen
from provisioner.media.facts import Edition
from provisioner.profile.model import Profile
from provisioner.profile.steps import CommandStep, PowerShellStep
from provisioner.templating import Templates
from provisioner.tree import Entry, File, Text

POWERSHELL_5_1 = 14393
"""The first build with the PowerShell that the usual first-logon script is written for."""
TEMPLATE = "windows/old/first-logon.ps1.j2"


@frozen
class OldStep:
    """One step as the script calls it; `file` is relative to `provision`, with a backslash."""

    name: str
    file: str
    exit_codes: tuple[int, ...]
    seconds: int


def is_old(edition: Edition) -> bool:
    """Whether this image needs the script for older PowerShell."""
    return edition.version[2] < POWERSHELL_5_1


def entries(
    profile: Profile,
    edition: Edition,
    *,
    autologon: Autologon,
    drivers: DriverFiles | None,
    ready_when: ReadyWhen,
    templates: Templates,
) -> Iterator[tuple[str, Entry]]:
    """The script and its steps, for the answer disc."""
    server = edition.installation_type.casefold().startswith("server")
    enabled = administrator_enabled(profile.windows, server=server)
    steps: list[OldStep] = []
    for number, step in enumerate(profile.windows.steps, start=1):
        match step:
            case PowerShellStep(powershell=text):
                suffix = "ps1"
            case CommandStep(cmd=text):
                suffix = "cmd"
            case _:
                raise ProfileError([too_new(edition, step.name)])
        slug = re.sub(r"[^a-z0-9]+", "-", step.name.lower())[:30].strip("-") or "step"
        name = f"{number:02}-{slug}.{suffix}"
        yield f"provision/steps/{name}", _text(text, batch=suffix == "cmd")
        steps.append(
            OldStep(
                name=step.name,
                file=f"steps\\{name}",
                exit_codes=step.exit_codes,
                seconds=step.timeout.seconds,
            )
        )
    agent = AGENT.removeprefix("provision/").replace("/", "\\")
    context = {
        "reports": profile.metal is None,
        "autologon": autologon,
        "steps": steps,
        "agent_installer": agent if drivers is not None and drivers.agent else None,
        "enable_administrator": enabled and not server,
        "disable_administrator": server and not enabled,
        "power_off": ready_when == "power-off",
    }
    yield "provision/first-logon.ps1", _text(templates.render(TEMPLATE, context).text)


def too_new(edition: Edition, step: str) -> Problem:
    """A kind of step, or something it asks, that the script for older Windows does not do."""
    return Problem(
        rule="windows.old-setting",
        message=f"{edition.display_name or edition.name} runs only plain `powershell` and `cmd` "
        f"steps, without retries, conditions, outputs or SYSTEM, and step {step!r} is another",
        hint="write it as a `cmd` step",
    )


def _text(text: str, *, batch: bool = False) -> File:
    """A script file. PowerShell takes one without a byte-order mark for ANSI; cmd trips over it,
    and reads UTF-8 when told its code page."""
    lines = text.replace("\r\n", "\n").rstrip("\n") + "\n"
    if lines.isascii():
        return File(content=(Text(parts=(lines,)),))
    if batch:
        return File(content=(Text(parts=("@chcp 65001 >nul\n" + lines,), encoding="utf-8"),))
    return File(content=(Text(parts=(lines,), encoding="utf-8-sig"),))
