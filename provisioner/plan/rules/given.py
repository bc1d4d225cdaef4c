"""What the rules are given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from provisioner.answers.disc import NOTHING
from provisioner.answers.supplied import Supplied
from provisioner.errors import Place
from provisioner.media.facts import MediaFacts

GIB = 2**30

KEY_PAGE_BUILD = 26100
"""From this build Setup shows its language page when UILanguage is not the media's language
(docs/facts/windows-setup.md §3.1; unattend-generator #64, #170, #326)."""

Places = Callable[[str], Place | None]
"""Where a dotted key of the profile was written, or None where it was not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """The discs of a profile, looked at."""

    install: MediaFacts
    drivers: MediaFacts | None
    supplied: Supplied = NOTHING
    """The files of the user's own that the profile names."""
