"""`up` to the started domain, for install discs of three sizes, beside what others do instead."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import RUNS, Row, Timing, allocated, command, seconds, size
from benchmarks.workshop import Workshop
from provisioner.store.known_media import RACY

SIZES = (10**8, 10**9, 6 * 10**9)


def rows(workshop: Workshop) -> Iterator[Row]:
    """Time and bytes of `up --detach`, with what libvirt remembers of QEMU's capabilities and
    without; the first run of each disc, which looks at it, is not counted."""
    for bytes_ in SIZES:
        disc = workshop.disc(bytes_)
        label = f"{bytes_ / 1e9:.1f} GB disc"
        time.sleep(RACY / 1e9)  # a disc that was written this moment is not remembered
        _up(workshop, disc, runs=1, cold=False)
        warm = _up(workshop, disc, runs=RUNS, cold=False)
        cold = _up(workshop, disc, runs=RUNS, cold=True)
        made = _bytes(workshop, disc)
        nvram = sum(n for name, n in made.items() if name.endswith("-vars.fd"))
        other = sum(made.values()) - nvram
        genisoimage, copied = _alternatives(workshop, disc)
        yield Row(
            what=f"up to started, {label}, warm cache",
            ours=f"{seconds(warm.wall)}, {seconds(warm.cpu)} of CPU, peak {size(warm.peak)}; "
            f"{size(other)} (+ NVRAM {size(nvram)})",
            theirs=f"genisoimage rebuild {_made(genisoimage, disc)}",
            ratio=warm.wall / genisoimage.wall,
            wanted="at most 1.5 s and 2 MB, flat in the size",
        )
        yield Row(
            what=f"up to started, {label}, warm cache",
            ours=seconds(warm.wall),
            theirs=f"cp --reflink=never {_made(copied, disc)}",
            ratio=warm.wall / copied.wall,
        )
        yield Row(
            what=f"up to started, {label}, cold cache",
            ours=f"{seconds(cold.wall)}, {seconds(cold.cpu)} of CPU, peak {size(cold.peak)}",
            theirs=f"genisoimage rebuild {seconds(genisoimage.wall)}",
            ratio=cold.wall / genisoimage.wall,
        )


def _made(timing: Timing, disc: Path) -> str:
    """What another way takes; it writes the whole disc."""
    return f"{seconds(timing.wall)}, peak {size(timing.peak)}; {size(disc.stat().st_size)}"


def _alternatives(workshop: Workshop, disc: Path) -> tuple[Timing, Timing]:
    """Building the whole disc again with the no-prompt loader, and copying it."""
    rebuilt = workshop.folder / "rebuilt.iso"

    def forget() -> None:
        rebuilt.unlink(missing_ok=True)

    genisoimage = command(
        ["genisoimage", "-quiet", "-allow-limited-size", "-iso-level", "4", "-J", "-joliet-long",
         "-o", str(rebuilt), "-eltorito-alt-boot", "-e",
         "efi/microsoft/boot/efisys_noprompt.bin", "-no-emul-boot", str(_tree(workshop, disc))],
        before=forget,
    )  # fmt: skip
    copied = command(
        ["sh", "-c", f"cp --reflink=never --sparse=never {disc} {rebuilt} && sync {rebuilt}"],
        before=forget,
    )
    forget()
    return genisoimage, copied


def _up(workshop: Workshop, disc: Path, *, runs: int, cold: bool) -> Timing:
    workshop.profile("bench")

    def before() -> None:
        if cold:
            shutil.rmtree(workshop.folder / "cache" / "provisioner" / "qemu")

    return command(
        workshop.ours(
            "up", str(workshop.folder / "bench.yaml"), "--media", f"install={disc}",
            "--connect", "embed", "--detach",
        ),
        environment=workshop.environment,
        runs=runs,
        before=before,
        after=lambda: workshop.run("delete", "bench", "--yes"),
    )  # fmt: skip


def _bytes(workshop: Workshop, disc: Path) -> dict[str, int]:
    """Bytes on the disk of everything that all processes of one machine made: ours, the keeper's,
    libvirt's, QEMU's and swtpm's."""
    profile = str(workshop.folder / "bench.yaml")
    workshop.run("up", profile, "--media", f"install={disc}", "--connect", "embed", "--detach")
    made = allocated(workshop.folder / "state")
    made |= {f"root/{name}": n for name, n in allocated(workshop.folder / "e").items()}
    workshop.run("delete", "bench", "--yes")
    return made


def _tree(workshop: Workshop, disc: Path) -> Path:
    """The disc's files in a folder."""
    tree = workshop.folder / f"tree-{disc.stem}"
    if not tree.exists():
        subprocess.run(["cp", "-a", str(workshop.tree()), str(tree)], check=True)
        filler = tree / "sources" / "filler.bin"
        filler.unlink(missing_ok=True)
        with filler.open("wb") as file:
            file.truncate(max(0, disc.stat().st_size - workshop.standin.stat().st_size))
    return tree
