"""Which disc of the library a profile means by what is on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from provisioner.errors import MediaError, Place, Problem, Severity
from provisioner.frozen import frozen
from provisioner.profile.media_query import MediaQuery
from provisioner.store.library import Entry, Library, Standing

_MOST_SHOWN = 5


@frozen
class Found:
    """A medium, the file it is in now, and what has happened to that file since it was added."""

    entry: Entry
    path: Path
    standing: Standing
    passed_over: tuple[str, ...] = ()
    """Newer ones that fit and cannot be used: `/iso/new.iso is missing`."""


def find(library: Library, query: MediaQuery) -> tuple[Entry, ...]:
    """Every medium that fits, the newest first. Whether the files are still there is not asked."""
    found = [entry for entry in library.entries() if not any(_misfits(entry, query))]
    return tuple(sorted(found, key=lambda entry: entry.version, reverse=True))


def resolve(library: Library, query: MediaQuery) -> Found:
    """The newest medium that fits and is there, unchanged as far as a look tells.

    `MediaError` when none fits (with the nearest), when all that fit are gone or changed, and when
    two of the same build fit.
    """
    fitting = find(library, query)
    if not fitting:
        raise MediaError(
            f"the library has no medium that is {query}", hint=_nearest(library, query)
        )
    usable: list[Found] = []
    unusable: list[str] = []
    for entry in fitting:
        if usable and entry.version != usable[0].entry.version:
            break
        standing, path = library.standing(entry)
        if path is not None and standing in {Standing.OK, Standing.TOUCHED, Standing.MOVED}:
            usable.append(Found(entry=entry, path=path, standing=standing))
        else:
            unusable.append(f"{entry.path} is {standing.value}")
    if not usable:
        raise MediaError(
            f"the library knows {query}, but not where it is now: {'; '.join(unusable)}",
            hint="add the file again: provisioner library add FILE",
        )
    if len(usable) > 1:
        raise MediaError(
            f"{len(usable)} media of the library are {query}, of the same build",
            hint="say more, as edition or language, or name the file:\n"
            + "\n".join(f"{found.path}  ({found.entry.what})" for found in usable[:_MOST_SHOWN]),
        )
    return replace(usable[0], passed_over=tuple(unusable))


def remark(found: Found, place: Place | None) -> Iterator[Problem]:
    """What a person should know of the file before it is used."""
    entry = found.entry
    if found.passed_over:
        yield Problem(
            rule="media.passed-over",
            severity=Severity.WARNING,
            message=f"{'; '.join(found.passed_over)}; {found.path} is taken instead",
            place=place,
            hint="add the file again: provisioner library add FILE; or forget it: provisioner "
            "library remove ID",
        )
    match found.standing:
        case Standing.MOVED:
            yield Problem(
                rule="media.moved",
                severity=Severity.NOTE,
                message=f"{Path(entry.path).name} has moved: it is {found.path} now",
                place=place,
                hint=f"`provisioner library verify {entry.id}` remembers the new place",
            )
        case Standing.TOUCHED:
            yield Problem(
                rule="media.touched",
                severity=Severity.WARNING,
                message=f"{found.path} has been written to since it was added to the library; its "
                "headers are the same",
                place=place,
                hint=f"`provisioner library verify {entry.id}` reads it and tells whether its "
                "bytes are",
            )
        case _:
            return


def _misfits(entry: Entry, query: MediaQuery) -> Iterator[str]:
    """Why a medium does not fit, in words; nothing when it does."""
    if entry.product != query.product:
        yield f"is {entry.product or 'no Windows installation disc'}"
        return
    if query.build is not None:
        version = (*entry.version, 0, 0)[:2]
        if not query.build.contains(version[0], version[1]):
            yield f"build {'.'.join(map(str, entry.version))} is not {query.build}"
    if query.language is not None:
        languages = {tag.casefold() for tag in entry.languages}
        if query.language.casefold() not in languages:
            yield f"it is in {', '.join(entry.languages) or 'no known language'}"
    if query.architecture not in {None, entry.facts.get("architecture")}:
        yield f"it is for {entry.facts.get('architecture') or 'an unknown architecture'}"
    if query.edition is not None and not _has_edition(entry, query.edition):
        yield f"it has no edition {query.edition}"
    if query.evaluation is not None and bool(entry.facts.get("evaluation")) != query.evaluation:
        yield "it is an evaluation" if not query.evaluation else "it is no evaluation"


def _has_edition(entry: Entry, wanted: str) -> bool:
    names = (
        str(edition.get(key, "")).casefold()
        for edition in entry.facts.get("editions", ())
        for key in ("edition_id", "name", "display_name")
    )
    return wanted.casefold() in names


def _nearest(library: Library, query: MediaQuery) -> str:
    """The media that miss least, with what they miss."""
    missed = [(tuple(_misfits(entry, query)), entry) for entry in library.entries()]
    if not missed:
        return "the library is empty; add your discs: provisioner library add FILE..."
    missed.sort(key=lambda item: (item[1].product != query.product, len(item[0])))
    return "\n".join(_lines(missed[:_MOST_SHOWN]))


def _lines(missed: Iterable[tuple[tuple[str, ...], Entry]]) -> Iterator[str]:
    yield "nearest in the library:"
    for reasons, entry in missed:
        yield f"{Path(entry.path).name}: {'; '.join(reasons)}"
