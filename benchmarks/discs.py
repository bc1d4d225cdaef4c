"""Answer discs per second in one process, beside one genisoimage process per disc.

Two figures: rendered and written, as genisoimage's are, and with the reading back and comparing
that `up` does besides.
"""

from __future__ import annotations

import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import Row, command, size
from benchmarks.workshop import Workshop

if TYPE_CHECKING:
    from provisioner.secret import SecretSlot

DISCS = 500
WRITERS = 2
"""Threads on a disk: while one waits for its fsync, another renders. In memory nothing waits."""


def rows(workshop: Workshop) -> Iterator[Row]:
    """Rendered from the profile, packed, and written with its fsync; then compared as well."""
    for name, folder in (("disk", workshop.folder), ("tmpfs", Path("/dev/shm"))):
        if not folder.is_dir():
            continue
        target = Path(tempfile.mkdtemp(prefix="discs", dir=folder))
        try:
            writers = WRITERS if name == "disk" else 1
            written = _ours(workshop, target, writers, compared=False)
            compared = _ours(workshop, target, writers, compared=True)
            theirs = _genisoimage(workshop, target)
        finally:
            shutil.rmtree(target)
        yield Row(
            what=f"answer discs rendered and written, on {name}",
            ours=str(written),
            theirs=f"genisoimage {theirs:.0f}/s, without rendering",
            ratio=theirs / written.rate,
            wanted="at least 500/s",
        )
        yield Row(
            what=f"the same, read back and compared, on {name}",
            ours=str(compared),
            theirs=f"genisoimage {theirs:.0f}/s, without either",
            ratio=theirs / compared.rate,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Discs a second, seconds of the processor for one, and the process's largest memory."""

    rate: float
    cpu: float
    peak: int

    def __str__(self) -> str:
        return f"{self.rate:.0f}/s, {self.cpu * 1000:.2f} ms of CPU each, peak {size(self.peak)}"


def _ours(workshop: Workshop, target: Path, writers: int, *, compared: bool) -> Speed:
    from provisioner.answers.disc import compose
    from provisioner.image.iso import write_iso
    from provisioner.image.verify import verify_iso
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

    def reveal(slot: SecretSlot) -> str:
        return ENCODINGS[slot.encoding](f"Passw0rd-{slot.name}")

    def make(number: int) -> None:
        disc = compose(
            profile, install, edition, None, templates=templates, identity=f"bench-{number}"
        )
        path = target / f"{number}.iso"
        write_iso(disc.tree, path, label=disc.label, epoch=315_532_800, reveal=reveal)
        if compared:
            verify_iso(path, disc.tree, reveal=reveal)

    make(0)  # templates are compiled once, whatever the number of discs
    begun, spent = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(make, range(DISCS)))
    return Speed(
        rate=DISCS / (time.perf_counter() - begun),
        cpu=(time.process_time() - spent) / DISCS,
        peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )


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
