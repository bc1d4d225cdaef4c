"""What all tests share: in CI a test that is skipped is a failure."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

# The same examples each time, as slow as the machine is: who changed nothing sees no new failure.
# `make fuzz` looks for new ones.
settings.register_profile(
    "same",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.register_profile("new", parent=settings.get_profile("same"), derandomize=False)
settings.load_profile("same")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Short names for long values: a test's name stands in the environment of every program that it
    starts (PYTEST_CURRENT_TEST), and a name of 128 KiB lets none start (execve(2), E2BIG)."""
    if isinstance(val, str | bytes) and len(val) > 80:
        return f"{argname} of {len(val)}"
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Skips hide failures: a tier that cannot run on CI's machine must be seen."""
    report = yield
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report
