"""Small types that cannot hold a bad value: names, addresses, languages, zones, amounts.

All are built from the text a person wrote and raise BadValue, with a hint, for every other text.
"""

from __future__ import annotations

import re
from typing import ClassVar

from provisioner.profile.cldr import iana_of_windows, language_name, languages, windows_of_iana
from provisioner.profile.quantities import Duration, Size
from provisioner.profile.values import BadValue, TextValue, did_you_mean

__all__ = [
    "ComputerName",
    "Duration",
    "GroupName",
    "Keyboard",
    "LanguageTag",
    "Line",
    "MacAddress",
    "MachineName",
    "ProductKeyFormat",
    "Size",
    "TimeZone",
    "UserName",
]


class MachineName(TextValue):
    """Name of a libvirt domain and of files and folders: letters, digits, `.`, `_` and `-`."""

    __slots__ = ()
    # At most 48, so that paths of sockets made from it stay below the 107 bytes of a Unix socket.
    json_schema: ClassVar = {
        "pattern": "^(?![0-9]+$)[A-Za-z0-9]([A-Za-z0-9._-]{0,46}[A-Za-z0-9_-])?$",
        "examples": ["dev11"],
    }

    @classmethod
    def checked(cls, text: str) -> str:
        if len(text) > 48:
            message = f"'{text}' has {len(text)} characters; a machine's name has at most 48"
            raise BadValue(message, rule="profile.name")
        if text == "failures":  # the folder beside the machines' that keeps what failed ones said
            raise BadValue("'failures' is a name that provisioner needs", rule="profile.name")
        # virsh takes a bare number for the id of a running domain.
        if text.isascii() and text.isdigit():
            raise BadValue(
                f"'{text}' is only digits, which libvirt's tools take for a domain's id",
                rule="profile.name",
                hint=f"put a letter in it, like 'vm{text}'"[:80],
            )
        if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_-])?", text):
            suggestion = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")
            raise BadValue(
                f"'{text}' cannot be a machine's name",
                rule="profile.name",
                hint="use letters, digits, '-', '_' and '.', and begin with a letter or digit"
                + (f": '{suggestion}'" if suggestion and not suggestion.isdigit() else ""),
            )
        return text


