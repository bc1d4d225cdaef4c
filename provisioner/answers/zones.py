"""The time-zone ids of Windows. An id that a Windows does not know makes the pass fail.

Ids: facts windows-setup.md Appendix B (unattend-generator `resource/TimeOffset.json`, 139).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

DST_OFF = "_dstoff"
"""Behind an id: without daylight saving time (Microsoft, "Default time zones"; §4.1)."""

_IDS = """
AUS Central Standard Time; AUS Eastern Standard Time; Afghanistan Standard Time; Alaskan
Standard Time; Aleutian Standard Time; Altai Standard Time; Arab Standard Time; Arabian
Standard Time; Arabic Standard Time; Argentina Standard Time; Astrakhan Standard Time;
Atlantic Standard Time; Aus Central W. Standard Time; Azerbaijan Standard Time; Azores
Standard Time; Bahia Standard Time; Bangladesh Standard Time; Belarus Standard Time;
Bougainville Standard Time; Canada Central Standard Time; Cape Verde Standard Time; Caucasus
Standard Time; Cen. Australia Standard Time; Central America Standard Time; Central Asia
Standard Time; Central Brazilian Standard Time; Central Europe Standard Time; Central
European Standard Time; Central Pacific Standard Time; Central Standard Time; Central
Standard Time (Mexico); Chatham Islands Standard Time; China Standard Time; Cuba Standard
Time; Dateline Standard Time; E. Africa Standard Time; E. Australia Standard Time; E. Europe
Standard Time; E. South America Standard Time; Easter Island Standard Time; Eastern Standard
Time; Eastern Standard Time (Mexico); Egypt Standard Time; Ekaterinburg Standard Time; FLE
Standard Time; Fiji Standard Time; GMT Standard Time; GTB Standard Time; Georgian Standard
Time; Greenland Standard Time; Greenwich Standard Time; Haiti Standard Time; Hawaiian
Standard Time; India Standard Time; Iran Standard Time; Israel Standard Time; Jordan
Standard Time; Kaliningrad Standard Time; Korea Standard Time; Libya Standard Time; Line
Islands Standard Time; Lord Howe Standard Time; Magadan Standard Time; Magallanes Standard
Time; Marquesas Standard Time; Mauritius Standard Time; Middle East Standard Time;
Montevideo Standard Time; Morocco Standard Time; Mountain Standard Time; Mountain Standard
Time (Mexico); Myanmar Standard Time; N. Central Asia Standard Time; Namibia Standard Time;
Nepal Standard Time; New Zealand Standard Time; Newfoundland Standard Time; Norfolk Standard
Time; North Asia East Standard Time; North Asia Standard Time; North Korea Standard Time;
Omsk Standard Time; Pacific SA Standard Time; Pacific Standard Time; Pacific Standard Time
(Mexico); Pakistan Standard Time; Paraguay Standard Time; Qyzylorda Standard Time; Romance
Standard Time; Russia Time Zone 10; Russia Time Zone 11; Russia Time Zone 3; Russian
Standard Time; SA Eastern Standard Time; SA Pacific Standard Time; SA Western Standard Time;
SE Asia Standard Time; Saint Pierre Standard Time; Sakhalin Standard Time; Samoa Standard
Time; Sao Tome Standard Time; Saratov Standard Time; Singapore Standard Time; South Africa
Standard Time; South Sudan Standard Time; Sri Lanka Standard Time; Sudan Standard Time;
Syria Standard Time; Taipei Standard Time; Tasmania Standard Time; Tocantins Standard Time;
Tokyo Standard Time; Tomsk Standard Time; Tonga Standard Time; Transbaikal Standard Time;
Turkey Standard Time; Turks And Caicos Standard Time; US Eastern Standard Time; US Mountain
Standard Time; UTC; UTC+12; UTC+13; UTC-02; UTC-08; UTC-09; UTC-11; Ulaanbaatar Standard
Time; Venezuela Standard Time; Vladivostok Standard Time; Volgograd Standard Time; W.
Australia Standard Time; W. Central Africa Standard Time; W. Europe Standard Time; W.
Mongolia Standard Time; West Asia Standard Time; West Bank Standard Time; West Pacific
Standard Time; Yakutsk Standard Time; Yukon Standard Time
"""

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
    return frozenset(" ".join(_IDS.split()).split("; "))


def base_id(zone: str) -> str:
    """The id without the suffix that turns daylight saving time off."""
    return zone.removesuffix(DST_OFF)


def missing_before(zone: str, build: int) -> int | None:
    """The first build that has this id, where that is newer than `build`."""
    since = SINCE.get(base_id(zone))
    return since if since is not None and build < since else None
