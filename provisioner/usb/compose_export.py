"""One edition out of a solid image, as a WIM that can be split: wimlib-imagex recompresses it.

That takes minutes and gigabytes, so what was made is kept and taken again.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from provisioner.errors import MediaError
from provisioner.host.files import private_folder
from provisioner.host.process import run
from provisioner.image.content import Payload
from provisioner.image.output import require_space
from provisioner.image.transfer import write_payload
from provisioner.media.facts import Edition, MediaFacts
from provisioner.media.window import joined
from provisioner.tree import Slice
from provisioner.usb.compose_source import Export

_HOURS = 4 * 3600.0
_GUID = 24


def export_edition(
    facts: MediaFacts,
    edition: Edition,
    cache: Path,
    *,
    progress: Callable[[str, int, int], None] = lambda label, done, total: None,
) -> Export:
    """The edition as a WIM of its own in `cache`, made unless it is there from an earlier time.

    Needs room for two copies of the image meanwhile. MediaError where the medium has no image in
    one piece, HostError where wimlib-imagex is not installed or there is no room.
    """
    path = next(
        (p for p in facts.files if p.casefold() in {"sources/install.esd", "sources/install.wim"}),
        None,
    )
    if path is None:
        raise MediaError(f"{facts.path.name} has no install.wim or install.esd in one piece")
    name = f"{facts.fingerprint.digest}\0{edition.index}"
    digest = hashlib.sha256(name.encode()).digest()
    target = cache / f"{digest.hex()[:32]}.wim"
    if not target.exists():
        private_folder(cache)
        pieces = tuple(
            Slice(image=facts.path, offset=e.offset, length=e.length)
            for e in joined(facts.files[path])
        )
        size = sum(piece.length for piece in pieces)
        require_space(cache, 2 * size)
        payload = Payload(path=PurePosixPath(path), pieces=pieces, length=size)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=cache) as work:
            whole, single = Path(work, "whole.wim"), Path(work, "single.wim")
            done = 0

            def moved(count: int) -> None:
                nonlocal done
                done += count
                progress(path, done, size)

            with whole.open("wb") as out:
                write_payload(payload, out.fileno(), 0, moved=moved)
            # LZX in chunks of 32 KiB is what install.wim has on Microsoft's own media, and what
            # every Setup reads.
            argv = ["wimlib-imagex", "export", str(whole), str(edition.index), str(single)]
            options = ["--compress=LZX", "--chunk-size=32K"]
            run([*argv, *options], timeout=_HOURS, hint="apt install wimtools")
            with single.open("r+b") as made:
                made.seek(_GUID)
                made.write(digest[16:])  # wimlib's is random, and ours shall be the same again
                made.flush()
                os.fsync(made.fileno())
            single.replace(target)
    return Export(path=target, size=target.stat().st_size, index=edition.index)
