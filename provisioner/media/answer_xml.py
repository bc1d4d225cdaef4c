"""What Setup would make of an answer file: well-formed or not, and for which passes.

Only that: settings are checked by `answers.lint`. No entity is ever expanded, and nothing is
recursive (facts windows-setup §1.2, §2.2, §6.7).
"""

from __future__ import annotations

from xml.parsers import expat

from provisioner.frozen import frozen

NAMESPACE = "urn:schemas-microsoft-com:unattend"
"""Of the root of every answer file (§1.2)."""
PASSES = (
    "windowsPE",
    "offlineServicing",
    "generalize",
    "specialize",
    "auditSystem",
    "auditUser",
    "oobeSystem",
)
_MAX_DEPTH = 256


@frozen
class Outline:
    """Passes with at least one component, in Setup's order; or why Setup ignores the file."""

    passes: tuple[str, ...] = ()
    problem: str = ""


class _Refused(Exception):
    """Ends the parse; its text is the problem."""


class _Reader:
    def __init__(self) -> None:
        self.depth = 0
        self.current = ""
        self.found: set[str] = set()

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise _Refused("its elements are nested deeper than in any answer file")
        space, _, local = name.rpartition(" ")
        if self.depth == 1 and local != "unattend":
            raise _Refused(f"its root is <{local[:40]}>, not <unattend>")
        if self.depth == 1 and space != NAMESPACE:
            raise _Refused(f"its root is not in the namespace {NAMESPACE}")
        if self.depth == 2:
            self.current = attributes.get("pass", "") if local == "settings" else ""
        if self.depth == 3 and local == "component" and self.current:
            self.found.add(self.current)

    def end(self, name: str) -> None:
        self.depth -= 1

    def doctype(self, *_: object) -> None:
        raise _Refused("it declares a document type, which no answer file does")


def outline(data: bytes) -> Outline:
    """Reads an answer file's outline; never raises for what the bytes are."""
    start = data.lstrip(b" \t\r\n")
    if start != data and start.startswith(b"<?xml"):
        return Outline(problem="it begins with blanks before its XML declaration")
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.StartDoctypeDeclHandler = reader.doctype
    try:
        parser.Parse(data, True)
    except _Refused as err:
        return Outline(problem=str(err))
    except expat.ExpatError as err:
        return Outline(
            problem=f"it is not well-formed: {expat.ErrorString(err.code)}, line {err.lineno}"
        )
    except (ValueError, LookupError, UnicodeError) as err:  # an encoding Python does not know
        return Outline(problem=f"its encoding cannot be read: {str(err)[:80]}")
    passes = tuple(name for name in PASSES if name in reader.found)
    return Outline(passes=passes, problem="" if passes else "it has no settings for any pass")
