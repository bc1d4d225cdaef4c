"""The windowsPE pass: language, user data, commands and drivers (docs/facts/windows-setup.md §3).

Disks are `layout`'s, images `image`'s business.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tests.standin.setup.answers import AnswerFile
from tests.standin.setup.elements import Element
from tests.standin.setup.outcome import SetupStopped, page_shown

BYPASSES = ("BypassTPMCheck", "BypassSecureBootCheck", "BypassRAMCheck")
"""The only values of LabConfig that exist (facts §3.10)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command as written; `description` is empty if there is none."""

    order: int
    line: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UserData:
    """UserData; `key` is None without a Key element."""

    full_name: str
    organization: str
    key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """International-Core-WinPE; empty where not given."""

    ui_language: str
    input_locale: str
    system_locale: str
    user_locale: str


def read_language(answer: AnswerFile, media_languages: Sequence[str]) -> Language:
    """The language page is shown unless UILanguage is one of the media's (facts §3.1, 24H2)."""
    component = answer.component("windowsPE", "International-Core-WinPE")
    wanted = component.value("UILanguage") if component else None
    if component is None or not wanted:
        raise page_shown("language", "International-Core-WinPE/UILanguage is missing")
    setup_language = component.value("SetupUILanguage/UILanguage") or wanted
    available = {language.lower() for language in media_languages}
    for language in (setup_language, wanted):
        if language.lower() not in available:
            raise page_shown(
                "language",
                f"UILanguage {language} is not on the media ({', '.join(media_languages)})",
            )
    return Language(
        ui_language=wanted,
        input_locale=component.value("InputLocale") or "",
        system_locale=component.value("SystemLocale") or "",
        user_locale=component.value("UserLocale") or "",
    )


def read_user_data(setup: Element | None) -> UserData:
    """EULA and key; an empty Key is refused as 24H2 and Server do (facts §3.5)."""
    user_data = setup.find("UserData") if setup else None
    if user_data is None or not user_data.flag("AcceptEula"):
        raise page_shown("license terms", "UserData/AcceptEula is not true")
    key = user_data.value("ProductKey/Key")
    if key is not None and not key.strip():
        raise SetupStopped("Setup has failed to validate the product key: Key is empty")
    return UserData(
        full_name=user_data.value("FullName") or "",
        organization=user_data.value("Organization") or "",
        key=None if key is None else key.strip(),
    )


def read_metadata(setup: Element | None) -> tuple[tuple[str, str], ...]:
    """ImageInstall/OSImage/InstallFrom/MetaData as (Key, Value)."""
    source = setup.find("ImageInstall/OSImage/InstallFrom") if setup else None
    items = source.all("MetaData") if source else ()
    return tuple((item.value("Key") or "", item.value("Value") or "") for item in items)


def read_commands(parent: Element | None, path: str, *, text: str = "Path") -> tuple[Command, ...]:
    """The commands of a list such as RunSynchronous/RunSynchronousCommand, in their order."""
    list_name, item_name = path.split("/")
    holder = parent.find(list_name) if parent else None
    items = holder.all(item_name) if holder else ()
    commands = []
    for item in items:
        line = item.value(text)
        if line is None:
            raise SetupStopped(f"{path}, line {item.line}: {text} is missing")
        commands.append(
            Command(
                order=int(item.value("Order") or "0"),
                line=line,
                description=item.value("Description") or "",
            )
        )
    return tuple(sorted(commands, key=lambda command: command.order))


def read_driver_paths(component: Element | None) -> tuple[str, ...]:
    """PnpCustomizationsWinPE/DriverPaths as Windows paths."""
    holder = component.find("DriverPaths") if component else None
    items = holder.all("PathAndCredentials") if holder else ()
    return tuple(item.value("Path") or "" for item in items)


def bypasses(commands: Sequence[Command]) -> tuple[str, ...]:
    """The LabConfig checks that `reg add` commands switch off, by their registry names."""
    found = []
    for command in commands:
        if not re.search(r"\breg(\.exe)?\s+add\b.*\\LabConfig", command.line, re.IGNORECASE):
            continue
        name = re.search(r"/v\s+\"?(\w+)", command.line, re.IGNORECASE)
        if name and name[1].lower() in {bypass.lower() for bypass in BYPASSES}:
            found.append(next(b for b in BYPASSES if b.lower() == name[1].lower()))
    return tuple(found)


def mask_key(key: str | None) -> str | None:
    """A product key with only its last five characters left."""
    return None if key is None else f"XXXXX-XXXXX-XXXXX-XXXXX-{key[-5:]}"
