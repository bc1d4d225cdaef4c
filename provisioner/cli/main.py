"""The entry point: parses, runs one command, turns every error into words and an exit code."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from provisioner import __version__
from provisioner.cli.console import TerminalConsole
from provisioner.cli.environment import read_environment
from provisioner.errors import InterruptedByUser, ProvisionerError, UsageError

COMMANDS = (
    "check",
    "plan",
    "render",
    "build",
    "up",
    "down",
    "delete",
    "status",
    "list",
    "drive",
    "secret",
    "schema",
    "doctor",
)

EPILOG = """\
exit codes: 0 done, 1 a bug in provisioner, 2 usage or profile, 3 host or media not ready,
4 failed while doing, 5 refused for safety, 6 the guest failed or stalled, 130 interrupted"""


class Parser(argparse.ArgumentParser):
    """Raises UsageError instead of leaving the process, so that `--json` covers usage as well."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"see `{self.prog} --help`")


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = Parser(
        prog="provisioner",
        description="Turns a YAML profile into a Windows machine that installed itself.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"provisioner {__version__}")
    common = Parser(add_help=False)
    common.add_argument(
        "--json", action="store_true", help="print one JSON object per line on standard output"
    )
    common.add_argument("--debug", action="store_true", help="show the traceback of a failure")
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
    wants_json = "--json" in argv
    console = TerminalConsole(colour=environment.colour, as_json=wants_json)
    debug = "--debug" in argv
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        arguments = build_parser().parse_args(argv)
        from provisioner.cli.session import Session

        with Session(environment, console) as session:
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
