"""The profile's steps as files of the answer disc: batch files, and the list the runner follows.

docs/steps.md says what the list means. Nothing here runs anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, assert_never

from provisioner.answers import step_files
from provisioner.frozen import frozen
from provisioner.profile.steps import (
    ChocoStep,
    CommandStep,
    Condition,
    CopyStep,
    ExeStep,
    FeatureStep,
    MsiStep,
    PowerShellStep,
    RebootStep,
    RegistryStep,
    RegistryValue,
    Step,
    WaitStep,
    WingetStep,
)
from provisioner.secret import SecretSlot
from provisioner.templating import Templates
from provisioner.tree import Entry, File, Text

FOLDER = "provision/steps"
LIST = f"{FOLDER}/steps.json"
RUN = "provision/run.cmd"
_TEMPLATES = "windows/scripts/steps/{}.cmd.j2"


@frozen
class _Value:
    """A registry value as its template wants it."""

    name: str | None
    kind: str
    data: str


def files(steps: tuple[Step, ...], templates: Templates) -> tuple[tuple[str, Entry], ...]:
    """The list, the batch files and what they need, by path on the disc; nothing without steps.

    Raises ProfileError where a file of this machine cannot be used.
    """
    if not steps:
        return ()
    made: list[tuple[str, Entry]] = []
    listed = []
    for number, step in enumerate(steps, start=1):
        stem = f"{number:02}-{_slug(step.name)}"
        parts = dict(_batches(step, stem, templates))
        made += ((f"{FOLDER}/{name}", entry) for name, entry in parts.items())
        made += step_files.entries(step, f"{FOLDER}/{stem}")
        listed.append(_listed(step, number, stem, conditional=f"{stem}.if.cmd" in parts))
    text = json.dumps({"version": 1, "steps": listed}, ensure_ascii=True, indent=1) + "\n"
    run = templates.render("windows/scripts/run.cmd.j2", {}).text
    return (
        (LIST, File(content=(Text(parts=(text,)),))),
        (RUN, File(content=(Text(parts=(run,)),))),
        *made,
    )


def script(parts: tuple[str | SecretSlot, ...]) -> File:
    """A PowerShell script. PowerShell 5.1 takes a file without byte-order mark for ANSI text."""
    ascii_only = all(isinstance(part, str) and part.isascii() for part in parts)
    return File(content=(Text(parts=parts, encoding="ascii" if ascii_only else "utf-8-sig"),))


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:30].strip("-") or "step"


def _listed(step: Step, number: int, stem: str, *, conditional: bool) -> dict[str, Any]:
    """One member of `steps` in the list (docs/steps.md)."""
    member: dict[str, Any] = {"number": number, "name": step.name}
    if conditional:
        member["condition"] = f"{stem}.if.cmd"
    match step:
        case RebootStep(reboot=reboot):
            member["restart"] = reboot.when
        case WaitStep():
            member |= {"file": f"{stem}.cmd", "run_as": "user", "exit_codes": [0], "retries": 0}
            member |= {"seconds": step.timeout.seconds, "outputs": []}
        case _:
            member |= {
                "file": f"{stem}.cmd",
                "run_as": step.run_as,
                # Windows' exit codes are 32 bits; cmd shows them with a sign.
                "exit_codes": [code - 2**32 if code >= 2**31 else code for code in step.exit_codes],
                "seconds": step.timeout.seconds,
                "retries": step.retries,
                "outputs": [{"name": out.name, "file": out.file} for out in step.outputs],
            }
    return member


def _batches(step: Step, stem: str, templates: Templates) -> Iterator[tuple[str, Entry]]:
    """A step's own batch file, that of its condition, and the scripts they call."""
    if step.only_if is not None:
        yield from _condition(step.only_if, f"{stem}.if", templates)
    match step:
        case CommandStep(cmd=text):
            yield f"{stem}.cmd", _batch(_lines(text))
        case PowerShellStep(powershell=text):
            yield f"{stem}.ps1", script((_lines(text),))
            yield f"{stem}.cmd", _rendered("powershell", {"script": f"{stem}.ps1"}, templates)
        case WaitStep(wait=what):
            waiting: dict[str, str | None] = {"until": None}
            if isinstance(what, Condition):
                yield from _condition(what, f"{stem}.until", templates)
                waiting["until"] = f"{stem}.until.cmd"
            else:
                waiting["pings"] = str(what.seconds + 1)
            yield f"{stem}.cmd", _rendered("wait", waiting, templates)
        case RebootStep():
            return
        case _:
            template, context = _context(step, stem)
            yield f"{stem}.cmd", _rendered(template, context, templates)


def _context(
    step: MsiStep | ExeStep | CopyStep | RegistryStep | FeatureStep | WingetStep | ChocoStep,
    stem: str,
) -> tuple[str, Mapping[str, Any]]:
    """A template's name and its variables."""
    path = step_files.source(step)
    beside = "" if path is None else f"{stem}\\{step_files.disc_name(path)}"
    match step:
        case MsiStep(arguments=arguments):
            return "msi", {"file": beside, "stem": stem, "arguments": arguments}
        case ExeStep(arguments=arguments):
            return "exe", {"file": beside, "arguments": arguments}
        case CopyStep(to=to):
            # The folder on the disc holds nothing but what is to be copied.
            return "copy", {"file": stem, "to": to.rstrip("\\") if len(to) > 3 else to}
        case RegistryStep(registry=key, values=values):
            return "registry", {"key": key, "values": [_value(value) for value in values]}
        case FeatureStep(feature=names, state=state):
            listed = names if isinstance(names, tuple) else (names,)
            return "feature", {"names": listed, "enabled": state == "enabled"}
        case WingetStep(winget=package, version=version):
            return "winget", {"package": package, "version": version}
        case ChocoStep(choco=package, version=version):
            return "choco", {"package": package, "version": version}
        case _:
            assert_never(step)


def _value(value: RegistryValue) -> _Value:
    data = value.data
    return _Value(
        name=value.name,
        kind=value.kind,
        data="\\0".join(data) if isinstance(data, tuple) else str(data),
    )


def _condition(
    condition: Condition, stem: str, templates: Templates
) -> Iterator[tuple[str, Entry]]:
    context = {name: getattr(condition, name) for name in ("exists", "missing", "service")}
    context["script"] = None
    if condition.powershell is not None:
        context["script"] = f"{stem}.ps1"
        yield f"{stem}.ps1", script((_lines(condition.powershell),))
    yield f"{stem}.cmd", _rendered("condition", context, templates)


def _rendered(template: str, context: Mapping[str, Any], templates: Templates) -> File:
    text = templates.render(_TEMPLATES.format(template), context).text
    return _batch(text.rstrip("\n") + "\n")


def _lines(text: str) -> str:
    """Lines that end in a line feed, the last one too; the writer turns them into CRLF."""
    text = text.replace("\r\n", "\n")
    return text if text.endswith("\n") else text + "\n"


def _batch(text: str) -> File:
    """A batch file. cmd reads it in the code page that run.cmd has set, UTF-8, and trips over a
    byte-order mark."""
    return File(content=(Text(parts=(text,), encoding="ascii" if text.isascii() else "utf-8"),))
