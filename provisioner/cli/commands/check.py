"""Finds mistakes before anything boots: in the profile, the discs, and the answers they make.

`--explain RULE` tells what a finding means, why it matters and what to do; without RULE it lists
all of them.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from provisioner.cli.completion import completes
from provisioner.cli.options import connect_option, profile_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from provisioner.cli.session import Session
    from provisioner.errors import Problem, ProfileError


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `check`."""
    profile_options(parser, optional=True)
    connect_option(parser)
    parser.add_argument(
        "--host", action="store_true", help="also ask libvirt what this host can do"
    )
    explain = parser.add_argument(
        "--explain",
        metavar="RULE",
        nargs="?",
        const="",
        help="explain a rule, or list all of them; needs no profile",
    )
    completes(explain, _rules)


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Prints every finding; 2 when one is an error, 3 when only the host lacks something."""
    if arguments.explain is not None:
        return _explain(arguments.explain, session)
    from provisioner.cli.console import count_line
    from provisioner.cli.session import places
    from provisioner.errors import ProfileError, UsageError, exit_code_of
    from provisioner.plan.checks import (
        check_discs,
        check_hardware,
        edition_of,
        in_order,
    )

    if arguments.profile is None:
        raise UsageError("which profile?", hint="`provisioner check PROFILE`, or --explain RULE")
    try:
        loaded = session.load(arguments)
    except ProfileError as err:
        problems = [*err.problems, *_of_the_discs(err, session)]
        session.console.problems(problems)
        session.console.say(f"{count_line(problems)}; nothing was written.{_more(problems)}")
        return 2
    find = places(loaded)
    problems = [*loaded.problems, *check_hardware(loaded.profile, None, find)]
    problems += session.unread_secrets(loaded)
    edition = None
    if loaded.profile.media.install is not None:
        media = session.media(loaded)
        problems += check_discs(loaded.profile, media, session.templates, find)
        edition = edition_of(loaded.profile, media.install)
    else:
        session.console.say("no install disc given; only the profile was checked")
    if arguments.host and loaded.profile.metal is not None:
        session.console.say("a physical PC needs nothing of this host; libvirt was not asked")
    elif arguments.host:
        from provisioner.plan.rules.host import check_host

        hypervisor = session.hypervisor(
            loaded.profile.name, arguments.connect or loaded.profile.machine.connect
        )
        problems += check_host(loaded.profile, hypervisor.facts(), edition, find)
    session.console.problems(in_order(problems))
    session.console.say(f"{count_line(problems)}; nothing was written.{_more(problems)}")
    return exit_code_of(problems)


def _of_the_discs(err: ProfileError, session: Session) -> Iterator[Problem]:
    """Errors between the discs and what is right in a faulty profile: all are told at once."""
    from provisioner.cli.session import places
    from provisioner.errors import Place, ProvisionerError, Severity
    from provisioner.plan.checks import check_media
    from provisioner.profile.load import FaultyProfile
    from provisioner.profile.places import path_of

    if not isinstance(err, FaultyProfile) or err.rest is None:
        return
    rest, unread = err.rest, err.unread
    if rest.profile.media.install is None or ("media",) in unread:
        return
    nowhere = Place(file="")
    find = places(rest)

    def readable(path: str) -> Place | None:
        keys = path_of(path)
        return nowhere if any(keys[: len(one)] == one for one in unread) else find(path)

    try:
        found = tuple(check_media(rest.profile, session.media(rest), readable))
    except ProvisionerError:
        return  # a disc that cannot be read is told as soon as the profile is right
    for problem in found:
        about_discs = problem.rule.startswith("media.") and problem.severity is Severity.ERROR
        if about_discs and problem.place is not nowhere:
            yield problem


def _more(problems: Sequence[Problem]) -> str:
    """Where to read more about the first of the worst findings."""
    from provisioner.errors import Severity

    for severity in Severity:
        for problem in problems:
            if problem.severity is severity:
                return f"  provisioner check --explain {problem.rule}"
    return ""


def _explain(rule: str, session: Session) -> int:
    from provisioner.plan.rules.explain import book, described, explanation

    console = session.console
    entries = [explanation(rule)] if rule else list(book().values())
    for entry in entries:
        console.event(
            "rule",
            {
                "rule": entry.rule,
                "severities": [severity.value for severity in entry.severities],
                "title": entry.title,
                "cause": entry.cause,
                "fix": entry.fix,
                "example": entry.example,
                "forceable": entry.forceable,
                "page": entry.page,
            },
        )
    if rule:
        for line in described(entries[0]).splitlines():
            console.result(line)
        return 0
    width = max(len(entry.rule) for entry in entries)
    for entry in entries:
        console.result(f"{entry.rule:<{width}}  {entry.severities[0].value:<7}  {entry.title}")
    return 0


def _rules(prefix: str, **_: Any) -> list[str]:
    from provisioner.plan.rules.explain import book

    return list(book())
