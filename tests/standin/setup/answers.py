"""Reads an answer file: is it usable at all, and which components does it hold for which pass?

What is inside the components is `settings_check`'s business.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from xml.parsers.expat import ExpatError

from tests.standin.setup.elements import Element, parse
from tests.standin.setup.outcome import AnswerFileIgnored

UNATTEND = "urn:schemas-microsoft-com:unattend"
WCM = "http://schemas.microsoft.com/WMIConfig/2002/State"
PUBLIC_KEY_TOKEN = "31bf3856ad364e35"
ARCHITECTURE = "amd64"

PASSES = (
    *("offlineServicing", "windowsPE", "generalize", "specialize", "auditSystem", "auditUser"),
    *("oobeSystem", "oobeUser"),
)
"""Allowed values of settings@pass (docs/facts/windows-setup.md §1.2)."""

REQUIRED_ATTRIBUTES = ("name", "processorArchitecture", "publicKeyToken", "language")


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One component of one pass."""

    pass_name: str
    name: str
    element: Element


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFile:
    """A usable answer file; `path` is how Windows would name it, e.g. `E:\\Autounattend.xml`."""

    path: str
    sha256: str
    components: tuple[Component, ...]
    notes: tuple[str, ...]

    def has_pass(self, name: str) -> bool:
        """Whether there is anything for that pass; Setup skips the file for it otherwise."""
        return any(component.pass_name == name for component in self.components)

    def component(self, pass_name: str, name: str) -> Element | None:
        """The component's element; `name` without the leading `Microsoft-Windows-` as in facts
        §1.4, or whole."""
        wanted = {name.lower(), f"microsoft-windows-{name}".lower()}
        for component in self.components:
            if component.pass_name == pass_name and component.name.lower() in wanted:
                return component.element
        return None


def read_answer_file(data: bytes, path: str) -> AnswerFile:
    """Parse a candidate.

    Raises `AnswerFileIgnored` for what makes Setup behave as if there were no answer file: not
    well-formed, a byte order mark, UTF-16, raw non-ASCII bytes, a wrong skeleton
    (docs/facts/windows-setup.md §6.1, §6.7).
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise AnswerFileIgnored("it is UTF-16")
    if data.startswith(b"\xef\xbb\xbf"):
        raise AnswerFileIgnored("it starts with a byte order mark")
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.isascii():
            raise AnswerFileIgnored(f"line {number} has bytes beyond ASCII")
    try:
        root = parse(data)
    except ExpatError as error:
        raise AnswerFileIgnored(f"it is not well-formed: {error}") from error
    if (root.namespace, root.name) != (UNATTEND, "unattend"):
        raise AnswerFileIgnored(f"its root is {{{root.namespace}}}{root.name}")
    notes: list[str] = []
    components: list[Component] = []
    settings_seen = False
    foreign_seen = False
    for child in root.children:
        if child.namespace != UNATTEND:
            foreign_seen = True
            continue
        if foreign_seen:
            raise AnswerFileIgnored(f"line {child.line}: {child.name} after a foreign element")
        match child.name:
            case "servicing":
                if settings_seen:
                    raise AnswerFileIgnored(f"line {child.line}: servicing must come first")
            case "settings":
                settings_seen = True
                components += _components(child, notes)
            case _:
                raise AnswerFileIgnored(
                    f"line {child.line}: {child.name} is no element of the answer file schema"
                )
    return AnswerFile(
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        components=tuple(components),
        notes=tuple(notes),
    )


def _components(settings: Element, notes: list[str]) -> list[Component]:
    pass_name = settings.attributes.get("pass", "")
    if pass_name not in PASSES:
        raise AnswerFileIgnored(f"line {settings.line}: there is no pass {pass_name!r}")
    components: list[Component] = []
    for element in settings.children:
        if (element.namespace, element.name) != (UNATTEND, "component"):
            raise AnswerFileIgnored(f"line {element.line}: settings may hold only component")
        missing = [name for name in REQUIRED_ATTRIBUTES if not element.attributes.get(name)]
        if missing:
            raise AnswerFileIgnored(f"line {element.line}: component without {', '.join(missing)}")
        name = element.attributes["name"]
        where = f"{pass_name}/{name}"
        if element.attributes["processorArchitecture"] != ARCHITECTURE:
            notes.append(f"{where}: ignored, it is for another architecture")
        elif element.attributes["publicKeyToken"].lower() != PUBLIC_KEY_TOKEN:
            notes.append(f"{where}: ignored, no component has that publicKeyToken")
        elif element.attributes["language"].lower() != "neutral":
            notes.append(f"{where}: ignored, no component has that language")
        elif element.attributes.get("versionScope", "nonSxS").lower() not in {"nonsxs", "neutral"}:
            raise AnswerFileIgnored(f"line {element.line}: versionScope is not in the schema")
        else:
            components.append(Component(pass_name=pass_name, name=name, element=element))
    return components
