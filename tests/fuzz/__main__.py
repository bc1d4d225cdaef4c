"""`python -m tests.fuzz --seconds 60 --seed 1`: mutates inputs until the time is over.

Prints inputs, coverage and escapes; exits with 1 when anything but a result or a ProvisionerError
came out, when an input took too long, or when it asked for too much memory. What escaped is kept
in `build/fuzz/`.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import provisioner
from provisioner.errors import ProvisionerError
from tests.fuzz.coverage import Coverage
from tests.fuzz.mutate import mutated, mutated_text
from tests.fuzz.seeds import make_seeds
from tests.fuzz.targets import Target, all_targets, planted

MEMORY = 1 << 30
"""More than the seeds and the interpreter need; an input that asks for this is an escape."""
TRACED = 25
"""One in so many inputs is traced for coverage."""
KEPT = Path("build/fuzz")
_PATIENCE = 6
"""Seconds by the clock for a second of processor time."""
PLANTS = ("index", "hang", "memory", "yaml")
_MEDIA = (
    *("answer_places", "answer_xml", "authenticode", "boot", "boot_loaders", "der", "disk_image"),
    *("fat", "huffman", "inspect", "iso", "iso9660", "layout", "loader", "lzx", "partitions"),
    *("setup_config", "setup_wims", "udf", "udf_volume", "volumes", "walk", "wim"),
    *("wim_integrity", "wim_resource", "wim_tree", "window", "xpress"),
)
_PROFILE = ("layers", "load", "messages", "places", "secrets", "syntax", "veil", "yamlfile")
MODULES = (
    *(f"media/{name}" for name in _MEDIA),
    *(f"profile/{name}" for name in _PROFILE),
    *("answers/lint/document", "answers/lint/encoding", "answers/settings", "disc/sectors"),
)


class TooSlow(BaseException):
    """No parser catches this."""


@dataclass
class Tally:
    """What happened."""

    inputs: Counter[str] = field(default_factory=Counter)
    results: Counter[str] = field(default_factory=Counter)
    escapes: list[str] = field(default_factory=list)
    slowest: float = 0.0


def main(arguments: Sequence[str]) -> int:
    """Runs, and prints what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=float, default=5, help="most seconds of one input")
    parser.add_argument("--only", help="one target")
    parser.add_argument("--plant", choices=PLANTS, help="prove it finds that")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        targets = [planted(options.plant)] if options.plant else []
        if options.only not in {target.name for target in targets}:  # seeds take a while to make
            targets += all_targets(make_seeds(Path(folder)), Path(folder))
        return _fuzz(targets, options)


def _fuzz(targets: list[Target], options: argparse.Namespace) -> int:
    if options.only:
        targets = [target for target in targets if target.name == options.only]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.RLIM_INFINITY))
    signal.signal(signal.SIGVTALRM, _too_slow)
    coverage = Coverage(Path(provisioner.__path__[0]))
    tally = _run(targets, options, coverage)
    _print(tally, coverage, options)
    return 1 if tally.escapes else 0


def _run(targets: list[Target], options: argparse.Namespace, coverage: Coverage) -> Tally:
    tally = Tally()
    others = [seed for target in targets for seed in target.seeds]
    # Processor time, so that a busy machine tries as many; never much longer than it is worth.
    end = time.process_time() + options.seconds
    latest = time.monotonic() + _PATIENCE * options.seconds
    number = 0
    for target in targets:  # the seeds themselves, each once
        for seed in target.seeds:
            with coverage.traced():
                _feed(target, seed, tally, options)
    while time.process_time() < end and time.monotonic() < latest:
        number += 1
        for target in targets:
            chance = random.Random(f"{options.seed} {target.name} {number}")
            data = chance.choice(target.seeds)
            if target.is_text and chance.random() < 0.7:
                data = mutated_text(data, target.seeds, chance)
            else:
                data = mutated(data, others, chance)
            if number % TRACED == 0:
                with coverage.traced():
                    _feed(target, data, tally, options)
            else:
                _feed(target, data, tally, options)
    return tally


def _feed(target: Target, data: bytes, tally: Tally, options: argparse.Namespace) -> None:
    tally.inputs[target.name] += 1
    before = time.process_time()
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, options.limit * 4)  # tracing is slow
        target.run(data)
        tally.results[target.name] += 1
    except ProvisionerError:
        pass
    except (Exception, TooSlow) as err:
        tally.escapes.append(_kept(target, data, err))
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    tally.slowest = max(tally.slowest, time.process_time() - before)


def _kept(target: Target, data: bytes, err: BaseException) -> str:
    """Keeps the input; the line that tells about it."""
    KEPT.mkdir(parents=True, exist_ok=True)
    path = KEPT / f"{target.name}-{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    where = traceback.extract_tb(err.__traceback__)[-1]
    return (
        f"{target.name}: {type(err).__name__}: {str(err)[:100]}"
        f" at {Path(where.filename).name}:{where.lineno}; input in {path}"
    )


def _print(tally: Tally, coverage: Coverage, options: argparse.Namespace) -> None:
    for name, count in tally.inputs.items():
        print(f"  {name:12} {count:7,} inputs, {tally.results[name]:7,} with a result")
    reached, total, modules = coverage.report(MODULES)
    for name, (some, all_) in modules.items():
        print(f"  {name:24} {some:4} of {all_:4} lines")
    for escape in tally.escapes[:20]:
        print(f"  ESCAPED {escape}")
    print(
        f"fuzz: {sum(tally.inputs.values()):,} inputs in {options.seconds:g} s with seed"
        f" {options.seed}, slowest {tally.slowest:.2f} s, {100 * reached / total:.0f} % of"
        f" {total:,} lines, {len(tally.escapes)} escapes"
    )


def _too_slow(number: int, frame: FrameType | None) -> None:
    raise TooSlow("it took too long")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
