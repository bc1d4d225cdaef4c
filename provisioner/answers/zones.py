"""The time-zone ids of Windows. An id that a Windows does not know makes the pass fail.

The ids are the CLDR's, which are those of windows-setup.md Appendix B (a test compares them).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from provisioner.profile.cldr import iana_of_windows

DST_OFF = "_dstoff"
"""Behind an id: without daylight saving time (Microsoft, "Default time zones"; §4.1)."""

SINCE: Mapping[str, int] = MappingProxyType(
    {
        "Aleutian Standard Time": 14393,
        "Marquesas Standard Time": 14393,
        "UTC-08": 14393,
        "UTC-09": 14393,
        "Qyzylorda Standard Time": 18362,
        "Volgograd Standard Time": 20348,
        "South Sudan Standard Time": 20348,
        "Yukon Standard Time": 20348,
    }
)
"""First build whose media have a newer id. The first four: Microsoft, "Introducing New Windows Time
Zones", June 2016; the others are named in Appendix B, their builds follow from the year they came
(general knowledge). Updates bring ids to older Windows, so this is a warning, never more."""


@cache
def zone_ids() -> frozenset[str]:
    """Every id, in its exact spelling."""
    return frozenset(iana_of_windows())


def base_id(zone: str) -> str:
    """The id without the suffix that turns daylight saving time off."""
    return zone.removesuffix(DST_OFF)


def missing_before(zone: str, build: int) -> int | None:
    """The first build that has this id, where that is newer than `build`."""
    since = SINCE.get(base_id(zone))
    return since if since is not None and build < since else None
