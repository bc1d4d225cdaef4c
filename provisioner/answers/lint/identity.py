"""Keys, names, zones, languages and the pages of OOBE (windows-setup.md §3.1, §3.5, §4.1, §5.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from provisioner.answers import zones
from provisioner.answers.lint.answerfile import AnswerFile
from provisioner.answers.lint.document import Element
from provisioner.answers.lint.findings import Finding, error, note, warning
from provisioner.answers.lint.targets import WINDOWS_10
from provisioner.answers.published_keys import published
from provisioner.pattern import pattern

_KEY = pattern(r"[A-Za-z0-9]{5}(?:-[A-Za-z0-9]{5}){4}")
_TAG = r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,4}(?:_[A-Za-z]{2,8})?"
_GUID = r"\{[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}"
_LOCALE = pattern(_TAG)
_INPUT = pattern(rf"{_TAG}|[0-9A-Fa-f]{{4}}:(?:[0-9A-Fa-f]{{8}}|{_GUID}{_GUID})|[0-9A-Fa-f]{{4}}")
_NO_COMPUTER = pattern(r"[\s{}|~\[\]\\^'\":;<>=?@!#$%`()+/.,*&]")
_LOCALES = ("SystemLocale", "UILanguage", "UILanguageFallback", "UserLocale")
_TESTING = ("SkipMachineOOBE", "SkipUserOOBE")
_LONGEST_COMPUTER = 15


def check(file: AnswerFile) -> Iterator[Finding]:
    """Every single value that Windows reads in its own way."""
    yield from _keys(file)
    yield from _computer_name(file)
    yield from _zone(file)
    yield from _languages(file)
    yield from _setup(file)
    yield from _oobe(file)
    yield from _interfaces(file)


def _keys(file: AnswerFile) -> Iterator[Finding]:
    for element in (
        *file.all("Setup", "UserData/ProductKey/Key", "windowsPE"),
        *file.all("Shell-Setup", "ProductKey"),
    ):
        if element.value and not _KEY.fullmatch(element.value):
            yield error(
                "lint.product-key",
                element,
                "this is not the form of a product key",
                "five groups of five letters and digits, with hyphens between them",
            )
            continue
        known, windows = published().get(element.value.upper()), file.purpose.windows
        if known is None or windows is None:
            continue
        if not known.fits_some_edition(build=windows.build, server=windows.server):
            yield error(
                "lint.product-key",
                element,
                f"this is the published key of {known.name}, and the file is for {windows.name}",
                "take the published key of that Windows, or leave it out",
            )


def _computer_name(file: AnswerFile) -> Iterator[Finding]:
    accounts = {
        item.get("Name").lower()
        for item in file.all("Shell-Setup", "UserAccounts/LocalAccounts/LocalAccount")
    }
    for element in file.all("Shell-Setup", "ComputerName"):
        name = element.value
        if name in ("", "*") or len(name) > _LONGEST_COMPUTER:
            continue  # random; or told as too long
        bad = sorted(set(_NO_COMPUTER.findall(name)))
        if bad:
            yield error(
                "lint.computer-name",
                element,
                f"{name!r} cannot be a computer name",
                f"without {' '.join(repr(character) for character in bad)}",
            )
        elif name.isdecimal():
            yield error(
                "lint.computer-name",
                element,
                f"the computer name {name} is only digits",
                "put a letter in it",
            )
        elif name.lower() in accounts or name.lower() == "administrator":
            yield error(
                "lint.computer-name",
                element,
                f"{name} is also the name of an account",
                "Windows wants two names",
            )


def _zone(file: AnswerFile) -> Iterator[Finding]:
    for element in file.all("Shell-Setup", "TimeZone"):
        zone = zones.base_id(element.value)
        if not zone:
            continue
        if zone != "UTC" and zone not in zones.zone_ids():  # whose tables take a while
            from difflib import get_close_matches

            by_lower = {known.lower(): known for known in zones.zone_ids()}
            close = get_close_matches(zone.lower()[:64], by_lower, n=1, cutoff=0.6)
            yield error(
                "lint.time-zone",
                element,
                f"Windows has no time zone {zone[:64]!r}, and the pass fails",
                f"did you mean {by_lower[close[0]]!r}?"
                if close
                else "an id such as 'W. Europe Standard Time'; `tzutil /l` lists them",
            )
            continue
        windows = file.purpose.windows
        since = zones.missing_before(zone, windows.build) if windows is not None else None
        if windows is not None and since is not None:
            yield warning(
                "lint.time-zone",
                element,
                f"media of {windows.name} are older than the time zone {zone!r}",
                f"it came before build {since}; take another zone of the same offset",
            )


def _languages(file: AnswerFile) -> Iterator[Finding]:
    for component in ("International-Core-WinPE", "International-Core"):
        for name in _LOCALES:
            for element in file.all(component, name):
                yield from _locale(element)
        for element in file.all(component, "SetupUILanguage/UILanguage"):
            yield from _locale(element)
        for element in file.all(component, "InputLocale"):
            wrong = [p for p in element.value.split(";") if p and not _INPUT.fullmatch(p.strip())]
            if wrong:
                yield error(
                    "lint.language",
                    element,
                    f"{wrong[0][:40]!r} is no keyboard",
                    "a language as de-DE, or ids as 0407:00000407, several with ; between them",
                )
    has_setup = any(True for _ in file.of("Setup", "windowsPE"))
    tags = [
        *file.all("International-Core-WinPE", "UILanguage", "windowsPE"),
        *file.all("International-Core-WinPE", "SetupUILanguage/UILanguage", "windowsPE"),
    ]
    if has_setup and not any(tag.value for tag in tags):
        block = next(file.of("Setup", "windowsPE"))
        yield warning(
            "lint.setup-language",
            block.element,
            "windowsPE does not say which language Setup speaks, so it asks",
            "add Microsoft-Windows-International-Core-WinPE with SetupUILanguage/UILanguage "
            "and UILanguage",
        )


def _locale(element: Element) -> Iterator[Finding]:
    value = element.value
    if value and not _LOCALE.fullmatch(value) and not re.fullmatch(r"[0-9A-Fa-f]{4}", value):
        yield error(
            "lint.language",
            element,
            f"{value[:40]!r} is no language",
            "language and territory, as en-US",
        )


def _setup(file: AnswerFile) -> Iterator[Finding]:
    for data in file.all("Setup", "UserData", "windowsPE"):
        eula = data.find("AcceptEula")
        if eula is None or eula.value == "false":
            yield warning(
                "lint.eula",
                data if eula is None else eula,
                "Setup shows the licence terms and waits",
                "write <AcceptEula>true</AcceptEula>",
            )
    for element in file.all("Setup", "UseConfigurationSet", "windowsPE"):
        if element.value == "true":
            yield note(
                "lint.configuration-set",
                element,
                "Setup copies the whole medium that holds this file to the disk",
                "expected? Then the medium should hold little else",
            )


def _oobe(file: AnswerFile) -> Iterator[Finding]:
    windows = file.purpose.windows
    for page in file.all("Shell-Setup", "OOBE", "oobeSystem"):
        skips = [element for name in _TESTING for element in page.all(name)]
        if skips and any(element.value == "true" for element in skips):
            yield note(
                "lint.deprecated",
                skips[0],
                f"{' and '.join(element.name for element in skips)}: deprecated, and documented "
                "for testing only",
                "a complete answer file needs neither",
            )
        elif page.find("ProtectYourPC") is None:
            yield note(
                "lint.protect-your-pc",
                page,
                "without ProtectYourPC some Windows ask for the privacy settings",
                "add <ProtectYourPC>3</ProtectYourPC>",
            )
        local = page.find("HideLocalAccountScreen")
        client = windows is not None and not windows.server and windows.build >= WINDOWS_10
        if local is not None and client:
            yield note(
                "lint.version",
                local,
                "HideLocalAccountScreen only has an effect on servers",
                "remove it",
            )


def _interfaces(file: AnswerFile) -> Iterator[Finding]:
    """The only component whose order of elements is documented (§4.4)."""
    orders = {
        "Interfaces/Interface": (
            "ipv4settings",
            "ipv6settings",
            "identifier",
            "unicastipaddresses",
            "routes",
        ),
        "Interfaces/Interface/Routes/Route": ("identifier", "metric", "nexthopaddress", "prefix"),
    }
    for path, order in orders.items():
        for element in file.all("TCPIP", path):
            there = [c.name.lower() for c in element.children if c.name.lower() in order]
            if there != sorted(there, key=order.index):
                yield warning(
                    "lint.order",
                    element,
                    f"the elements of {element.name} are documented in another order",
                    "write them as "
                    + ", ".join(
                        child.name
                        for child in sorted(
                            (c for c in element.children if c.name.lower() in order),
                            key=lambda child: order.index(child.name.lower()),
                        )
                    ),
                )
