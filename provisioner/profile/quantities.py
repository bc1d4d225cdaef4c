"""Amounts with a unit: sizes and durations, kept as they were written."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import total_ordering
from typing import Any, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from provisioner.frozen import frozen
from provisioner.pattern import pattern
from provisioner.profile.values import BadValue, schema_for

_SIZES = {
    "TiB": 1024**4,
    "GiB": 1024**3,
    "MiB": 1024**2,
    "KiB": 1024,
    "TB": 1000**4,
    "GB": 1000**3,
    "MB": 1000**2,
    "kB": 1000,
    "B": 1,
}
_LARGEST = 2**63 - 1
_SIZE = pattern(r"([0-9]{1,19}(?:\.[0-9]{1,6})?) ?(TiB|GiB|MiB|KiB|TB|GB|MB|kB|B)")
_LOOKS_LIKE_SIZE = pattern(r"\s*([0-9]+(?:[.,][0-9]+)?)\s*([kmgt])?(i)?b?\s*", re.IGNORECASE)

_DURATIONS = {"h": 3600, "min": 60, "s": 1}
_DURATION = pattern(r"(?:([0-9]{1,9}) ?h)?(?: ?([0-9]{1,9}) ?min)?(?: ?([0-9]{1,9}) ?s)?")
_LOOKS_LIKE_DURATION = pattern(r"\s*([0-9]{1,9})\s*([a-z]*)\.?\s*", re.IGNORECASE)
_LONGEST = 30 * 24 * 3600


@total_ordering
@frozen
class Size:
    """A number of bytes: `Size("64 GiB")`. Equal when the bytes are; `str` is what was written."""

    text: str
    bytes: int

    def __init__(self, text: str) -> None:
        object.__setattr__(self, "text", text)
        object.__setattr__(self, "bytes", _bytes(text))

    @classmethod
    def of(cls, count: int) -> Self:
        """The shortest exact text for this many bytes."""
        exact = [f"{count // unit} {name}" for name, unit in _SIZES.items() if count % unit == 0]
        return cls(min(exact, key=len))

    def __str__(self) -> str:
        return self.text

    def __int__(self) -> int:
        return self.bytes

    def __eq__(self, other: object) -> bool:
        return self.bytes == other.bytes if isinstance(other, Size) else NotImplemented

    def __lt__(self, other: object) -> bool:
        return self.bytes < other.bytes if isinstance(other, Size) else NotImplemented

    def __hash__(self) -> int:
        return hash((Size, self.bytes))

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[Any], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return schema_for(cls)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{_SIZE.pattern}$", "examples": ["8 GiB", "80 GB"]}


@total_ordering
@frozen
class Duration:
    """A time span: `Duration("1 h 30 min")`. Equal when the seconds are."""

    text: str
    seconds: int

    def __init__(self, text: str) -> None:
        object.__setattr__(self, "text", text)
        object.__setattr__(self, "seconds", _seconds(text))

    @classmethod
    def of(cls, seconds: int) -> Self:
        """The text for this many seconds."""
        parts = []
        for name, unit in _DURATIONS.items():
            count, seconds = divmod(seconds, unit)
            if count:
                parts.append(f"{count} {name}")
        return cls(" ".join(parts))

    def __str__(self) -> str:
        return self.text

    def __eq__(self, other: object) -> bool:
        return self.seconds == other.seconds if isinstance(other, Duration) else NotImplemented

    def __lt__(self, other: object) -> bool:
        return self.seconds < other.seconds if isinstance(other, Duration) else NotImplemented

    def __hash__(self) -> int:
        return hash((Duration, self.seconds))

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[Any], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return schema_for(cls)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {
            "type": "string",
            "pattern": f"^(?=[0-9]){_DURATION.pattern}$",
            "examples": ["90 min", "1 h 30 min", "10 s"],
        }


def _bytes(text: str) -> int:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise BadValue(f"'{text}' is not a size", rule="profile.size", hint=size_hint(text))
    count = Decimal(match[1]) * _SIZES[match[2]]
    if count != count.to_integral_value():
        raise BadValue(f"'{text}' is not a whole number of bytes", rule="profile.size")
    if count <= 0:
        raise BadValue(f"'{text}': a size must be more than nothing", rule="profile.size")
    if count > _LARGEST:
        raise BadValue(f"'{text}' is larger than any disk image can be", rule="profile.size")
    return int(count)


def size_hint(text: str) -> str:
    """What somebody who wrote this for a size may have meant."""
    match = _LOOKS_LIKE_SIZE.fullmatch(text)
    if match is None:
        return "write a number and a unit, like '8 GiB' or '80 GB'"
    number = match[1].replace(",", ".")
    if match[2] is None:
        return f"a size needs a unit: '{number} GiB' or '{number} GB'?"
    letter = match[2].upper()
    binary = f"{number} {letter}iB"
    if match[3]:
        return f"did you mean '{binary}'?"
    decimal = f"{number} {'k' if letter == 'K' else letter}B"
    return f"did you mean '{binary}' (powers of 1024) or '{decimal}' (powers of 1000)?"


def _seconds(text: str) -> int:
    match = _DURATION.fullmatch(text)
    if match is None or not any(match.groups()) or text != text.strip():
        raise BadValue(
            f"'{text}' is not a duration", rule="profile.duration", hint=duration_hint(text)
        )
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    total = hours * 3600 + minutes * 60 + seconds
    if total <= 0:
        raise BadValue(f"'{text}': a time limit must be more than nothing", rule="profile.duration")
    if total > _LONGEST:
        raise BadValue(f"'{text}' is longer than 30 days", rule="profile.duration")
    return total


def duration_hint(text: str) -> str:
    """What somebody who wrote this for a duration may have meant."""
    match = _LOOKS_LIKE_DURATION.fullmatch(text)
    if match is None:
        return "write hours, minutes and seconds like '1 h 30 min' or '10 s'"
    unit = {"s": "s", "m": "min", "h": "h"}.get(match[2][:1].lower())
    if unit is None:
        return f"a duration needs a unit: '{match[1]} min' or '{match[1]} s'?"
    return f"did you mean '{match[1]} {unit}'?"
