"""`inspect --verify`: compares the bytes of a medium with the digests it carries itself.

WIM integrity tables, and the digests that loaders were signed with. Reads all of those files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from provisioner.frozen import frozen
from provisioner.media.facts import MediaFacts, MediaKind
from provisioner.media.loader import is_unchanged
from provisioner.media.show import plural
from provisioner.media.trust import Loader
from provisioner.media.wim import Readable, read_header
from provisioner.media.wim_integrity import check_integrity
from provisioner.media.window import Damaged, Extents, Window


@frozen
class Check:
    """One comparison. `sound` is None where there was nothing to compare with."""

    path: str
    sound: bool | None
    text: str


def verify(
    window: Window,
    facts: MediaFacts,
    progress: Callable[[str, int, int], None] | None = None,
) -> Iterator[Check]:
    """Every check of a medium, as each is done. `progress` gets a path, bytes done, and in all."""
    for wim in facts.wims:
        file: Readable = (
            window
            if facts.kind is MediaKind.WIM
            else Extents(window, facts.files.get(wim.path, ()))
        )

        def step(done: int, total: int, path: str = wim.path) -> None:
            if progress is not None:
                progress(path, done, total)

        yield _wim(file, wim.path, step)
    for loader in facts.loaders:
        extents = facts.files.get(loader.path)
        if extents is not None and loader.signers:
            yield _loader(Extents(window, extents), loader)


def _wim(file: Readable, path: str, step: Callable[[int, int], None]) -> Check:
    try:
        found = check_integrity(file, read_header(file), step)
    except Damaged as err:
        return Check(path=path, sound=False, text=err.message)
    if found is None:
        return Check(path=path, sound=None, text="it has no integrity table")
    if not found.damaged:
        return Check(
            path=path,
            sound=True,
            text=f"{plural(found.chunks, 'chunk')} checked against the table's SHA-1",
        )
    offset, length = found.damaged[0]
    return Check(
        path=path,
        sound=False,
        text=f"{len(found.damaged)} of {plural(found.chunks, 'chunk')} damaged, the first at byte"
        f" {offset:,} ({length:,} bytes)",
    )


def _loader(file: Readable, loader: Loader) -> Check:
    try:
        results = {is_unchanged(file, signer) for signer in loader.signers}
    except Damaged as err:
        return Check(path=loader.path, sound=False, text=err.message)
    if False in results:
        return Check(path=loader.path, sound=False, text="it was changed after it was signed")
    if None in results:
        return Check(path=loader.path, sound=None, text="its digest is of an unknown kind")
    return Check(path=loader.path, sound=True, text="it is as it was signed")
