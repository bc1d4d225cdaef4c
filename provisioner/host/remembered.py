"""What an embedded libvirt said about this host, kept while nothing it depends on has changed.

Opening a root takes half a second, and a look at it answers the same for every machine of a user.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from provisioner.errors import ProvisionerError
from provisioner.host.files import private_folder, write_file
from provisioner.host.keeper_wire import facts_from_wire, facts_to_wire
from provisioner.ports import Accelerator, HostFacts

PROGRAMS = ("qemu-system-x86_64", "swtpm", "swtpm_setup")
FIRMWARE = (Path("/usr/share/qemu/firmware"), Path("/etc/qemu/firmware"))
"""Where QEMU's firmware descriptors are looked for (QEMU, docs/interop/firmware.json); a user's
own folder counts too, but libvirt as root does not read it."""

LIBRARIES = ("/usr/lib*/libvirt.so.0", "/usr/lib/*/libvirt.so.0")


def recall(cache: Path, accelerator: Accelerator) -> HostFacts | None:
    """The facts of an earlier look, or None where there was none or something has changed."""
    try:
        known = json.loads((cache / "facts.json").read_bytes())
        if known["key"] == _key(accelerator):
            return facts_from_wire(known["facts"])
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        pass  # nothing remembered, or nothing that makes sense: look again
    return None


def remember(cache: Path, facts: HostFacts) -> None:
    """Keeps the facts; a cache that cannot be written costs time and nothing else."""
    members = {"key": _key(facts.accelerator), "facts": facts_to_wire(facts)}
    try:
        private_folder(cache)
        write_file(cache / "facts.json", json.dumps(members).encode())
    except ProvisionerError:
        return


def _key(accelerator: Accelerator) -> list[str]:
    """This boot, this Python, and size and time of everything the answers come from."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return [
        boot.read_text().strip() if boot.exists() else "?",
        sys.version,
        repr(accelerator),
        *(f"{path} {_stamp(path)}" for path in sorted(set(_sources()))),
    ]


def _sources() -> Iterator[str]:
    for program in PROGRAMS:
        yield shutil.which(program) or f"no {program}"
    for folder in FIRMWARE:
        yield str(folder)
        yield from (str(entry) for entry in folder.glob("*.json"))
    for pattern in LIBRARIES:
        yield from (str(path) for path in Path("/").glob(pattern.lstrip("/")))


def _stamp(path: str) -> str:
    try:
        status = Path(path).stat()
    except OSError:
        return "missing"
    return f"{status.st_size} {status.st_mtime_ns}"
