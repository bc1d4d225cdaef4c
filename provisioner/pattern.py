"""Regular expressions that are compiled when they are first used, and not when they are imported.

A command imports the patterns of every room and uses a few; compiling one takes a tenth of a
millisecond and more.
"""

from __future__ import annotations

import re
from typing import Any, cast


class _Late:
    """Stands for a compiled pattern; what is asked of it once is at hand from then on."""

    def __init__(self, text: str, flags: int) -> None:
        self._given = text, flags

    def __getattr__(self, name: str) -> Any:
        found = getattr(re.compile(*self._given), name)
        setattr(self, name, found)
        return found


def pattern(text: str, flags: int = 0) -> re.Pattern[str]:
    """`re.compile(text, flags)`, later. A wrong pattern raises `re.error` at its first use."""
    return cast(re.Pattern[str], _Late(text, flags))
