"""The rendered answer file as Setup wants to read it, checked by parsing it again.

ASCII with character references, CRLF, utf-8 declared, no byte-order mark (windows-setup.md §6.7).
Leaf text is not touched: reflowing it breaks commands (§3.8).
"""

from __future__ import annotations

from xml.etree import ElementTree

from provisioner.answers.settings import may_be_empty
from provisioner.media.answer_xml import NAMESPACE, PASSES
from provisioner.templating import Rendered, TemplateError
from provisioner.tree import Text

DECLARATION = '<?xml version="1.0" encoding="utf-8"?>\n'


def serialise(rendered: Rendered, *, template: str, windows_pe: bool = True) -> Text:
    """The answer file. Raises TemplateError where Setup would stop at it or ignore it.

    Without `windows_pe` it is one for a place that the installed Windows reads, not Setup.
    """
    text = rendered.text
    if not text.startswith(DECLARATION):
        # Bytes before the declaration make Setup ignore the whole file (§2.2).
        raise TemplateError(f"template {template}: does not begin with {DECLARATION.strip()}")
    try:
        # A str that declares utf-8 cannot be given to the parser; the bytes can.
        root = ElementTree.fromstring(text.encode("utf-8"))
    except (ElementTree.ParseError, UnicodeEncodeError) as error:
        raise TemplateError(f"template {template}: not well-formed XML: {error}") from error
    for complaint in _complaints(root, windows_pe=windows_pe):
        raise TemplateError(f"template {template}: {complaint}")
    parts = tuple(
        part.encode("ascii", "xmlcharrefreplace").decode("ascii") if isinstance(part, str) else part
        for part in rendered.parts
    )
    return Text(parts=parts, encoding="ascii", newline="\r\n")


def _complaints(root: ElementTree.Element, *, windows_pe: bool) -> list[str]:
    """What Setup would not forgive: wrong skeleton, a component twice, an empty element."""
    found: list[str] = []
    if root.tag != f"{{{NAMESPACE}}}unattend":
        return [f"the root is {root.tag}, not unattend in {NAMESPACE}"]
    seen: set[str] = set()
    for settings in root:
        configuration_pass = settings.get("pass", "")
        if configuration_pass not in PASSES:
            found.append(f"there is no configuration pass {configuration_pass!r}")
        if configuration_pass in seen:
            found.append(f"configuration pass {configuration_pass} is there twice")
        seen.add(configuration_pass)
        names: set[tuple[str | None, str | None]] = set()
        for component in settings:
            key = component.get("name"), component.get("processorArchitecture")
            if key in names:
                found.append(f"component {key[0]} is twice in {configuration_pass}")
            names.add(key)
            if any(not element.text and not len(element) for element in component.iter()):
                found.extend(line for child in component for line in _empty(child, str(key[0]), ""))
    if windows_pe and "windowsPE" not in seen:
        # Without one, later passes are lost (§2.2, pbatard/rufus #1981).
        found.append("there is no windowsPE pass")
    return found


def _empty(element: ElementTree.Element, component: str, path: str) -> list[str]:
    """Empty elements that the reference does not allow to be empty, at any depth."""
    path = f"{path}/{element.tag.rpartition('}')[2]}" if path else element.tag.rpartition("}")[2]
    if len(element):
        return [line for child in element for line in _empty(child, component, path)]
    if element.text or may_be_empty(component, path):
        return []
    return [f"{component}/{path} is empty"]
