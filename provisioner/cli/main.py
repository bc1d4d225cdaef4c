"""The entry point: parses, runs one command, turns every error into words and an exit code."""

from __future__ import annotations

import argparse
import importlib
import re
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any, NoReturn

from provisioner import __version__
from provisioner.cli.console import TerminalConsole
from provisioner.cli.environment import read_environment
from provisioner.cli.options import common_options
from provisioner.errors import InterruptedByUser, ProvisionerError, UsageError

COMMANDS = (
    "new",
    "inspect",
    "library",
    "iso",
    "usb",
    "check",
    "lint",
    "plan",
    "render",
    "build",
    "up",
    "down",
    "delete",
    "status",
    "list",
    "connect",
    "drive",
    "secret",
    "config",
    "schema",
    "doctor",
    "completion",
)

EXIT_CODES = (
    (0, "done"),
    (1, "a bug in provisioner"),
    (2, "usage or profile"),
    (3, "host or media not ready"),
    (4, "failed while doing"),
    (5, "refused for safety"),
    (6, "the guest failed or stalled"),
    (130, "interrupted"),
)
EPILOG = "exit codes: " + ", ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES)


class Parser(argparse.ArgumentParser):
    """Raises UsageError instead of leaving the process, so that `--json` covers usage as well."""

    def __init__(self, **options: Any) -> None:
        # An abbreviation that works today is another option tomorrow.
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        wrong = re.search(r"invalid choice: (.+?) \(choose from (.+)\)", message)
        hint = f"see `{self.prog} --help`"
        if wrong is not None:
            from difflib import get_close_matches

            known = re.findall(r"[\w-]+", wrong[2])
            near = get_close_matches(wrong[1].strip("'\""), known, n=1)
            message = message[: wrong.end(1)]
            hint = f"did you mean '{near[0]}'?" if near else f"one of {', '.join(known)}"
        raise UsageError(message, hint=hint)


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = Parser(
        prog="provisioner",
        description="Turns a YAML profile into a Windows machine that installed itself.",
        epilog=EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"provisioner {__version__}")
    common = Parser(add_help=False)
    common_options(common)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = importlib.import_module(f"provisioner.cli.commands.{name}")
        sub = commands.add_parser(
            name, help=module.HELP, description=module.__doc__, parents=[common]
        )
        module.configure(sub)
        sub.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str]) -> int:
    """Runs one command line; the exit code."""
    environment = read_environment()
    if "_ARGCOMPLETE" in environment.variables:
        from provisioner.cli.completion import complete

        complete(build_parser())
    console = TerminalConsole(
        out=sys.stdout,
        err=sys.stderr,
        as_json="--json" in argv,
        allowed=environment.colour,
        moving=environment.variables.get("TERM") != "dumb",
    )
    debug = "--debug" in argv
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        arguments = build_parser().parse_args(argv)
        from provisioner.cli.config import given_settings, read_config
        from provisioner.cli.session import Session

        config = read_config(environment, given_settings(arguments))
        console.use_colour(config.colour)
        with Session(environment, console, config) as session:
            return int(arguments.run(arguments, session) or 0)
    except ProvisionerError as err:
        if debug:
            raise
        console.error(err)
        return err.exit_code
    except KeyboardInterrupt:
        if debug:
            raise
        console.error(InterruptedByUser("interrupted"))
        return InterruptedByUser.exit_code
    except BrokenPipeError:
        # Whoever read our output has gone; Python must not complain about it while exiting.
        sys.stdout = None
        return 141
    except OSError as err:  # nobody nearer knew what to say about it: a full disk, permissions
        if debug:
            raise
        from provisioner.host.files import os_error

        problem = os_error(err, f"use {err.filename}" if err.filename else "go on")
        console.error(problem)
        return problem.exit_code
    except Exception as err:  # a bug: say so, and how to tell us, instead of a bare traceback
        if debug:
            raise
        console.error(
            ProvisionerError(
                f"a bug in provisioner: {type(err).__name__}: {err}",
                hint="run it again with --debug and report the traceback",
            )
        )
        return 1


def entry() -> None:
    """The console script."""
    sys.exit(main(sys.argv[1:]))


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    entry()
