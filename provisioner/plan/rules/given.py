"""What the rules are given."""

from __future__ import annotations

from collections.abc import Callable

from provisioner.answers.disc import NOTHING
from provisioner.answers.supplied import Supplied
from provisioner.errors import Place, Problem
from provisioner.frozen import frozen
from provisioner.media.facts import MediaFacts

GIB = 2**30

KEY_PAGE_BUILD = 26100
"""From this build Setup shows its language page when UILanguage is not the media's language
(docs/facts/windows-setup.md §3.1; unattend-generator #64, #170, #326)."""

NEEDS_SSE42 = 26100
"""From this build Windows does not start without these two (windows-setup.md §3.10, §13)."""
SSE42 = frozenset({"sse4.2", "popcnt"})

Places = Callable[[str], Place | None]
"""Where a dotted key of the profile was written, or None where it was not."""


@frozen
class Media:
    """The discs of a profile, looked at."""

    install: MediaFacts
    drivers: MediaFacts | None
    remarks: tuple[Problem, ...] = ()
    """What was noticed when the library looked for them: a file that moved, or was touched."""
    supplied: Supplied = NOTHING
    """The files of the user's own that the profile names."""
