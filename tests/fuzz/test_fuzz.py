"""A short run with a fixed seed, and proof that the run notices a parser that has no guard."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
SECONDS = 10


def fuzz(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, "-m", "tests.fuzz", *arguments),
        cwd=folder,
        env={"PYTHONPATH": str(PROJECT), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_input_escapes(tmp_path: Path) -> None:
    done = fuzz(tmp_path, "--seconds", str(SECONDS), "--seed", "4")
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = done.stdout.splitlines()[-1]
    found = re.search(r"fuzz: ([0-9,]+) inputs .* (\d+) % of .* (\d+) escapes$", summary)
    assert found is not None, summary
    inputs, covered, escapes = int(found[1].replace(",", "")), int(found[2]), int(found[3])
    assert escapes == 0
    assert covered >= 75
    assert inputs > 300  # 3,000 where nobody else uses the processor


@pytest.mark.parametrize(
    ("plant", "error"),
    [
        ("index", "IndexError"),
        ("hang", "TooSlow"),
        ("memory", "MemoryError"),
        ("yaml", "ScannerError"),
    ],
)
def test_a_planted_parser_makes_the_run_fail(tmp_path: Path, plant: str, error: str) -> None:
    done = fuzz(
        tmp_path,
        *("--seconds", "1.5", "--seed", "1", "--limit", "0.1"),
        *("--plant", plant, "--only", f"planted-{plant}"),
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"ESCAPED planted-{plant}: {error}" in done.stdout
    kept = list((tmp_path / "build/fuzz").iterdir())
    assert kept
