"""A real browser, headless, with everything switched off that talks to somebody else."""

from __future__ import annotations

import subprocess
from pathlib import Path

SWITCHES = (
    "--headless",
    "--no-sandbox",  # the tests run as root, and the page is our own
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--timeout=10000",
)


def chromium(page: Path, profile: Path, *switches: str) -> subprocess.CompletedProcess[str]:
    """Opens a file; `profile` is a folder that does not exist yet."""
    done = subprocess.run(
        ["chromium", *SWITCHES, f"--user-data-dir={profile}", *switches, page.as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


def dom(page: Path, profile: Path) -> str:
    """The document as the browser has built it."""
    return chromium(page, profile, "--dump-dom").stdout


def picture(page: Path, profile: Path, target: Path, *, width: int, height: int) -> Path:
    """A screenshot of the page."""
    chromium(page, profile, f"--window-size={width},{height}", f"--screenshot={target}")
    return target
