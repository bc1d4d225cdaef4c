"""Reads disks through libguestfs, where it is installed and FUSE is not to be had.

Its appliance is a small virtual machine: seconds with KVM, a minute without, and no root, no FUSE
and no program for NTFS on this host (https://libguestfs.org/guestfish.1.html, "Using guestfish
remotely"; tried with 1.48.6, 41 s emulated). The chain was looked at before (`disk_chain`), so
that the image names nothing strange.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from provisioner.errors import FailedError, HostError, ProvisionerError
from provisioner.frozen import frozen
from provisioner.host.disk_chain import Layer
from provisioner.host.excerpt import Bounds, Excerpt, excerpt_of
from provisioner.host.process import run

HINT = "install guestfish (Debian and Fedora: guestfish or libguestfs-tools, Arch: libguestfs)"
START = 300.0
"""Seconds for the appliance to start: it is emulated where there is no KVM."""
ANSWER = 60.0

_PID = re.compile(rb"GUESTFISH_PID=(\d+)")
LISTING = Bounds(head=1 << 20, tail=0, most=4 << 20, seconds=ANSWER)


def has_guestfish() -> bool:
    """Whether this host has it."""
    return shutil.which("guestfish") is not None


@frozen
class FoundVolume:
    """A file system: libguestfs's device (`/dev/sda3`), and its name (`ntfs`)."""

    device: str
    filesystem: str

    @property
    def number(self) -> int:
        """Of the partition; 0 for a disk without a table."""
        found = re.search(r"\d+$", self.device)
        return int(found[0]) if found else 0


class Appliance:
    """A running appliance. Implements the reading of `ntfs.Volume` for what is mounted."""

    def __init__(self, server: int) -> None:
        self._remote = _remote(server)

    def volumes(self) -> tuple[FoundVolume, ...]:
        """Every file system it sees."""
        found = []
        output = run((*self._remote, "list-filesystems"), timeout=ANSWER, hint=HINT)
        for line in output.decode("utf-8", "replace").splitlines():
            device, _, filesystem = line.partition(": ")
            found.append(FoundVolume(device=device, filesystem=filesystem.strip()))
        return tuple(found)

    def mount(self, volume: FoundVolume) -> None:
        """From now on paths lie on this volume."""
        run((*self._remote, "umount-all"), timeout=ANSWER)
        run((*self._remote, "mount-ro", volume.device, "/"), timeout=ANSWER)

    def names(self, folder: str) -> tuple[str, ...]:
        try:
            listing = excerpt_of((*self._remote, "-ls", f"/{folder}"), LISTING)
        except ProvisionerError:
            return ()
        return tuple(listing.head.decode("utf-8", "replace").splitlines())

    def read(self, path: str, bounds: Bounds) -> Excerpt:
        # The hyphen before a command: an error must not end the appliance.
        excerpt = excerpt_of((*self._remote, "-download", f"/{path}", "-"), bounds)
        if not excerpt.size:
            raise FailedError(f"{path} is empty, or no file")
        return excerpt


@contextmanager
def appliance(layers: Sequence[Layer]) -> Iterator[Appliance]:
    """An appliance that looks at a disk, read-only, until the block ends.

    HostError where guestfish is not installed; FailedError where the appliance does not start.
    """
    if not has_guestfish():
        raise HostError("guestfish is not installed", hint=HINT)
    server = _started(layers[0])
    try:
        yield Appliance(server)
    finally:
        _end(server)


def _started(top: Layer) -> int:
    """The process id of a guestfish whose appliance runs; emulated where KVM only promises to."""
    for settings in ((), ("LIBGUESTFS_BACKEND_SETTINGS=force_tcg",)):
        server = _listening(top, settings)
        try:
            run((*_remote(server), "run"), timeout=START)
        except FailedError:
            _end(server)
        except BaseException:
            _end(server)
            raise
        else:
            return server
    raise FailedError(
        "the appliance of guestfish does not start",
        hint="`libguestfs-test-tool` says what is missing",
    )


def _listening(top: Layer, settings: Sequence[str]) -> int:
    # Backend "direct": no daemon of libvirt's is asked, whose user might not read the image.
    argv = ("env", "LIBGUESTFS_BACKEND=direct", *settings)
    argv += ("guestfish", "--listen", "--ro", f"--format={top.driver}", "-a", str(top.path))
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        found = _PID.search(process.stdout.readline())
    if found is None:
        raise FailedError("guestfish could not be started", hint=HINT)
    return int(found[1])


def _remote(server: int) -> tuple[str, ...]:
    return ("guestfish", f"--remote={server}", "--")


def _end(server: int) -> None:
    with suppress(ProvisionerError):
        run((*_remote(server), "exit"), timeout=ANSWER)
