"""Shows what `up` would do: every step in words, the answer files and the domain XML.

Secrets are never shown, only where they come from. Nothing is changed.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from provisioner.cli.options import connect_option, profile_options

if TYPE_CHECKING:
    from provisioner.cli.session import Session


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `plan`."""
    profile_options(parser)
    connect_option(parser)
    parser.add_argument("--xml", action="store_true", help="print only the domain XML")


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Prints the plan."""
    from provisioner.plan import show

    run = session.machine_run(arguments)
    plan = run.compile_plan(1, {})
    console = session.console
    if arguments.xml:
        console.result(show.domain_xml(plan).rstrip())
        console.event("plan", show.as_json(plan))
        return 0
    console.problems(plan.problems)
    for line in show.summary(plan):
        console.result(line)
    console.result("steps")
    for line in show.steps(plan):
        console.result(line)
    if plan.secrets:
        console.result("secrets")
        for line in show.secrets(plan):
            console.result(line)
    for path, text in show.text_files(show.answer_tree(plan)).items():
        console.result(f"--- {path}")
        console.result(text.rstrip())
    console.result("--- domain XML")
    console.result(show.domain_xml(plan).rstrip())
    console.result(f"digest {plan.digest}")
    console.event("plan", show.as_json(plan))
    return 0
