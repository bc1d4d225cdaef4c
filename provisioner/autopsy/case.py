"""What is known about one failed installation. Plain records, no effects."""

from __future__ import annotations

from enum import StrEnum

from provisioner.frozen import frozen
from provisioner.store.timeline import Moment


class Kind(StrEnum):
    """What a text is; signatures say in which kinds they look."""

    SETUP = "setup"
    """setupact.log and setuperr.log of Windows Setup, wherever it wrote them."""
    SYSPREP = "sysprep"
    DRIVERS = "drivers"
    """setupapi.*.log: device installation."""
    JOIN = "join"
    """NetSetup.log: joining a domain."""
    STEPS = "steps"
    """What our first-logon script and the profile's steps wrote."""
    STATE = "state"
    """State.ini: the image state that Windows itself records."""
    SERIAL = "serial"
    SCREEN = "screen"
    """Words recognised in the last picture of the display."""
    EVENT = "event"
    """What we and the guest reported, one line each."""
    ANSWERS = "answers"
    DOMAIN = "domain"
    """The domain's XML."""
    PLAN = "plan"
    """What was wanted of the machine, without secrets."""


@frozen
class Document:
    """One text. `name` is its file in the bundle, `origin` where it comes from, in words.

    `size` is the length of the original in bytes, 0 where there is none but this text; `cut` says
    that a part of it is missing.
    """

    kind: Kind
    name: str
    origin: str
    text: str
    size: int = 0
    cut: bool = False


@frozen
class Shot:
    """A picture of the display, as PNG. `at` in seconds since 1970, None where nobody knows."""

    name: str
    caption: str
    png: bytes
    at: float | None = None


@frozen
class Finding:
    """A signature, and the line that carries it. `number` counts lines from 1."""

    signature: str
    weight: int
    cause: str
    fix: str
    document: str
    number: int
    line: str


@frozen
class Case:
    """Everything gathered, secrets masked already.

    `subject` is the machine or the image; `reason` what happened, as `up` said it, or empty.
    `stage` is the last stage in words. `facts` are labelled values; `remarks` say what could not
    be had, and why.
    """

    subject: str
    at: float
    reason: str = ""
    stage: str = ""
    documents: tuple[Document, ...] = ()
    shots: tuple[Shot, ...] = ()
    moments: tuple[Moment, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    remarks: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    """What the signatures say, the verdict first; empty where nothing matched."""

    @property
    def verdict(self) -> Finding | None:
        """The best explanation."""
        return self.findings[0] if self.findings else None
