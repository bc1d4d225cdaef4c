"""Which image of a medium a person means: by index, edition id, name, or in plain words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from provisioner.errors import MediaError
from provisioner.media.facts import Edition, MediaFacts
from provisioner.pattern import pattern

_FAMILY = pattern(
    r"^(Windows Server( \d{4}( R2)?)?|Windows (11|10|8\.1|8|7|Vista)|Hyper-V Server)\s+",
    re.IGNORECASE,
)
_SERVER_FAMILIES = {"standard", "datacenter", "essentials", "web", "enterprise"}
_NOISE = {"windows", "server", "evaluation", "eval", "edition", "r2", "with", "the"}


def short_name(edition: Edition) -> str:
    """`Pro` for `Windows 11 Pro`."""
    return _FAMILY.sub("", edition.display_name) or edition.display_name


def listed(editions: Iterable[Edition]) -> str:
    """`1 Home (Core) · 6 Pro (Professional)`."""
    return " · ".join(
        f"{edition.index} {short_name(edition)} ({edition.edition_id or 'no edition id'})"
        for edition in editions
    )


def resolve_edition(facts: MediaFacts, wanted: str | int | None) -> Edition:
    """The one image that `wanted` means; `MediaError` with the list in its hint otherwise.

    A number is an index. Text is compared without case with, in this order: edition id, NAME,
    display name, description, each without the product where that helps, edition id without `Eval`,
    then the words of a server edition (`standard core`, `datacenter desktop experience`), which do
    not depend on the language of the display names. The first that fits one image wins; so
    `ServerStandard`, the edition id of both kinds, means the NAME `... SERVERSTANDARD`: the one
    with a desktop. None is fine where there is only one image.
    """
    editions, name = facts.editions, facts.path.name
    if not editions:
        raise MediaError(
            f"{name} holds no Windows image", hint="give a Windows installation disc as install"
        )
    holds = f"this medium holds {listed(editions)}"
    if wanted is None:
        if len(editions) == 1:
            return editions[0]
        raise MediaError(
            f"{name} holds {len(editions)} editions, and none is chosen",
            hint=f"set `windows.edition`; {holds}",
        )
    text = str(wanted).strip()
    found = _matching(editions, text)
    if len(found) == 1:
        return found[0]
    if found:
        raise MediaError(
            f"edition {text!r} fits {len(found)} images of {name}: {listed(found)}",
            hint="give the index, or words such as 'standard core' or"
            f" 'standard desktop experience'; {holds}",
        )
    raise MediaError(f"edition {text!r} is not on {name}", hint=holds)


def _matching(editions: tuple[Edition, ...], text: str) -> list[Edition]:
    if text.isascii() and text.isdecimal():
        return [edition for edition in editions if str(edition.index) == text.lstrip("0")]
    wanted = text.casefold()
    ways: tuple[Callable[[Edition], str], ...] = (
        lambda edition: edition.edition_id,
        lambda edition: edition.name,
        lambda edition: edition.display_name,
        # A server's bare "Standard" is Microsoft's display name of the one without a desktop.
        lambda edition: "" if _is_server(edition) else short_name(edition),
        lambda edition: _FAMILY.sub("", edition.name),
        lambda edition: edition.description,
        lambda edition: edition.edition_id.removesuffix("Eval"),
    )
    several: list[Edition] = []
    for way in ways:
        found = [edition for edition in editions if wanted and way(edition).casefold() == wanted]
        if len(found) == 1:
            return found
        several = several or found
    return several or _by_words(editions, wanted)


def _by_words(editions: tuple[Edition, ...], wanted: str) -> list[Edition]:
    """`standard core`, `datacenter desktop experience`, `Windows Server 2025 Standard (GUI)`."""
    words = {w for w in re.split(r"[^a-z0-9]+", wanted) if w and not w.isdigit()} - _NOISE
    family = words & _SERVER_FAMILIES
    desktop = bool(words & {"desktop", "gui", "full"})
    if not family or words - family - {"core", "desktop", "experience", "gui", "full"}:
        return []
    found = [e for e in editions if _family(e) in family]
    if "core" in words or desktop:
        if "core" in words and desktop:
            return []
        kind = "Server" if desktop else "Server Core"
        found = [e for e in found if e.installation_type == kind]
    return found


def _is_server(edition: Edition) -> bool:
    return edition.installation_type.startswith("Server")


def _family(edition: Edition) -> str:
    """`standard` for ServerStandard, ServerStandardEval, and the old ServerStandardEvalCor."""
    return re.sub(r"^server|(eval)?(core?)?$", "", edition.edition_id.casefold())
