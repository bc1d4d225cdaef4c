"""Everything in this folder starts machines or daemons, as root."""

from __future__ import annotations

from tests.integration.fixtures import (
    cache,
    home,
    media,
    system,
    system_home,
    untouched,
    user,
    user_home,
)

__all__ = ["cache", "home", "media", "system", "system_home", "untouched", "user", "user_home"]
