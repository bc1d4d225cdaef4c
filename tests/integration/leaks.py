"""Looks for anything a deleted machine may have left: processes, domains, files, roots."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

from tests.integration.home import Home
from tests.integration.processes import processes_mentioning

SETTLE = 10.0
"""Seconds a process may take to end after it was told to."""

IN_SYSTEM_MODE = (
    "/var/lib/libvirt/images",
    "/var/lib/libvirt/qemu/nvram",
    "/var/lib/libvirt/swtpm",
    "/var/lib/libvirt/qemu/save",
)
IN_SESSION_MODE = (".config/libvirt/qemu/nvram", ".config/libvirt/qemu/swtpm")


def status_of(path: Path) -> tuple[int, ...]:
    """Everything about a file that must not change but its bytes; its access time may.

    The time of change cannot be set back, so it tells of every write and every change of owner.
    """
    status = path.stat()
    return (
        *(status.st_ino, status.st_uid, status.st_gid, status.st_mode, status.st_size),
        *(status.st_mtime_ns, status.st_ctime_ns),
    )


def sha256_of(path: Path) -> str:
    """Of all its bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def leaks(home: Home) -> list[str]:
    """What is left of machines although there is none any more; waits for processes to end."""
    deadline = time.monotonic() + SETTLE
    while (left := processes_mentioning(f"{home.folder}/")) and time.monotonic() < deadline:
        time.sleep(0.1)
    found = [f"process {pid}: {line}" for pid, line in left.items()]
    found += _below(home.state, except_for=("failures", "timings.json"))
    found += _below(home.embed)
    found += _below(home.temporary)
    match home.place.mode:
        case "system":
            found += [f"domain {name}" for name in home.virsh("list", "--all").split("\n")]
            inside = home.place.run("find", *IN_SYSTEM_MODE, "-type", "f", check=False)
            found += inside.split("\n")
        case "session":
            found += [f"domain {name}" for name in home.virsh("list", "--all").split("\n")]
            for folder in IN_SESSION_MODE:
                found += _below(home.home / folder)
        case _:
            pass
    return [line for line in found if line.removeprefix("domain").strip()]


def _below(folder: Path, *, except_for: tuple[str, ...] = ()) -> list[str]:
    if not folder.exists():
        return []
    return [str(path) for path in sorted(folder.iterdir()) if path.name not in except_for]
