"""How long the stages of earlier installations took: the same medium and profile, the same time.

One small file beside the machines' folders. It is a convenience: whatever is wrong with it, the
answer is that nothing is known.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, TypeGuard

from provisioner.frozen import frozen
from provisioner.image.output import replacing
from provisioner.store.timeline import Moment

FILE = "timings.json"
FORMAT = 1

RUNS = 9
"""The last runs that are remembered of one medium and profile."""
KEYS = 64
"""Media and profiles that are remembered; the one not used for longest goes first."""
STAGES = 40
"""Stages of one run that are remembered."""


@frozen
class Usual:
    """Median and spread, in seconds, of each stage; empty where nothing is known.

    The spread is the median distance from the median. `bytes` is what was read from the discs by
    the end of applying the image, None where that is not known.
    """

    stages: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    total: tuple[float, float] | None = None
    bytes: int | None = None
    runs: int = 0


@frozen
class Lesson:
    """What one whole installation teaches: seconds of each stage and of everything."""

    stages: Mapping[str, float]
    total: float
    bytes: int | None = None


class Timings:
    """`timings.json` of one user."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def usual(self, keys: Sequence[str]) -> Usual:
        """What is known under the first of the keys that anything is known of."""
        known = self._load()
        for key in keys:
            runs = _runs(known.get(key))
            if runs:
                return _usual(runs)
        return Usual()

    def learn(self, keys: Sequence[str], lesson: Lesson, *, at: float) -> None:
        """Adds a run. A ProvisionerError where it cannot be written; only this lesson is lost."""
        known = self._load()
        run = {
            "stages": {name: round(s, 1) for name, s in list(lesson.stages.items())[:STAGES]},
            "total": round(lesson.total, 1),
            "bytes": lesson.bytes,
        }
        for key in keys:
            known[key] = {"used": at, "runs": [*_runs(known.get(key)), run][-RUNS:]}
        kept = sorted(known, key=lambda key: _used(known[key]), reverse=True)[:KEYS]
        document = {"format": FORMAT, "keys": {key: known[key] for key in kept}}
        data = json.dumps(document).encode()
        with replacing(self._path, needed=len(data)) as file:
            file.write(data)

    def _load(self) -> dict[str, Any]:
        try:
            raw = json.loads(self._path.read_bytes())
            keys = raw["keys"] if raw["format"] == FORMAT else {}
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return {}
        return dict(keys) if isinstance(keys, dict) else {}


def lesson(moments: Iterable[Moment]) -> Lesson | None:
    """What a recorded installation teaches; None where it did not reach `ready`, or has gaps.

    A stage lasts until the next one begins; one that is entered twice counts together.
    """
    stages: dict[str, float] = {}
    current, since = "", 0.0
    total: float | None = None
    read: int | None = None
    for moment in moments:
        elapsed = moment.members.get("elapsed")
        if not _number(elapsed):
            continue
        match moment.event:
            case "started":
                stages, current, since, total, read = {}, "power-on", 0.0, None, None
            case "gap" if "lines" not in moment.members:
                return None
            case "stage":
                stage = str(moment.members.get("stage", ""))
                if stage != current:
                    stages[current] = stages.get(current, 0.0) + max(0.0, elapsed - since)
                    current, since = stage, elapsed
            case "progress" if moment.members.get("stage") == "image":
                done = moment.members.get("done")
                read = int(done) if _number(done) else read
            case "ready":
                stages[current] = stages.get(current, 0.0) + max(0.0, elapsed - since)
                total = elapsed
                break
            case _:
                pass
    stages.pop("", None)
    return Lesson(stages=stages, total=total, bytes=read) if total is not None else None


def _usual(runs: Sequence[Mapping[str, Any]]) -> Usual:
    by_stage: dict[str, list[float]] = {}
    for run in runs:
        for name, seconds in run["stages"].items():
            if _number(seconds):
                by_stage.setdefault(str(name), []).append(float(seconds))
    totals = [float(run["total"]) for run in runs if _number(run.get("total"))]
    read = [int(run["bytes"]) for run in runs if _number(run.get("bytes"))]
    return Usual(
        stages={name: _middle(values) for name, values in by_stage.items()},
        total=_middle(totals) if totals else None,
        bytes=int(_median(read)) if read else None,
        runs=len(runs),
    )


def _middle(values: Sequence[float]) -> tuple[float, float]:
    median = _median(values)
    spread = _median([abs(value - median) for value in values])
    return round(median, 1), round(spread, 1)


def _median(values: Sequence[float]) -> float:
    from statistics import median  # half a dozen modules, and a first run has nothing to compare

    return median(values)


def _runs(entry: Any) -> list[dict[str, Any]]:
    runs = entry.get("runs") if isinstance(entry, dict) else None
    if not isinstance(runs, list):
        return []
    return [run for run in runs if isinstance(run, dict) and isinstance(run.get("stages"), dict)]


def _used(entry: Any) -> float:
    used = entry.get("used") if isinstance(entry, dict) else None
    return float(used) if _number(used) else 0.0


def _number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
