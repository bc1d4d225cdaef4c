"""Looks at this host and says what is missing, with the one command that fixes each finding."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from provisioner.cli.options import connect_option

if TYPE_CHECKING:
    from provisioner.cli.session import Session


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `doctor`."""
    connect_option(parser)


def run(arguments: argparse.Namespace, session: Session) -> int:
    """One line per finding; 3 when something is missing that the main job needs."""
    findings = session.examine(arguments.connect)
    marks = {"ok": "✔", "warn": "!", "fail": "✘"}
    for finding in findings:
        session.console.result(f"{marks[finding.level]} {finding.what}", wrap=True)
        if finding.why:
            session.console.result(f"    {finding.why}", wrap=True)
        if finding.fix:
            session.console.result(f"    fix: {finding.fix}")
        session.console.event(
            "finding",
            {
                "id": finding.id,
                "level": finding.level,
                "what": finding.what,
                "why": finding.why,
                "fix": finding.fix,
            },
        )
    return 3 if any(finding.level == "fail" for finding in findings) else 0
