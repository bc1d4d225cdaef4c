"""Writing a stick beside `dd oflag=direct`, and reading it back beside `sha256sum`.

Every round runs both, so that a busy disk hits both. Ours does what `usb write` does: gates, undo
capsule, wipe, capacity probe, hashing, the first MiB last; dd only copies. The stick is a loop
device, so it needs root.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import RUNS, Row, Timing, command, seconds, size

if TYPE_CHECKING:
    from benchmarks.workshop import Workshop  # not in the runs that are timed: it loads pycdlib

LENGTH = 5 << 30
"""As much as a Windows disc holds; on much less the start of the programs is what is measured."""
_SERIAL = "BENCH"


def rows(workshop: Workshop) -> Iterator[Row]:
    """Bytes that nothing compresses; the image is in the page cache for both."""
    folder = workshop.folder / "usb"
    folder.mkdir()
    image, backing = folder / "image.img", folder / "stick.img"
    with image.open("wb") as file:
        for _ in range(LENGTH >> 20):
            file.write(os.urandom(1 << 20))
    with backing.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, LENGTH)  # so that nobody pays for that
    argv = ["losetup", "--find", "--show", "--direct-io=on", str(backing)]
    device = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    try:
        mine = [sys.executable, "-m", "benchmarks.usb_device"]
        write, copy = _rounds(
            [*mine, "write", device, str(image), str(folder)],
            ["dd", f"if={image}", f"of={device}", "bs=4M", "oflag=direct", "conv=fsync"],
        )
        yield Row(
            what=f"{size(LENGTH)} onto a loop device",
            ours=f"usb write without reading back {seconds(write.wall)}, peak {size(write.peak)}",
            theirs=f"dd bs=4M oflag=direct {seconds(copy.wall)}",
            ratio=write.wall / copy.wall,
            wanted="at least 0.9 of its rate, a ratio of 1.11; at most 128 MB",
        )
        command([*mine, "write", device, str(image), str(folder)], runs=1)
        command([*mine, "note", device, str(image), str(folder)], runs=1)
        check, digest = _rounds(
            [*mine, "verify", device, str(image), str(folder)], ["sha256sum", device]
        )
        yield Row(
            what=f"{size(LENGTH)} read back from it",
            ours=f"verify, cache dropped {seconds(check.wall)}, peak {size(check.peak)}",
            theirs=f"sha256sum of the device {seconds(digest.wall)}",
            ratio=check.wall / digest.wall,
            wanted="no slower; at most 128 MB",
        )
    finally:
        subprocess.run(["losetup", "-d", device], check=True)


def _rounds(ours: Sequence[str], theirs: Sequence[str]) -> tuple[Timing, Timing]:
    timings: tuple[list[Timing], list[Timing]] = ([], [])
    for _ in range(RUNS):
        for argv, found in zip((ours, theirs), timings, strict=True):
            found.append(command(argv, runs=1, before=_cold))
    first, second = (
        Timing(
            wall=statistics.median(one.wall for one in found),
            cpu=statistics.median(one.cpu for one in found),
            peak=max(one.peak for one in found),
        )
        for found in timings
    )
    return first, second


def _cold() -> None:
    """What earlier rounds left dirty is on the disk."""
    os.sync()


def main(mode: str, device: str, image: str, folder: str) -> None:
    """One run of ours, in a process of its own: `write` notes what it wrote, `verify` reads it."""
    from provisioner.usb.devices_sysfs import System
    from provisioner.usb.gates import Request
    from provisioner.usb.job import Care, Job
    from provisioner.usb.local import LocalMachine
    from provisioner.usb.raw import open_raw
    from provisioner.usb.verify import digests_of, verify
    from provisioner.usb.write import Range

    name = Path(device).name
    here = LocalMachine(system=System(allowed_loops={name: _SERIAL}), bus=None, elevate=())
    [disk] = [disk for disk in here.disks() if disk.name == name]
    stream = open_raw(Path(image), None, limit=disk.size)
    notes = Path(folder) / "ranges.json"
    if mode == "write":
        [result] = Job(here, Care(state=Path(folder), verify=False)).write(
            stream, (disk,), Request(needed=stream.size)
        )
        assert result.failure is None, result.failure
        return
    if mode == "note":
        found = [(one.offset, one.length, one.digest.hex()) for one in digests_of(stream)]
        notes.write_text(json.dumps(found))
        return
    from provisioner.host.disk import open_disk

    ranges = [Range(o, n, bytes.fromhex(d)) for o, n, d in json.loads(notes.read_text())]
    opened = open_disk(Path(device), write=False)
    assert verify(opened, ranges, stream, lambda *_: None).sound
    opened.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
