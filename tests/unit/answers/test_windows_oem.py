"""OEM information, and the command that puts the logo in place."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.answers.oem import copy_logo
from provisioner.answers.supplied import bitmap_size
from tests.golden.cases import BITMAP


def test_the_command_is_short_enough_for_the_longest_machine() -> None:
    """259 characters in specialize (windows-setup.md §4.6), and nothing Setup would expand."""
    command = copy_logo("provision\\machine-" + "x" * 48)
    assert len(command) <= 259
    assert "%" not in command


def test_bitmaps() -> None:
    assert bitmap_size(BITMAP) == (120, 120)
    assert bitmap_size(b"\x89PNG" + BITMAP[4:]) is None
    assert bitmap_size(BITMAP[:20]) is None


@settings(max_examples=50)
@given(st.binary(max_size=60))
def test_any_bytes(data: bytes) -> None:
    size = bitmap_size(b"BM" + data)
    assert size is None or min(size) > 0


@pytest.mark.parametrize("height", [120, -120])
def test_a_bitmap_may_be_upside_down(height: int) -> None:
    data = BITMAP[:22] + height.to_bytes(4, "little", signed=True)
    assert bitmap_size(data) == (120, 120)
