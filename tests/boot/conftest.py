"""Whole installations from the stand-in's discs."""

from __future__ import annotations

from tests.integration.fixtures import cache, home, media, untouched

__all__ = ["cache", "home", "media", "untouched"]
