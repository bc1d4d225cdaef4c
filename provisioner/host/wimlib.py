"""Exports one image of a WIM file by wimlib-imagex(1), and reads how far it is."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from provisioner.errors import FailedError, HostError

_HINT = "apt install wimtools"
_SHARE = re.compile(rb"(\d+) ([KMG]i)?B of (\d+) ([KMG]i)?B \(\d+%\) done")
_UNITS = {b"": 1, b"Ki": 1 << 10, b"Mi": 1 << 20, b"Gi": 1 << 30}


def export(source: Path, index: int, target: Path, progress: Callable[[int, int], None]) -> None:
    """Writes image `index` (from 1) of `source` into `target`, which is new.

    `progress` gets bytes of what is written, as coarse as wimlib tells them. HostError where the
    program is not installed, FailedError with its own words where it fails.
    """
    try:
        process = subprocess.Popen(
            ["wimlib-imagex", "export", str(source), str(index), str(target)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except FileNotFoundError as err:
        raise HostError("the program wimlib-imagex is not installed", hint=_HINT) from err
    assert process.stdout is not None
    rest = b""
    words: list[bytes] = []
    with process:
        try:
            while data := os.read(process.stdout.fileno(), 4096):
                *lines, rest = re.split(rb"[\r\n]+", rest + data)
                for line in lines:
                    if match := _SHARE.search(line):
                        done, unit, total, all_units = match.groups(default=b"")
                        progress(int(done) * _UNITS[unit], int(total) * _UNITS[all_units])
                    elif line.strip():
                        words = [*words[-9:], line.strip()]
            code = process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if code != 0:
        words += [rest.strip()] if rest.strip() else []
        reason = next((word for word in words if b"ERROR" in word), words[-1] if words else b"")
        told = reason.decode("utf-8", "replace") or f"exit code {code}"
        raise FailedError(f"wimlib-imagex failed: {told}")
