"""The entry point: parses, runs one command, turns every error into words and an exit code."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType, ModuleType
from typing import NoReturn

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
    _validate_alone()
    try:
        code = main(sys.argv[1:])
    except SystemExit as end:  # argparse has printed what was asked for
        code = end.code if isinstance(end.code, int) else 0
    _end(code)


def _end(code: int) -> NoReturn:
    """Ends the process without taking the interpreter apart first: that takes 10 ms.

    What was to be done at the end is done. Where another thread still works, it is waited for.
    """
    gc.freeze()
    threading = sys.modules.get("threading")
    if threading is not None and threading.active_count() > 1:
        sys.exit(code)
    atexit._run_exitfuncs()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except BrokenPipeError:
        code = 141
    except OSError as err:  # a full disk, say
        os.write(2, f"error: not all could be written: {err.strerror}\n".encode())
        code = code or 3
    os._exit(code)


def _validate_alone() -> None:
    """Lets no plug-in of pydantic, from whatever else is installed, see what profiles hold.

    They are found by the entry points of all packages there are: looking for them takes 20 ms.
    """
    loader = ModuleType("pydantic.plugin._loader")
    vars(loader)["get_plugins"] = tuple
    sys.modules[loader.__name__] = loader


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    entry()
