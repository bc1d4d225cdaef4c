"""Runs other programs: argv lists, never a shell, always with a time limit."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence

from provisioner.errors import FailedError, HostError


def run(
    argv: Sequence[str],
    *,
    timeout: float,
    hint: str | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
) -> bytes:
    """Standard output of a program that succeeded.

    HostError where the program is not there (`hint` says what to install), FailedError with the
    last line of its complaints otherwise. The program runs in a session of its own, so that a
    time limit or Ctrl-C ends its children too.
    """
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=None if environment is None else dict(environment),
            start_new_session=True,
        )
    except FileNotFoundError as err:
        raise HostError(f"the program {argv[0]} is not installed", hint=hint) from err
    except OSError as err:
        raise HostError(f"cannot run {argv[0]}: {err.strerror}", hint=hint) from err
    with process:
        try:
            output, complaints = process.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired as err:
            _kill(process)
            raise FailedError(
                f"{argv[0]} did not finish within {timeout:.0f} s",
                hint=f"try it by hand: {shlex.join(argv)}",
            ) from err
        except BaseException:
            _kill(process)
            raise
    if process.returncode != 0:
        raise FailedError(f"{argv[0]} failed: {_reason(process.returncode, complaints)}", hint=hint)
    return output


def _reason(code: int, complaints: bytes) -> str:
    lines = complaints.decode("utf-8", "replace").strip().splitlines()
    if lines:
        return lines[-1].strip()
    if code < 0:
        return f"ended by signal {-code}"
    return f"exit code {code}"


def _kill(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
