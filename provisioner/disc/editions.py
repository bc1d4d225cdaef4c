"""An install image with one edition only, by wimlib-imagex: the others' files are left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath

from provisioner.disc.view import Item, View
from provisioner.errors import UsageError
from provisioner.host.wimlib import export
from provisioner.image.content import Payload
from provisioner.image.output import failure, require_space, working_folder
from provisioner.image.transfer import write_payload
from provisioner.media.facts import Edition
from provisioner.tree import File, HostFile, Slice

_INSTALL = re.compile(r"sources/install\.(wim|esd)", re.IGNORECASE)


@contextmanager
def only_edition(
    view: View,
    edition: Edition,
    destination: Path,
    *,
    progress: Callable[[str, int, int], None] = lambda label, done, total: None,
) -> Iterator[dict[str, File]]:
    """The new content of the install image, by its path, for the duration of the block.

    Two temporary files beside `destination` are needed, each at most as large as the image.
    HostError where wimlib-imagex is not installed or there is no space.
    """
    item = next((item for item in view.files if _INSTALL.fullmatch(item.path)), None)
    if item is None:
        raise UsageError(f"{view.window.path.name} has no install.wim or install.esd in one piece")
    with ExitStack() as stack:
        try:
            require_space(destination.parent, 2 * item.size)
            work = stack.enter_context(
                working_folder(destination.with_name(f"{destination.name}.edition"))
            )
            whole, single = work / "whole.wim", work / "single.wim"
            _unpack(view, item, whole, progress)
        except OSError as err:
            raise failure(err, destination) from err
        export(
            whole, edition.index, single, lambda done, total: progress(edition.name, done, total)
        )
        whole.unlink()
        size = single.stat().st_size
        yield {
            item.path: File(
                content=(HostFile(path=single, size=size),),
                modified=item.modified,
                mode=item.mode,
            )
        }


def _unpack(
    view: View, item: Item, target: Path, progress: Callable[[str, int, int], None]
) -> None:
    pieces = tuple(
        Slice(image=view.window.path, offset=e.offset, length=e.length) for e in item.extents
    )
    payload = Payload(path=PurePosixPath(item.path), pieces=pieces, length=item.size)
    done = 0

    def moved(count: int) -> None:
        nonlocal done
        done += count
        progress(PurePosixPath(item.path).name, done, item.size)

    with target.open("wb") as out:
        write_payload(payload, out.fileno(), 0, moved=moved)
