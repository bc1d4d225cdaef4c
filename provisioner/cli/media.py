"""Looks at the discs of a profile: those it names, and those it leaves to the library."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.errors import MediaError, Problem, UsageError
from provisioner.media.facts import MediaFacts
from provisioner.plan.rules.given import Media

if TYPE_CHECKING:
    from provisioner.profile.load import LoadedProfile
    from provisioner.profile.media_query import MediaQuery


def look(
    loaded: LoadedProfile,
    inspect: Callable[[Path], MediaFacts],
    *,
    library: Path,
) -> Media:
    """What is on the discs. `library` is the folder of everything that is remembered.

    UsageError without an install disc; MediaError, with the place in the profile, where the
    library has none that fits, and where a file is not what it should be.
    """
    from provisioner.cli.session import places as places_of
    from provisioner.cli.supplied import supplied

    wanted, places = loaded.profile.media, places_of(loaded)
    if wanted.install is None:
        raise UsageError(
            "no install disc is given",
            hint="set media.install in the profile, or use --media install=Win11.iso",
        )
    remarks: list[Problem] = []

    def disc(asked: str | MediaQuery, key: str) -> MediaFacts:
        if isinstance(asked, str):
            return inspect(Path(asked))
        from provisioner.store.find_media import remark, resolve
        from provisioner.store.library import Library, folder_of

        try:
            found = resolve(Library(folder_of(library)), asked)
        except MediaError as err:
            raise MediaError(err.message, hint=err.hint, place=places(key)) from err
        remarks.extend(remark(found, places(key)))
        return inspect(found.path)

    drivers = disc(wanted.drivers, "media.drivers") if wanted.drivers is not None else None
    install = disc(wanted.install, "media.install")
    return Media(
        install=install, drivers=drivers, remarks=tuple(remarks), supplied=supplied(loaded)
    )
