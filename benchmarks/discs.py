"""Answer discs per second in one process, beside one genisoimage process per disc."""

from __future__ import annotations

import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.measure import Row, command, size
from benchmarks.workshop import Workshop

DISCS = 500
WRITERS = 4
"""Threads: while one waits for its fsync, another renders."""


def rows(workshop: Workshop) -> Iterator[Row]:
    """Rendered from the profile, packed, written, read back and compared, each with its fsync."""
    for name, folder in (("disk", workshop.folder), ("tmpfs", Path("/dev/shm"))):
        if not folder.is_dir():
            continue
        target = Path(tempfile.mkdtemp(prefix="discs", dir=folder))
        try:
            ours = _ours(workshop, target)
            theirs = _genisoimage(workshop, target)
        finally:
            shutil.rmtree(target)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        yield Row(
            what=f"answer discs per second, on {name}",
            ours=f"{ours:.0f}/s, peak {size(peak)}",
            theirs=f"genisoimage {theirs:.0f}/s",
            ratio=theirs / ours,
            wanted="at least 500/s",
        )


def _ours(workshop: Workshop, target: Path) -> float:
    from provisioner.answers.disc import compose
    from provisioner.image.iso import write_iso
    from provisioner.media.editions import resolve_edition
    from provisioner.media.inspect import inspect
    from provisioner.profile.load import load_profile
    from provisioner.quoting import ENCODINGS
    from provisioner.resources import Resources, shipped_folder
    from provisioner.templating import Templates

    resources = Resources(shipped=shipped_folder())
    install = inspect(workshop.disc(10**8))
    profile = load_profile(
        workshop.profile("bench"),
        media={"install": str(install.path)},
        resources=resources,
        home=workshop.folder,
        cwd=workshop.folder,
    ).profile
    edition = resolve_edition(install, profile.windows.edition)
    templates = Templates(resources.template_folders())

    def make(number: int) -> None:
        disc = compose(
            profile, install, edition, None, templates=templates, identity=f"bench-{number}"
        )
        write_iso(
            disc.tree,
            target / f"{number}.iso",
            label=disc.label,
            epoch=315_532_800,
            reveal=lambda slot: ENCODINGS[slot.encoding](f"Passw0rd-{slot.name}"),
        )

    begun = time.perf_counter()
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(make, range(DISCS)))
    return DISCS / (time.perf_counter() - begun)


def _genisoimage(workshop: Workshop, target: Path) -> float:
    """The same files, already rendered, in one process per disc."""
    rendered = target / "rendered"
    disc = workshop.disc(10**8)
    workshop.run(
        "render", str(workshop.profile("bench")), "--media", f"install={disc}", "-o", str(rendered)
    )
    out = target / "genisoimage.iso"
    timing = command(
        ["genisoimage", "-quiet", "-J", "-iso-level", "4", "-o", str(out), str(rendered)], runs=20
    )
    return 1 / timing.wall
