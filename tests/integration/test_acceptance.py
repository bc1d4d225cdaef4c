"""`make acceptance` rehearsed on the stand-in, which is no Windows, and whose report says so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from acceptance.__main__ import main
from tests.integration.home import Home
from tests.integration.leaks import leaks

pytestmark = pytest.mark.integration

LONG = 2400.0


def accept(home: Home, folder: Path, *argv: str) -> tuple[int, str]:
    """Exit code and report."""
    report = folder / "report.md"
    code = main(
        [
            *("--iso", str(home.media.install), "--virtio", str(home.media.drivers)),
            *("--quick", "--folder", str(folder), "--output", str(report), *argv),
        ],
        {**home.variables, "XDG_CONFIG_HOME": str(home.home / ".config")},
    )
    return code, report.read_text(encoding="utf-8")


def outcome(report: str, claim: str) -> str:
    """The third cell of a claim's row."""
    row = re.search(rf"(?m)^\| {claim} \|[^|]*\| ([^|]*) \|", report)
    assert row is not None, claim
    return row[1].strip()


@pytest.mark.soak
def test_a_rehearsal_without_an_installation(home: Home, tmp_path: Path) -> None:
    """The direct guest becomes ready at once and knows nothing about itself."""
    home.direct_guest()
    code, report = accept(home, tmp_path, "--trial", "none")
    assert code == 1
    assert "It is not Windows" in report and "settles nothing" in report
    assert outcome(report, "W1") == "holds"
    assert outcome(report, "L4") == "undecided", "no reg.exe answers there"
    assert outcome(report, "S9") == "holds", "the agent there is QEMU's own"
    assert "not told" in report and "| undecided |" in report
    assert str(tmp_path) not in report
    assert home.json("list").events == []
    assert leaks(home) == []


@pytest.mark.soak
@pytest.mark.timeout(LONG)
def test_a_rehearsal_with_installations(home: Home, tmp_path: Path) -> None:
    """The main job and the trials that the stand-in plays by the documented rules."""
    code, report = accept(
        home,
        tmp_path,
        "--trial",
        "two-answers",
        "--trial",
        "unknown-setting",
        "--trial",
        "two-disks",
    )
    assert code == 1
    assert "It is not Windows" in report
    for subject in ("edition", "build", "language", "computer name", "user dev", "partition table"):
        row = next(line for line in report.splitlines() if line.startswith(f"| {subject} |"))
        assert row.endswith("| as expected |"), row
    assert outcome(report, "W1") == "holds"
    assert outcome(report, "W4") in ("holds", "**does not hold**")
    assert outcome(report, "W5") == "**does not hold**", "the stand-in stops, as 2012 R2 does"
    assert home.json("list").events == []
    assert leaks(home) == []
