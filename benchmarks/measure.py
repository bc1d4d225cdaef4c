"""Runs commands and takes their time; medians of five, so that one hiccup does not count."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

RUNS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison. `ratio` is ours divided by theirs in time: below 1 we are faster."""

    what: str
    ours: str
    theirs: str
    ratio: float | None = None
    wanted: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Medians: seconds of wall clock and of CPU (children that were waited for included), and
    the largest resident set of the command itself in bytes: at least our own, which Linux hands
    down over fork and exec."""

    wall: float
    cpu: float
    peak: int


def command(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    runs: int = RUNS,
    before: Callable[[], object] | None = None,
    after: Callable[[], object] | None = None,
) -> Timing:
    """Times a command that must succeed; `before` and `after` each run are not counted."""
    taken = []
    for _ in range(runs):
        if before is not None:
            before()
        taken.append(_once(argv, environment or {}))
        if after is not None:
            after()
    return _median(taken)


def in_turn(
    commands: Mapping[str, Sequence[str]], *, environment: Mapping[str, str]
) -> dict[str, Timing]:
    """Times commands one after the other, five times over: what else the machine does while it
    lasts slows all of them, and not only one.
    """
    taken: dict[str, list[Timing]] = {name: [] for name in commands}
    for _ in range(RUNS):
        for name, argv in commands.items():
            taken[name].append(_once(argv, environment))
    return {name: _median(timings) for name, timings in taken.items()}


def _median(taken: Sequence[Timing]) -> Timing:
    return Timing(
        wall=statistics.median(each.wall for each in taken),
        cpu=statistics.median(each.cpu for each in taken),
        peak=max(each.peak for each in taken),
    )


def _once(argv: Sequence[str], environment: Mapping[str, str]) -> Timing:
    begun = time.perf_counter()
    process = subprocess.Popen(
        argv,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    complaints = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode:
        told = complaints.decode(errors="replace")[-500:]
        raise RuntimeError(f"{' '.join(argv)[:300]}: {told}")
    cpu = usage.ru_utime + usage.ru_stime
    return Timing(wall=wall, cpu=cpu, peak=usage.ru_maxrss * 1024)


def call(function: Callable[[], object], *, runs: int = RUNS) -> float:
    """Median seconds of a function."""
    times = []
    for _ in range(runs):
        begun = time.perf_counter()
        function()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def allocated(folder: Path) -> dict[str, int]:
    """Bytes on the disk of every file below a folder."""
    return {
        str(path.relative_to(folder)): path.lstat().st_blocks * 512
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def seconds(value: float) -> str:
    """`1.23 s`, `45 ms`."""
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.0f} ms"


def size(value: int) -> str:
    """`5.8 GB`, `1.9 MB`, `412 kB`."""
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if value >= unit:
            return f"{value / unit:.1f} {name}"
    return f"{value / 1e3:.0f} kB"
