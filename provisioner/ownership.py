"""Our `<metadata>` element in a domain: `plan` writes it, `host` touches nothing without it.

Pure text in, text out. libvirt keeps one element per namespace under `<metadata>` and stores it
verbatim ("Custom metadata", https://libvirt.org/formatdomain.html#general-metadata).
"""

from __future__ import annotations

from xml.etree import ElementTree

from provisioner.ports import Ownership

NAMESPACE = "urn:provisioner:domain:1"
"""A URN, because a URL would name somebody's host. The number rises when old readers would err."""

ELEMENT = f"{{{NAMESPACE}}}machine"


def format_ownership(ownership: Ownership) -> str:
    """The element that goes into `<metadata>`, one line, escaped."""
    attributes = {
        "xmlns:provisioner": NAMESPACE,
        "profile": ownership.profile,
        "digest": ownership.digest,
        "version": ownership.version,
    }
    element = ElementTree.Element("provisioner:machine", attributes)
    return ElementTree.tostring(element, encoding="unicode")


def parse_ownership(domain_xml: str) -> Ownership | None:
    """Whose domain this is: ours when the element is there, otherwise None.

    Raises `ElementTree.ParseError` for text that is not XML: a domain's XML comes from libvirt or
    from our own template, so that is a bug of the caller.
    """
    element = ElementTree.fromstring(domain_xml).find(f"./metadata/{ELEMENT}")
    if element is None:
        return None
    return Ownership(
        profile=element.get("profile", ""),
        digest=element.get("digest", ""),
        version=element.get("version", ""),
    )
