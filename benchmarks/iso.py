"""The ISO workbench beside genisoimage, xorriso, cp, 7z, dd and sha256sum, on a disc of 5.5 GB.

A smaller one where there is no room for five of these, and the first row says so. Every round
runs all contenders, so that a busy disk hits all of them; what is written is flushed with fsync
inside the measured time; sources are read once before, so that caches are warm.
"""

from __future__ import annotations

import os
import shlex
import shutil
import statistics
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import RUNS, Row, Timing, command, seconds, size
from benchmarks.workshop import Workshop

_CHUNK = 8 << 20
INSTALL_WIM, BOOT_WIM, SMALL = 4800 << 20, 500 << 20, 1000
SMALL_FILES = 200 * 10**6
"""What the thousand small ones come to."""
WHOLE = INSTALL_WIM + BOOT_WIM + SMALL_FILES


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A command, the folder or file that it makes, and what it is called."""

    name: str
    argv: Sequence[str]
    makes: Path | None = None


def rows(workshop: Workshop) -> Iterator[Row]:
    """About 250 GB are written in all, 22 GB at a time."""
    folder = workshop.folder / "iso"
    folder.mkdir()
    shrink = _shrink(folder)
    if shrink > 1:
        yield _smaller(folder, shrink)
    tree = windows_tree(folder / "tree", shrink=shrink)
    base = folder / "base.iso"
    workshop.run("iso", "create", str(tree), str(base))
    yield from _create(workshop, base, tree, folder)
    yield from _remaster(workshop, base, folder)
    yield from _extract(workshop, base, folder)
    yield from _read(workshop, base, folder)
    yield from _mounted(workshop, base, tree, folder)
    shutil.rmtree(folder)


def _shrink(folder: Path) -> int:
    """1, 2, 4 ...: by how much a disc has to be smaller, so that five of them have room."""
    shrink = 1
    while shutil.disk_usage(folder).free < 5 * WHOLE // shrink:
        shrink *= 2
    return shrink


def _smaller(folder: Path, shrink: int) -> Row:
    free = shutil.disk_usage(folder).free
    return Row(
        what=f"NOT the disc of {WHOLE / 1e9:.1f} GB",
        ours=f"{folder} has {free / 1e9:.0f} GB free, {5 * WHOLE / 1e9:.0f} are needed; "
        f"what follows is for one of {WHOLE / shrink / 1e9:.1f} GB",
        theirs="",
    )


def windows_tree(folder: Path, *, shrink: int) -> Path:
    """5.5 GB as on a Windows disc: two big WIM files, a thousand others. Nothing repeats."""
    sizes = {"sources/install.wim": INSTALL_WIM // shrink, "sources/boot.wim": BOOT_WIM // shrink}
    sizes |= {"boot/etfsboot.com": 4096, "setup.exe": 95_000}
    sizes |= {f"efi/microsoft/boot/efisys{each}.bin": 1_474_560 for each in ("", "_noprompt")}
    sizes |= {f"support/d{n % 25:02}/file {n}.dll": 200 + n * 397 % 700_000 for n in range(SMALL)}
    chunk = os.urandom(_CHUNK)
    for number, (path, left) in enumerate(sizes.items()):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as out:
            while left > 0:
                mark = number.to_bytes(4, "little") + left.to_bytes(8, "little")
                left -= out.write((mark + chunk[12:])[:left])
    return folder


def race(contenders: Sequence[Contender], environment: Mapping[str, str]) -> dict[str, Timing]:
    """Medians of five of every contender, all of them once in each round."""
    found: dict[str, list[Timing]] = {each.name: [] for each in contenders}
    for _ in range(RUNS):
        for each in contenders:
            _remove(each.makes)
            os.sync()
            found[each.name].append(command(each.argv, environment=environment, runs=1))
            _remove(each.makes)
    return {
        name: Timing(
            wall=statistics.median(each.wall for each in timings),
            cpu=statistics.median(each.cpu for each in timings),
            peak=max(each.peak for each in timings),
        )
        for name, timings in found.items()
    }


def _create(workshop: Workshop, base: Path, tree: Path, folder: Path) -> Iterator[Row]:
    ours, theirs, copy = folder / "ours.iso", folder / "theirs.iso", folder / "copy"
    found = race(
        [
            Contender(
                name="iso create",
                argv=workshop.ours("iso", "create", str(tree), str(ours)),
                makes=ours,
            ),
            _copied(tree, copy),
            _synced(
                "genisoimage -udf",
                f"genisoimage -quiet -udf -J -R -allow-limited-size -o '{theirs}' '{tree}'",
                theirs,
            ),
            _synced(
                "xorriso (no UDF)",
                f"xorriso -as mkisofs -quiet -iso-level 3 -R -o '{theirs}' '{tree}'",
                theirs,
            ),
        ],
        workshop.environment,
    )
    wanted = "at most 1.05 of cp, 64 MB"
    yield from _rows(f"create {_of(base)}", found, {"cp -r --reflink=never": wanted})


def _remaster(workshop: Workshop, base: Path, folder: Path) -> Iterator[Row]:
    ours, copy = folder / "ours.iso", folder / "copy"
    answers = folder / "Autounattend.xml"
    answers.write_text("<unattend/>\n")
    change = ("--add", str(answers), "--no-prompt")
    full = Contender(
        name="iso remaster",
        argv=workshop.ours("iso", "remaster", str(base), str(ours), *change),
        makes=ours,
    )
    # The same source for both, so that one copy of it in the cache is enough for warm reads.
    found = race([full, _copied(base, copy)], workshop.environment)
    wanted = "at most 1.05 of cp, 64 MB"
    yield from _rows(f"remaster {_of(base)}", found, {"cp -r --reflink=never": wanted})
    thin = folder / "ours.qcow2"
    overlay = Contender(
        name="iso remaster --overlay",
        argv=workshop.ours("iso", "remaster", str(base), str(thin), *change, "--overlay"),
        makes=thin,
    )
    both = race([overlay, full], workshop.environment)
    workshop.run("iso", "remaster", str(base), str(thin), *change, "--overlay")
    stored = thin.stat().st_blocks * 512
    thin.unlink()
    for row in _rows("the same change", both, {}):
        yield Row(
            what=row.what, ours=f"{row.ours}, {size(stored)} on disk", theirs=row.theirs,
            ratio=row.ratio,
        )  # fmt: skip


def _extract(workshop: Workshop, base: Path, folder: Path) -> Iterator[Row]:
    into = folder / "into"
    ours = shlex.join(workshop.ours("iso", "extract", str(base), "-o", str(into)))
    found = race(
        [
            _synced("iso extract", ours, into),
            _synced("7z x", f"7z x -bso0 -bsp0 -o'{into}' '{base}'", into),
        ],
        workshop.environment,
    )
    yield from _rows(f"extract {_of(base)}", found, {})


def _read(workshop: Workshop, base: Path, folder: Path) -> Iterator[Row]:
    manifest, ripped, copy = folder / "manifest.json", folder / "ripped.iso", folder / "copy"
    workshop.run("iso", "verify", str(base), "--manifest", str(manifest))
    by_sum = race(
        [
            Contender(
                name="iso verify with a manifest",
                argv=workshop.ours("iso", "verify", str(base), str(manifest)),
            ),
            Contender(name="sha256sum", argv=["sha256sum", str(base)]),
        ],
        workshop.environment,
    )
    yield from _rows(f"verify {_of(base)}", by_sum, {})
    by_copy = race(
        [
            Contender(
                name="iso rip",
                argv=workshop.ours("iso", "rip", str(base), str(ripped)),
                makes=ripped,
            ),
            _synced(
                "dd and sha256sum",
                f"dd if='{base}' of='{copy}' bs=1M status=none && sha256sum '{copy}'",
                copy,
            ),
        ],
        workshop.environment,
    )
    yield from _rows(f"rip {_of(base)} with its SHA-256", by_copy, {})
    shutil.copyfile(base, copy)
    compared = race(
        [
            Contender(
                name="iso verify with a copy",
                argv=workshop.ours("iso", "verify", str(base), str(copy)),
            ),
            Contender(name="cmp", argv=["cmp", str(base), str(copy)]),
        ],
        workshop.environment,
    )
    copy.unlink()
    yield from _rows(f"compare {_of(base)}", compared, {})


def _mounted(workshop: Workshop, base: Path, tree: Path, folder: Path) -> Iterator[Row]:
    with _mount(workshop, base, folder / "mnt") as mounted:
        wim = mounted / "sources/install.wim"
        drop = "import os, sys; os.posix_fadvise(os.open(sys.argv[1], 0), 0, 0, 4)"
        found = race(
            [
                Contender(
                    name="read by FUSE",
                    argv=["sh", "-c", f"python3 -c '{drop}' '{wim}'; cat '{wim}'"],
                ),
                Contender(name="read the file", argv=["cat", str(tree / "sources/install.wim")]),
            ],
            {},
        )
        for row in _rows(f"read {_of(wim)} from a mounted image", found, {}):
            rate = wim.stat().st_size / found["read by FUSE"].wall
            yield Row(
                what=row.what, ours=f"{row.ours}, {size(int(rate))}/s", theirs=row.theirs,
                ratio=row.ratio,
            )  # fmt: skip


@contextmanager
def _mount(workshop: Workshop, image: Path, folder: Path) -> Iterator[Path]:
    folder.mkdir()
    workshop.run("iso", "mount", str(image), str(folder), "--how", "fuse")
    try:
        yield folder
    finally:
        workshop.run("iso", "unmount", str(folder))


def _of(path: Path) -> str:
    return f"{path.stat().st_size / 1e9:.1f} GB"


def _copied(source: Path, copy: Path) -> Contender:
    return _synced("cp -r --reflink=never", f"cp -r --reflink=never '{source}' '{copy}'", copy)


def _synced(name: str, line: str, makes: Path) -> Contender:
    return Contender(
        name=name,
        argv=["sh", "-c", f"{line} && find '{makes}' -type f -print0 | xargs -0 sync"],
        makes=makes,
    )


def _rows(what: str, found: Mapping[str, Timing], wanted: Mapping[str, str]) -> Iterator[Row]:
    (name, ours), *others = found.items()
    for theirs, timing in others:
        yield Row(
            what=what,
            ours=f"{name} {seconds(ours.wall)}, peak {size(ours.peak)}",
            theirs=f"{theirs} {seconds(timing.wall)}",
            ratio=ours.wall / timing.wall,
            wanted=wanted.get(theirs, ""),
        )


def _remove(path: Path | None) -> None:
    if path is None:
        return
    if path.is_dir():
        subprocess.run(["rm", "-rf", str(path)], check=True)
    for suffix in ("", ".map", ".sha256"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
