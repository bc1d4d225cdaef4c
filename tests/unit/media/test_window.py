"""Opening an image: what a person is told who may not."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

OPENS = """
import os, sys
from pathlib import Path
from provisioner.errors import MediaError
from provisioner.media.window import opened
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    with opened(Path(sys.argv[1])):
        print("opened")
except MediaError as error:
    print(error.hint)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that everybody may enter; pytest's own are closed to other users."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("closed", ["folder", "file"])
def test_the_hint_names_what_keeps_the_user_out(folder: Path, closed: str) -> None:
    """As another user, in a process of its own: root is let in everywhere."""
    image = folder / "kept" / "disc.iso"
    image.parent.mkdir()
    image.write_bytes(b"x")
    image.parent.chmod(0o700 if closed == "folder" else 0o755)
    image.chmod(0o600)
    said = subprocess.run(
        [sys.executable, "-c", OPENS, str(image)], capture_output=True, text=True, check=True
    ).stdout.strip()
    blamed = f"x {image.parent}" if closed == "folder" else f"r {image}"
    assert said == f"try: setfacl -m u:$USER:{blamed}"