class ComputerName(TextValue):
    """The name Windows gets in the network (NetBIOS and DNS).

    Source: Microsoft-Windows-Shell-Setup ComputerName, and Microsoft's naming conventions for
    DNS host names (letters, digits and hyphens; no hyphen at the ends).
    """

    __slots__ = ()
    json_schema: ClassVar = {
        "pattern": "^(?![0-9]+$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,13}[A-Za-z0-9_])?$",
        "examples": ["DEV11"],
    }

    @classmethod
    def checked(cls, text: str) -> str:
        if len(text) > 15:
            raise BadValue(
                f"computer name '{text}' is too long",
                rule="windows.computer-name",
                hint=f"it has {len(text)} characters, Windows allows 15: '{_shortened(text)}'",
            )
        if text.isascii() and text.isdigit():
            raise BadValue(
                f"computer name '{text}' is only digits",
                rule="windows.computer-name",
                hint=f"Windows wants at least one letter: 'PC{text}'"[:60],
            )
        if not re.fullmatch(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?", text):
            raise BadValue(
                f"'{text}' cannot be a computer name",
                rule="windows.computer-name",
                hint="use 1 to 15 letters, digits and hyphens, with no hyphen at the ends",
            )
        return text


def _shortened(name: str) -> str:
    return name[:15].rstrip("-")


class UserName(TextValue):
    """Logon name of a local account.

    Source: Microsoft-Windows-Shell-Setup LocalAccount Name; facts: windows-setup.md 5.2.
    """

    __slots__ = ()
    json_schema: ClassVar = {
        "pattern": r'^(?! )(?!.*[ .]$)[^/\\\[\]:|<>+=;,?*%@"\x00-\x1f\x7f]{1,20}$',
        "examples": ["dev"],
    }

    @classmethod
    def checked(cls, text: str) -> str:
        rule = "windows.user-name"
        if len(text) > 20:
            raise BadValue(
                f"user name '{text}' is too long",
                rule=rule,
                hint=f"it has {len(text)} characters, Windows allows 20",
            )
        bad = sorted(set(re.findall(r'[/\\\[\]:|<>+=;,?*%@"\x00-\x1f\x7f]', text)))
        if bad:
            shown = " ".join(character if character.isprintable() else "?" for character in bad)
            message = f"user name '{text}' holds characters that Windows refuses: {shown}"
            raise BadValue(message, rule=rule, hint="letters, digits, '.', '-' and '_' are safe")
        if not text or text != text.strip() or text.endswith("."):
            raise BadValue(
                f"'{text}' cannot be a user name",
                rule=rule,
                hint="it is empty, begins or ends with a space, or ends with a period",
            )
        if text.lower() in _RESERVED_ACCOUNTS:
            raise BadValue(f"'{text}' is a name Windows keeps for itself", rule=rule)
        return text


_RESERVED_ACCOUNTS = frozenset(
    (
        "none",
        "guest",
        "defaultaccount",
        "defaultuser0",
        "wdagutilityaccount",
        "system",
        "local service",
        "network service",
    )
)


class GroupName(TextValue):
    """Name of a local group."""

    __slots__ = ()
    json_schema: ClassVar = {
        "pattern": r'^[^/\\\[\]:|<>+=;,?*"\x00-\x1f\x7f]{1,256}$',
        "examples": ["Administrators", "Users", "Remote Desktop Users"],
    }

    @classmethod
    def checked(cls, text: str) -> str:
        if not re.fullmatch(r'[^/\\\[\]:|<>+=;,?*"\x00-\x1f\x7f]{1,256}', text) or text.isspace():
            raise BadValue(
                f"'{text}' cannot be a group",
                rule="windows.group-name",
                hint="write each group as its own list item: [Administrators, Users]",
            )
        return text


class Line(TextValue):
    """One line of text: no line breaks, no control characters."""

    __slots__ = ()
    json_schema: ClassVar = {"pattern": r"^[^\x00-\x1f\x7f]*$"}

    @classmethod
    def checked(cls, text: str) -> str:
        if re.search(r"[\x00-\x1f\x7f]", text):
            raise BadValue(
                "a line break or control character where one line is wanted",
                rule="profile.one-line",
            )
        return text


class MacAddress(TextValue):
    """Address of a network interface, lower case with colons; unicast."""

    __slots__ = ()
    json_schema: ClassVar = {
        "pattern": "^[0-9A-Fa-f][02468ACEace]([:-][0-9A-Fa-f]{2}){5}$",
        "examples": ["52:54:00:12:34:56"],
    }

    @classmethod
    def checked(cls, text: str) -> str:
        rule = "machine.mac"
        if not re.fullmatch(r"[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}", text):
            raise BadValue(
                f"'{text}' is not a MAC address",
                rule=rule,
                hint="write six pairs of hexadecimal digits, like '52:54:00:12:34:56'",
            )
        address = text.lower().replace("-", ":")
        if int(address[:2], 16) & 1:
            raise BadValue(
                f"'{text}' is a multicast address",
                rule=rule,
                hint=f"the first pair must be even: '52{address[2:]}'",
            )
        if address == "00:00:00:00:00:00":
            raise BadValue(f"'{text}' is no interface's address", rule=rule)
        return address


class ProductKeyFormat(TextValue):
    """A product key in its form, upper case. Says nothing about whether Windows accepts it.

    Never names the text: it may be a key somebody paid for.
    """

    __slots__ = ()
    json_schema: ClassVar = {"pattern": "^[A-Za-z0-9]{5}(-[A-Za-z0-9]{5}){4}$"}

    @classmethod
    def checked(cls, text: str) -> str:
        rule = "windows.product-key"
        key = text.strip().upper()
        if not re.fullmatch(r"[A-Z0-9]{5}(?:-[A-Z0-9]{5}){4}", key):
            raise BadValue(
                "this is not the form of a product key",
                rule=rule,
                hint="five groups of five letters and digits, with hyphens between them",
            )
        # Digits of base 24, and N since Windows 8.
        if strange := sorted(set(key) - set("BCDFGHJKMNPQRTVWXY2346789-")):
            raise BadValue(
                f"a product key never holds {', '.join(strange)}",
                rule=rule,
                hint="compare 0 with Q or D, 1 with J, 5 with S, and B with 8",
            )
        return key


class LanguageTag(TextValue):
    """A language with a territory as Windows spells it: `de-DE`, `zh-CN`, `sr-Latn-RS`."""

    __slots__ = ()
    json_schema: ClassVar = {
        "pattern": "^[A-Za-z]{2,3}(-[A-Za-z]{4})?-([A-Za-z]{2}|[0-9]{3})(-[A-Za-z]+)?$",
        "examples": ["en-US", "de-DE", "zh-CN"],
    }

    @classmethod
    def checked(cls, text: str) -> str:
        return _language(text, what="language", rule="windows.language")


class Keyboard(TextValue):
    """A keyboard layout: a language tag, whose usual layout is meant, or `language:layout` ids."""

    __slots__ = ()
    json_schema: ClassVar = {
        "pattern": LanguageTag.json_schema["pattern"]
        + r"|^[0-9A-Fa-f]{4}:([0-9A-Fa-f]{8}|(\{[0-9A-Fa-f-]{36}\}){2})$",
        "examples": ["de-DE", "0407:00000407"],
    }

    @classmethod
    def checked(cls, text: str) -> str:
        guid = r"\{[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}"
        if re.fullmatch(rf"[0-9A-Fa-f]{{4}}:(?:[0-9A-Fa-f]{{8}}|{guid}{guid})", text):
            return text
        if ":" in text:
            raise BadValue(
                f"'{text}' is not a keyboard id",
                rule="windows.keyboard",
                hint="write language and layout in 4 and 8 hexadecimal digits: '0407:00000407'",
            )
        return _language(text, what="keyboard", rule="windows.keyboard")


def _language(text: str, *, what: str, rule: str) -> str:
    by_lower = {tag.lower(): tag for tag in languages()}
    if tag := by_lower.get(text.lower()):
        return tag
    raise BadValue(f"unknown {what} '{text}'", rule=rule, hint=_language_hint(text, by_lower))


def _language_hint(text: str, by_lower: dict[str, str]) -> str:
    wanted = text.lower().replace("_", "-").split(".")[0]
    language = wanted.split("-")[0]
    same = [tag for tag in by_lower if tag.split("-")[0] == language]
    # `de`, `de_DE.UTF-8` and `de-GE` all most likely mean the language's own territory.
    for candidate in (wanted, f"{language}-{language}", f"{language}-us", *sorted(same)):
        if candidate in by_lower:
            name = language_name(language)
            return f"did you mean '{by_lower[candidate]}'" + (f" ({name})?" if name else "?")
    return (
        did_you_mean(text, by_lower.values())
        or "write language and territory as Windows does, like 'en-US' or 'de-DE'"
    )


class TimeZone(TextValue):
    """A Windows time-zone id or an IANA name, kept as written."""

    __slots__ = ()
    json_schema: ClassVar = {
        "examples": ["UTC", "Europe/Berlin", "W. Europe Standard Time", "America/New_York"],
    }

    @classmethod
    def checked(cls, text: str) -> str:
        # The default; asking the tables for it would load them for every profile.
        if text == "UTC" or text in iana_of_windows() or text in windows_of_iana():
            return text
        raise BadValue(
            f"unknown time zone '{text}'", rule="windows.timezone", hint=_zone_hint(text)
        )

    @property
    def windows_id(self) -> str:
        """The id the answer file gets."""
        if self == "UTC" or self in iana_of_windows():
            return str(self)
        return windows_of_iana()[self]

    @property
    def iana(self) -> str:
        """The name libvirt's clock and the C library understand."""
        if self == "UTC":
            return "Etc/UTC"
        return iana_of_windows().get(self, str(self))


def _zone_hint(text: str) -> str:
    cities = windows_of_iana()
    last = text.split("/")[-1].strip().replace(" ", "_").lower()
    for city in cities:
        if city.lower() == text.lower() or city.split("/")[-1].lower() == last:
            return f"did you mean '{city}'?"
    return (
        did_you_mean(text, [*iana_of_windows(), *cities])
        or "write an IANA name like 'Europe/Berlin' or a Windows id like 'W. Europe Standard Time'"
    )
