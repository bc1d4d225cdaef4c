"""Names of languages, formats and time zones, from Babel's and tzlocal's copies of the CLDR.

Windows spells a locale `de-DE` or `sr-Latn-RS`; the CLDR writes `de_DE` and `sr_Latn_RS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

# Windows' own spellings that have no CLDR locale of that form (Windows Language Code Identifier
# Reference, MS-LCID, section 2.2).
_ONLY_WINDOWS = frozenset(
    {
        "ar-PS",
        "chr-Cher-US",
        "en-029",
        "es-419",
        "ff-Latn-SN",
        "fr-029",
        "ha-Latn-NG",
        "iu-Cans-CA",
        "iu-Latn-CA",
        "ku-Arab-IQ",
        "ku-Arab-IR",
        "mn-Mong-CN",
        "mn-Mong-MN",
        "ms-BN",
        "nb-NO",
        "nn-NO",
        "pa-Arab-PK",
        "ps-AF",
        "quc-Latn-GT",
        "quz-BO",
        "quz-EC",
        "quz-PE",
        "sd-Arab-PK",
        "sd-Deva-IN",
        "ta-LK",
        "tg-Cyrl-TJ",
        "tn-BW",
        "tzm-Latn-DZ",
        "tzm-Tfng-MA",
        "zgh-Tfng-MA",
    }
)

# Ids that newer CLDR releases know and released versions of Windows do not: an unknown id makes
# the pass fail (facts: windows-setup.md Appendix B), so the zone they were split from is used.
_SPLIT_FROM = {
    "Alberta Standard Time": "Mountain Standard Time",
    "British Columbia Standard Time": "Pacific Standard Time",
    "Manitoba Standard Time": "Central Standard Time",
}


@cache
def languages() -> frozenset[str]:
    """Every language tag with a territory, as Windows spells it."""
    from babel.localedata import locale_identifiers

    scripts: dict[tuple[str, str], set[str]] = {}
    for identifier in locale_identifiers():
        language, *rest = identifier.split("_")
        script = next((part for part in rest if len(part) == 4 and part.istitle()), "")
        territory = next((part for part in rest if len(part) == 2 or part.isdigit()), "")
        if territory and territory not in ("001", "150"):
            scripts.setdefault((language, territory), set()).add(script)
    tags = set(_ONLY_WINDOWS) | {"ca-ES-valencia"}
    for (language, territory), found in scripts.items():
        # One script, or Chinese, whose territory says the script: Windows leaves it out.
        if len(found) == 1 or "" in found or language == "zh":
            tags.add(f"{language}-{territory}")
        if language != "zh":
            tags.update(f"{language}-{script}-{territory}" for script in found if script)
    return frozenset(tags)


def language_name(tag: str) -> str | None:
    """The English name of the tag's language: `German` for `de-DE`."""
    from babel.core import Locale, UnknownLocaleError

    try:
        return Locale.parse(tag.split("-")[0]).get_language_name("en")
    except (UnknownLocaleError, ValueError):
        return None


@cache
def iana_of_windows() -> Mapping[str, str]:
    """Windows time-zone id to the IANA name of its main city."""
    from tzlocal.windows_tz import win_tz

    return {zone: city for zone, city in win_tz.items() if zone not in _SPLIT_FROM}


@cache
def windows_of_iana() -> Mapping[str, str]:
    """IANA time-zone name to the Windows id with the same rules."""
    from tzlocal.windows_tz import tz_win

    # tzlocal maps the empty name too, which is nobody's time zone.
    return {city: _SPLIT_FROM.get(zone, zone) for city, zone in tz_win.items() if city}
