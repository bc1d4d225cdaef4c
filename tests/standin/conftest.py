"""Fixtures: the built discs, once per session, and answer discs made of the sample file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.standin.build import Media, build_media, default_outdir
from tests.standin.discs import write_joliet_disc

SAMPLE = Path(__file__).parent / "samples/Autounattend.xml"


@pytest.fixture(scope="session")
def media() -> Media:
    """Everything the stand-in builds."""
    return build_media(default_outdir())


@pytest.fixture(scope="session")
def sample() -> str:
    """A good answer file."""
    return SAMPLE.read_text(encoding="ascii")


@pytest.fixture
def answer_disc(tmp_path: Path) -> Callable[[Mapping[str, bytes]], Path]:
    """Makes an answer disc from paths and contents."""

    def make(files: Mapping[str, bytes]) -> Path:
        target = tmp_path / "answers.iso"
        write_joliet_disc(target, files.items(), label="ANSWERS")
        return target

    return make
