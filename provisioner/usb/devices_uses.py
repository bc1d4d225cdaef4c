"""What needs a disk: everything stacked on it, followed to the mounts and swap at the end.

From sysfs and mountinfo alone; the text of `mount` is never matched (facts iso-usb §8.3, gate 2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from provisioner.frozen import frozen
from provisioner.usb.devices import Use, UseKind

SYSTEM = (
    "/", "/boot", "/boot/efi", "/boot/firmware", "/efi", "/usr", "/var", "/var/lib", "/home",
    "/etc", "/opt", "/srv", "/nix", "/ostree", "/sysroot",
)  # fmt: skip
"""What the running system stands on; nobody means to give it up by writing a stick."""


@frozen
class Block:
    """A block device. `disk` is None for whole ones; `backing` is a loop's file or zram's device;
    `title` is its name in words."""

    name: str
    number: str
    disk: str | None
    holders: tuple[str, ...]
    backing: str
    title: str


@frozen
class Mount:
    """A line of mountinfo."""

    number: str
    point: str
    source: str


@frozen
class Kernel:
    """The machine at one moment. `sources` has the kernel name behind what a mount names."""

    blocks: Mapping[str, Block]
    mounts: tuple[Mount, ...]
    swaps: tuple[str, ...]
    btrfs: tuple[frozenset[str], ...]
    sources: Mapping[str, str | None]


def uses_of(disk: str, kernel: Kernel) -> tuple[Use, ...]:
    """Every use, however long the chain to it is, in the order of the chains."""
    found: list[Use] = []
    for chain in _chains(disk, kernel):
        name = chain[-1]
        block = kernel.blocks[name]
        for mount in _mounts(block, kernel):
            found.append(
                Use(
                    kind=UseKind.MOUNT,
                    chain=chain,
                    where=mount.point,
                    system=mount.point in SYSTEM,
                )
            )
        if name in kernel.swaps:
            found.append(Use(kind=UseKind.SWAP, chain=chain, where="", system=True))
        for holder in block.holders:
            title = kernel.blocks[holder].title if holder in kernel.blocks else holder
            found.append(Use(kind=UseKind.HOLDER, chain=chain, where=title))
        for other in kernel.blocks.values():
            if other.backing and _backed_by(other, block, kernel):
                found.append(
                    Use(kind=UseKind.LOOP, chain=(*chain, other.name), where=other.backing)
                )
    return tuple(dict.fromkeys(found))


def _chains(disk: str, kernel: Kernel) -> Iterator[tuple[str, ...]]:
    """The disk and everything on it, each once, with the way to it."""
    waiting: list[tuple[str, ...]] = [(disk,)]
    seen = {disk}
    while waiting:
        chain = waiting.pop(0)
        yield chain
        block = kernel.blocks[chain[-1]]
        above = [other.name for other in kernel.blocks.values() if other.disk == block.name]
        above += [holder for holder in block.holders if holder in kernel.blocks]
        above += [
            other.name
            for other in kernel.blocks.values()
            if other.backing and _backed_by(other, block, kernel)
        ]
        for name in above:
            if name not in seen:
                seen.add(name)
                waiting.append((*chain, name))


def _mounts(block: Block, kernel: Kernel) -> Iterator[Mount]:
    together = next((members for members in kernel.btrfs if block.name in members), frozenset())
    for mount in kernel.mounts:
        source = kernel.sources.get(mount.source)
        if mount.number == block.number or source == block.name or source in together:
            yield mount


def _backed_by(loop: Block, block: Block, kernel: Kernel) -> bool:
    """Whether the file, or the device, behind a loop or zram lies on `block`."""
    if loop.backing.startswith("/dev/"):
        return PurePosixPath(loop.backing).name == block.name
    under = mount_of(loop.backing, kernel)
    return under is not None and under in tuple(_mounts(block, kernel))


def mount_of(path: str, kernel: Kernel) -> Mount | None:
    """The mount that an absolute path lies on: the longest mount point above it, and of several
    there the last."""
    place = PurePosixPath(path)
    found = None
    for mount in kernel.mounts:  # in the order of mounting, so a later one covers an earlier one
        deeper = found is None or len(PurePosixPath(mount.point).parts) >= len(
            PurePosixPath(found.point).parts
        )
        if deeper and place.is_relative_to(mount.point):
            found = mount
    return found
