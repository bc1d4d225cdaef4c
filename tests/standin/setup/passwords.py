"""Decodes hidden passwords: base64 of UTF-16LE of the password and the element's own name.

Source: facts/windows-setup.md §5.2.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from tests.standin.setup.elements import Element
from tests.standin.setup.outcome import SetupStopped

REDACTED = "*SENSITIVE*DATA*DELETED*"


def read_password(element: Element | None, suffix: str) -> str:
    """The plain password of an element with Value and PlainText; empty without an element.

    `suffix` is the element's name: Password or AdministratorPassword.
    """
    if element is None:
        return ""
    value = element.value("Value") or ""
    if element.flag("PlainText", default=True):
        return value
    failure = SetupStopped(
        f"could not complete the installation: failed to decode password (0x8007000d) of "
        f"{element.name}, line {element.line}"
    )
    try:
        text = base64.b64decode(value.strip(), validate=True).decode("utf-16-le")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise failure from error
    if not text.endswith(suffix):
        raise failure
    return text.removesuffix(suffix)


def fingerprint(password: str) -> str:
    """SHA-256 of the password's UTF-8, for the report: it never holds the password itself."""
    return hashlib.sha256(password.encode("utf-8", "surrogatepass")).hexdigest()
