"""What a machine says about itself from the inside, through the guest agent.

A Windows is asked by PowerShell. The stand-in wrote a report file; it is named in every answer, so
that nobody takes it for Windows.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from provisioner.errors import GuestError
from provisioner.guest.agent import ANSWER_TIMEOUT, Agent

QUERY = Path(__file__).with_name("inside.ps1")
STANDIN_REPORT = "/report.json"
LONGEST = 300.0
"""Seconds; the first PowerShell of a fresh Windows is slow."""

System = Literal["windows", "stand-in"]


@dataclass(frozen=True, kw_only=True)
class Inside:
    """`facts` as inside.ps1 prints them; what the stand-in does not know is missing."""

    system: System
    facts: Mapping[str, Any]


def look(agent: Agent) -> Inside:
    """Asks once. GuestError where the guest is neither Windows nor the stand-in."""
    answer = agent.hypervisor.agent(
        agent.name, {"execute": "guest-get-osinfo"}, timeout=ANSWER_TIMEOUT
    )
    kind = answer.get("id") if isinstance(answer, Mapping) else None
    if kind == "mswindows":
        return Inside(system="windows", facts=_windows(agent))
    if kind == "standin":
        return Inside(system="stand-in", facts=_standin(agent))
    raise GuestError(f"the guest says that it is {kind!r}, which is no Windows")


def powershell(agent: Agent, script: str) -> str:
    """What a script prints. GuestError where it fails."""
    encoded = base64.b64encode(script.encode("utf-16-le")).decode("ascii")
    ended = agent.run(
        "powershell.exe",
        ["-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-EncodedCommand", encoded],
        timeout=LONGEST,
    )
    if ended.exit_code != 0:
        raise GuestError(f"PowerShell exited {ended.exit_code}: {ended.errors[:300]!r}")
    return ended.output.decode("utf-8", "replace").strip()


def _windows(agent: Agent) -> Mapping[str, Any]:
    text = powershell(agent, QUERY.read_text(encoding="ascii"))
    try:
        facts = json.loads(text)
    except ValueError as err:
        raise GuestError(f"PowerShell printed no JSON: {text[:200]!r}") from err
    if not isinstance(facts, dict):
        raise GuestError("PowerShell printed no JSON object")
    return facts


def _standin(agent: Agent) -> Mapping[str, Any]:
    """The same names, for what the report has (tests/standin/README.md)."""
    report = json.loads(agent.read_file(STANDIN_REPORT, most=1024 * 1024))
    if "image" not in report:  # the direct guest was never installed
        return {"outcome": report.get("outcome")}
    (disk, *_) = report["disks"]
    types = {"EFI": "System", "MSR": "Reserved", "Primary": "Basic", "Recovery": "Recovery"}
    return {
        "caption": report["image"]["name"],
        "edition": report["image"]["edition_id"],
        "build": str(report["image"]["build"]),
        "display_language": report["ui_language"],
        "computer_name": report["computer_name"],
        "time_zone": report["time_zone"],
        "users": [{"name": user["name"], "enabled": True} for user in report["users"]],
        "style": disk["table"].upper(),
        "partitions": [
            {
                "number": number,
                "type": types.get(part["type"], part["type"]),
                "mib": part["size_mib"],
                "letter": part["letter"] or "",
            }
            for number, part in enumerate(disk["partitions"], start=1)
        ],
    }
