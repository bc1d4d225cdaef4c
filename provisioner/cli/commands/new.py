"""Writes a profile: looks at the ISO, asks a few questions, and explains every line it writes.

An empty answer takes what stands in brackets. Nothing is written before the last answer.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.cli.completion import completes, files
from provisioner.cli.options import output_file

if TYPE_CHECKING:
    from provisioner.cli.session import Session
    from provisioner.errors import Problem


ABOUT_DRIVERS = ("media.driver", "media.agent", "media.not-drivers")
"""Rules that a driver disc can break: one that does is not worth stopping for."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `new`."""
    iso = parser.add_argument(
        "iso", metavar="ISO", nargs="?", help="the ISO image of Windows to install"
    )
    completes(iso, files(".iso"))
    output_file(parser, meaning="the profile to write; default: its name.yaml", suffix=".yaml")
    parser.add_argument("--yes", action="store_true", help="ask nothing, take every suggestion")
    parser.add_argument("--force", action="store_true", help="overwrite a file that is there")


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Asks, checks what came of it, and writes it all at once."""
    from provisioner.cli.environment import is_terminal
    from provisioner.cli.interview import interview
    from provisioner.cli.profile_text import profile_text
    from provisioner.cli.questions import Questions
    from provisioner.errors import ProfileError, UsageError
    from provisioner.host.files import appearing

    console = session.console
    if not arguments.yes and (console.as_json or not is_terminal(sys.stdin)):
        raise UsageError(
            "there is no terminal to ask at", hint="--yes takes every suggestion without asking"
        )
    cwd = session.environment.cwd
    given = cwd / Path(arguments.output).expanduser() if arguments.output else None
    if given is not None:
        _free(given, force=arguments.force)
    questions = Questions(console, None if arguments.yes else sys.stdin)
    wanted = interview(
        questions,
        environment=session.environment,
        config=session.config,
        iso=arguments.iso,
        file_stem=given.stem if given is not None else None,
        taken=_taken(session, given, force=arguments.force),
    )
    file = given or cwd / f"{wanted.name}.yaml"
    with appearing(file, mode=0o644) as temporary:
        temporary.write_text(profile_text(wanted), encoding="utf-8")
        problems = _errors(session, temporary, file)
        if wanted.drivers is not None and any(p.rule.startswith(ABOUT_DRIVERS) for p in problems):
            console.warn(f"left out {wanted.drivers}: {problems[0].message}")
            wanted = replace(wanted, drivers=None)
            temporary.write_text(profile_text(wanted), encoding="utf-8")
            problems = _errors(session, temporary, file)
        if problems:
            raise ProfileError(problems)
        _free(file, force=arguments.force)
    shown = file.relative_to(cwd) if file.is_relative_to(cwd) else file
    console.result(str(shown))
    console.event("written", {"file": str(file), "name": wanted.name, "product": wanted.product})
    console.say(f"next: provisioner check {shown}, then provisioner up {shown}")
    return 0


def _free(file: Path, *, force: bool) -> None:
    from provisioner.errors import RefusedError, UsageError

    if file.is_dir():
        raise UsageError(f"{file} is a folder", hint="give the name of a file: -o dev11.yaml")
    if file.exists() and not force:
        raise RefusedError(
            f"{file} is there already", hint="--force overwrites it, -o names another"
        )


def _taken(session: Session, given: Path | None, *, force: bool) -> frozenset[str]:
    """Names that a new machine should not get."""
    names = {*session.machine_names(), *session.resources.profiles()}
    if given is None and not force:
        names |= {path.stem for path in session.environment.cwd.glob("*.yaml")}
    return frozenset(names)


def _errors(session: Session, written: Path, file: Path) -> list[Problem]:
    """What `check` would not accept of what is `written`, and shall become `file`."""
    from provisioner.cli.session import places
    from provisioner.errors import ProfileError, Severity
    from provisioner.plan.checks import check_hardware, check_media
    from provisioner.profile.load import load_profile

    problems: list[Problem] = []
    try:
        loaded = load_profile(
            str(written),
            resources=session.resources,
            home=session.environment.home,
            cwd=session.environment.cwd,
        )
        problems += check_hardware(loaded.profile, None, places(loaded))
        if loaded.profile.media.install is not None:
            problems += check_media(loaded.profile, session.media(loaded), places(loaded))
    except ProfileError as err:
        problems += err.problems
    return [
        replace(problem, place=replace(problem.place, file=str(file)) if problem.place else None)
        for problem in problems
        if problem.severity is Severity.ERROR
    ]
