"""`lint` of many answer files: files per second."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Row, Timing, command, seconds, size
from benchmarks.workshop import Workshop

COPIES = 20
_GOLDEN = Path(__file__).parents[1] / "tests/golden/answers"


def rows(workshop: Workshop) -> Iterator[Row]:
    """One process and many files, beside lxml, which looks only whether they are XML."""
    folder = workshop.folder / "linting"
    folder.mkdir()
    files = []
    for number in range(COPIES):
        for source in sorted(_GOLDEN.glob("*/Autounattend.xml")):
            files.append(folder / f"{source.parent.name}-{number}.xml")
            shutil.copyfile(source, files[-1])
    names = [str(path) for path in files]

    def linting(arguments: list[str]) -> Timing:
        # Golden files hold no secrets, and what stands in their place is not encoded: 2 is right.
        argv = ["sh", "-c", '"$@"; test $? -le 2', "sh", *workshop.ours("lint", *arguments)]
        return command(argv, environment=workshop.environment)

    one, ours = linting(names[:1]), linting(names)
    parse = "import sys; from lxml import etree; [etree.parse(name) for name in sys.argv[1:]]"
    theirs = command([sys.executable, "-c", parse, *names])
    rate = (len(names) - 1) / (ours.wall - one.wall)
    lines = sum(path.read_bytes().count(b"\n") for path in files) // len(files)
    yield Row(
        what=f"lint of {len(names)} answer files of {lines} lines",
        ours=f"{rate:.0f} files/s, {seconds(ours.wall)} in all, {seconds(one.wall)} for one file,"
        f" peak {size(ours.peak)}",
        theirs=f"lxml, which only parses, {seconds(theirs.wall)}",
        ratio=ours.wall / theirs.wall,
    )
    shutil.rmtree(folder)
