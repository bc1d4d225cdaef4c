"""The entry point: parses, runs one command, turns every error into words and an exit code."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from provisioner.cli.parser import build_parser


def main(argv: Sequence[str]) -> int:
    """Runs one command line; the exit code."""
    if argv[:1] in (["--help"], ["-h"], ["--version"]):
        build_parser(argv[0]).parse_args(argv)  # prints it and ends the process
    from provisioner.cli.console import TerminalConsole
    from provisioner.cli.environment import read_environment
    from provisioner.errors import InterruptedByUser, ProvisionerError

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
        arguments = build_parser(argv[0] if argv else "").parse_args(argv)
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
    gc.set_threshold(200_000, 30, 30)  # next to nothing of what a command makes is garbage
    code = main(sys.argv[1:])
    # All of it goes away in a moment: looking for garbage in it first takes a tenth of a `check`.
    gc.freeze()
    sys.exit(code)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    entry()
