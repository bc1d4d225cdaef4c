"""An install image with one edition only, by wimlib-imagex: the others' files are left out."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from provisioner.disc.view import View
from provisioner.errors import UsageError
from provisioner.host.process import run
from provisioner.image.content import Payload
from provisioner.image.output import require_space
from provisioner.image.transfer import write_payload
from provisioner.media.facts import Edition
from provisioner.tree import File, HostFile, Slice

_INSTALL = re.compile(r"sources/install\.(wim|esd)", re.IGNORECASE)
_HOURS = 4 * 3600.0


@contextmanager
def only_edition(view: View, edition: Edition, folder: Path) -> Iterator[dict[str, File]]:
    """The new content of the install image, by its path, for the duration of the block.

    Two temporary files in `folder` are needed, each at most as large as the image. HostError where
    wimlib-imagex is not installed or there is no space.
    """
    item = next((item for item in view.files if _INSTALL.fullmatch(item.path)), None)
    if item is None:
        raise UsageError(f"{view.window.path.name} has no install.wim or install.esd in one piece")
    with tempfile.TemporaryDirectory(prefix=".provisioner-", dir=folder) as work:
        require_space(folder, 2 * item.size)
        whole, single = Path(work, "whole.wim"), Path(work, "single.wim")
        pieces = tuple(
            Slice(image=view.window.path, offset=e.offset, length=e.length) for e in item.extents
        )
        payload = Payload(path=PurePosixPath(item.path), pieces=pieces, length=item.size)
        with whole.open("wb") as out:
            write_payload(payload, out.fileno(), 0, moved=lambda count: None)
        run(
            ["wimlib-imagex", "export", str(whole), str(edition.index), str(single)],
            timeout=_HOURS,
            hint="apt install wimtools",
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
