"""Checks answer files, anyone's, as Windows Setup would read them.

FILE is an Autounattend.xml; `-` is standard input. An error is what Setup stops at, or what makes
it ignore the file without a word.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from provisioner.answers.lint import Purpose
    from provisioner.cli.session import Session
    from provisioner.errors import Problem

STANDARD_INPUT = "-"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `lint`."""
    parser.add_argument("files", metavar="FILE", nargs="+", help="an answer file, or - for stdin")
    parser.add_argument(
        "--windows",
        metavar="VERSION",
        help="what it is for: 7, 8.1, 10, 11, 11-24H2, server-2019 ... server-2025",
    )
    parser.add_argument("--firmware", choices=("bios", "uefi"), help="what the machine starts with")
    parser.add_argument(
        "--sarif", metavar="FILE", help="write the findings as SARIF 2.1.0; - for stdout"
    )
    parser.add_argument("--strict", action="store_true", help="fail for warnings as well")
    parser.add_argument("--quiet", action="store_true", help="show no notes")


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Prints every finding; 2 when one of them is an error (with --strict: or a warning)."""
    from provisioner.answers.lint import lint
    from provisioner.cli.console import count_line
    from provisioner.errors import Severity

    console = session.console
    purpose = _purpose(arguments)
    problems: list[Problem] = []
    for name in arguments.files:
        shown = "<stdin>" if name == STANDARD_INPUT else name
        found = lint(_read(name, session), file=shown, purpose=purpose)
        if arguments.quiet:
            found = tuple(p for p in found if p.severity is not Severity.NOTE)
        problems += found
    if arguments.sarif != STANDARD_INPUT:
        console.problems(problems)
    if arguments.sarif is not None:
        _write_sarif(arguments.sarif, problems, session)
    count = len(arguments.files)
    console.say(f"{count} file{'s' if count != 1 else ''}: {count_line(problems)}")
    fatal = {Severity.ERROR, Severity.WARNING} if arguments.strict else {Severity.ERROR}
    return 2 if any(problem.severity in fatal for problem in problems) else 0


def _purpose(arguments: argparse.Namespace) -> Purpose:
    from provisioner.answers.lint import TARGETS, Purpose, target
    from provisioner.errors import UsageError

    windows = None
    if arguments.windows is not None:
        windows = target(arguments.windows)
        if windows is None:
            raise UsageError(
                f"--windows {arguments.windows}: there is no such Windows here",
                hint=f"one of {', '.join(TARGETS)}",
            )
    return Purpose(windows=windows, firmware=arguments.firmware)


def _read(name: str, session: Session) -> bytes:
    """The bytes, one more than lint takes at most: nothing larger is held in memory."""
    from provisioner.answers.lint import LARGEST
    from provisioner.errors import UsageError

    try:
        if name == STANDARD_INPUT:
            return sys.stdin.buffer.read(LARGEST + 1)
        with (session.environment.cwd / name).open("rb") as file:
            return file.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(
            f"{name} cannot be read: {error.strerror}", hint="give the path of an answer file"
        ) from error


def _write_sarif(destination: str, problems: list[Problem], session: Session) -> None:
    import json

    from provisioner.errors import FailedError
    from provisioner.plan.rules.sarif import sarif

    text = json.dumps(sarif(problems), indent=2) + "\n"
    if destination == STANDARD_INPUT:
        sys.stdout.write(text)
        return
    try:
        (session.environment.cwd / destination).write_text(text, encoding="utf-8")
    except OSError as error:
        raise FailedError(f"{destination} cannot be written: {error.strerror}") from error
