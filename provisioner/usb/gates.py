"""The safety gates: why a disk is not written. Pure; nothing is opened, nothing is picked.

One rule each, with its own words (facts iso-usb §8.3). What only the open descriptor or the stick
itself can tell comes from `open_gates` and from the job.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from pathlib import Path

from provisioner.errors import HostError, ProvisionerError, RefusedError
from provisioner.frozen import frozen
from provisioner.host.disk import Identity
from provisioner.usb.devices import Chosen, Disk, Transport, UseKind
from provisioner.usb.devices_uses import Kernel, mount_of

LARGE = 256 * 10**9
"""From here on a disk is more likely somebody's archive than an install stick."""

_REAL = frozenset({Transport.USB, Transport.MMC})


@frozen
class Refusal:
    """Why not. `rule` is stable, as `usb.mounted`; `consent` names what a person may say to go on
    all the same, as an option; empty where nothing helps."""

    rule: str
    message: str
    hint: str
    consent: str = ""

    def error(self) -> GateError:
        """As an exception, exit code 5."""
        return GateError(self.message, rule=self.rule, hint=self.hint)


class GateError(RefusedError):
    """A gate is shut. `rule` says which."""

    def __init__(self, message: str, *, rule: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.rule = rule


@frozen
class Request:
    """What is to be done, and what was consented to.

    `needed`: bytes that have to fit, None for nothing to write; `sources`: files and devices that
    are read; `confirmed_size`: the size a person gave for a large disk, in whole gigabytes.
    """

    needed: int | None = None
    sources: tuple[Path, ...] = ()
    unmount: bool = False
    fixed: bool = False
    confirmed_size: int | None = None
    reading: bool = False


def refusals(disk: Disk, request: Request, kernel: Kernel) -> tuple[Refusal, ...]:
    """Every gate that is shut for this disk, the gravest first."""
    return tuple(_refusals(disk, request, kernel))


def _refusals(disk: Disk, request: Request, kernel: Kernel) -> Iterator[Refusal]:
    yield from _kind(disk, request)
    yield from _source(disk, request, kernel)
    yield from _uses(disk, request)
    yield from _size(disk, request)


def _kind(disk: Disk, request: Request) -> Iterator[Refusal]:
    if disk.transport is Transport.LOOP:
        yield Refusal(
            rule="usb.loop",
            message=f"{disk.node} is a loop device of this system, a file that looks like a disk",
            hint="name a stick; for a file, write an image instead",
        )
    elif disk.transport is Transport.VIRTUAL:
        yield Refusal(
            rule="usb.virtual",
            message=f"{disk.node} is no disk of its own: it is made of others, or of memory",
            hint="name the stick itself",
        )
    elif disk.transport not in _REAL and not disk.removable and not request.fixed:
        yield Refusal(
            rule="usb.transport",
            message=f"{disk.node} ({disk.title}) is a fixed disk, on {disk.transport.value}",
            hint="if it really is the one: --fixed-disk, and its serial",
            consent="--fixed-disk",
        )
    if disk.read_only and not request.reading:
        yield Refusal(
            rule="usb.read-only",
            message=f"{disk.node} ({disk.title}) is write-protected",
            hint="some sticks and SD adapters have a switch; a stick that protected itself is worn "
            "out",
        )


def _source(disk: Disk, request: Request, kernel: Kernel) -> Iterator[Refusal]:
    mounts = {use.where for use in disk.uses if use.kind is UseKind.MOUNT}
    nodes = {disk.name, *(name for use in disk.uses for name in use.chain)}
    nodes |= {part.name for part in disk.partitions}
    for source in request.sources:
        path = source.resolve()
        mount = mount_of(str(path), kernel)
        itself = path.parts[:2] == ("/", "dev") and path.name in nodes
        if itself or str(path) == disk.node or (mount is not None and mount.point in mounts):
            yield Refusal(
                rule="usb.source-on-target",
                message=f"{source} lies on {disk.node} ({disk.title}), which would be erased",
                hint="copy it elsewhere first",
            )


def _uses(disk: Disk, request: Request) -> Iterator[Refusal]:
    if any(use.system for use in disk.uses):
        words = "; ".join(use.describe() for use in disk.uses if use.system)
        yield Refusal(
            rule="usb.system-disk",
            message=f"the running system stands on {disk.node}: {words}",
            hint="name a stick; `provisioner usb list` shows them",
        )
        return
    held = [
        use
        for use in disk.uses
        if use.kind in {UseKind.HOLDER, UseKind.LOOP}
        or (use.kind is UseKind.MOUNT and _indirect(use.chain, disk))
    ]
    if held:
        yield Refusal(
            rule="usb.held",
            message=f"{disk.node} is in use: " + "; ".join(use.describe() for use in held),
            hint="stop what holds it first (umount, vgchange -an, cryptsetup close, mdadm --stop, "
            "losetup -d), then try again",
        )
    mounted = [use for use in disk.uses if use.kind is UseKind.MOUNT and use not in held]
    if mounted and not request.unmount:
        yield Refusal(
            rule="usb.mounted",
            message=f"{disk.node} is mounted: " + "; ".join(use.describe() for use in mounted),
            hint="unmount it, or let it be unmounted: --unmount",
            consent="--unmount",
        )


def _indirect(chain: tuple[str, ...], disk: Disk) -> bool:
    own = {disk.name, *(part.name for part in disk.partitions)}
    return any(name not in own for name in chain)


def _size(disk: Disk, request: Request) -> Iterator[Refusal]:
    if disk.size == 0:
        yield Refusal(
            rule="usb.no-medium",
            message=f"{disk.node} ({disk.title}) has no medium in it",
            hint="insert the card, then look at `provisioner usb list`",
        )
        return
    if request.needed is not None and request.needed > disk.size:
        yield Refusal(
            rule="usb.too-small",
            message=f"{disk.node} has {disk.size} bytes, {request.needed} are needed: "
            f"{request.needed - disk.size} too few",
            hint="take a larger stick",
        )
    if request.needed is not None and disk.sector != 512:
        yield Refusal(
            rule="usb.sector-size",
            message=f"{disk.node} has sectors of {disk.sector} bytes, the image is made for 512",
            hint="take another stick; firmware finds no partition on this one",
        )
    gigabytes = round(disk.size / 10**9)
    if disk.size > LARGE and not request.reading and request.confirmed_size != gigabytes:
        yield Refusal(
            rule="usb.large",
            message=f"{disk.node} ({disk.title}) is large for a stick: {gigabytes} GB",
            hint=f"if it really is the one: --size {gigabytes}",
            consent="--size",
        )


def require_all(disk: Disk, request: Request, kernel: Kernel) -> None:
    """GateError of the gravest gate that is shut."""
    for refusal in refusals(disk, request, kernel):
        raise refusal.error()


def require_proof(disk: Disk, given: str) -> None:
    """GateError where what was typed, or given with `--erase`, is another disk's."""
    if given.strip() != disk.proof:
        raise GateError(
            f"{given.strip() or 'nothing'} was confirmed, and {disk.title} is {disk.proof}",
            rule="usb.erase-mismatch",
            hint="look at `provisioner usb list` again; nothing was written",
        )


def require_same(
    chosen: Chosen, identity: Identity, now: Disk | None, *, writing: bool = True
) -> None:
    """GateError where the open descriptor is not the disk that was chosen, or no longer as it was.

    `now` is what sysfs says of the descriptor's device number. The disk sequence number is the
    descriptor's own where the kernel has the ioctl, sysfs' otherwise.
    """
    diskseq = identity.diskseq if identity.diskseq is not None else now and now.diskseq
    wrong = ""
    if now is None:
        wrong = "it is gone"
    elif chosen.diskseq is not None and diskseq != chosen.diskseq:
        wrong = f"its disk sequence number was {chosen.diskseq} and is {diskseq}"
    elif now.serial != chosen.serial:
        wrong = f"its serial was {chosen.serial or 'none'} and is {now.serial or 'none'}"
    elif identity.number != chosen.number:
        wrong = f"its device number was {chosen.number} and is {identity.number}"
    elif identity.size != chosen.size:
        wrong = f"it had {chosen.size} bytes and has {identity.size}"
    if wrong:
        raise GateError(
            f"{chosen.node} is not the disk that was chosen: {wrong}",
            rule="usb.swapped",
            hint="look at `provisioner usb list` again",
        )
    if writing and identity.read_only:
        raise GateError(
            f"{chosen.node} has become write-protected",
            rule="usb.read-only",
            hint="some sticks and SD adapters have a switch; a stick that protected itself is worn "
            "out",
        )


def opening_error(err: OSError, chosen: Chosen) -> ProvisionerError:
    """Why a disk could not be opened."""
    if err.errno == errno.EBUSY:
        return GateError(
            f"{chosen.node} is in use by something that sysfs does not show, or was mounted just "
            "now",
            rule="usb.busy",
            hint="close what uses it (a file manager, ZFS, another writer), then try again",
        )
    if err.errno in {errno.EROFS}:
        return GateError(
            f"{chosen.node} is write-protected",
            rule="usb.read-only",
            hint="some sticks and SD adapters have a switch",
        )
    if err.errno in {errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.ENOMEDIUM}:
        return GateError(
            f"{chosen.node} is not the disk that was chosen: it is gone",
            rule="usb.swapped",
            hint="plug it in, and look at `provisioner usb list` again",
        )
    if err.errno in {errno.EACCES, errno.EPERM}:
        return HostError(
            f"{chosen.node} may not be opened by you",
            hint="install udisks2, or sudo, or run this as root",
        )
    return HostError(f"cannot open {chosen.node}: {err.strerror}")


def find(disks: Sequence[Disk], wanted: str, *, interactive: bool) -> Disk:
    """The one disk of a stable id, a serial, `diskseq-N`, or, for a person, a kernel name.

    GateError for a name that none or several have, for a partition, and for a kernel name
    where nobody can be shown what it stands for: never is a disk picked for somebody.
    """
    name = wanted.removeprefix("/dev/disk/by-id/").removeprefix("/dev/disk/by-diskseq/")
    by_id = [
        disk
        for disk in disks
        if name in disk.ids or name == f"diskseq-{disk.diskseq}" or name == disk.serial != ""
    ]
    if len(by_id) == 1:
        return by_id[0]
    if by_id:
        others = ", ".join(f"diskseq-{disk.diskseq} ({disk.node})" for disk in by_id)
        raise GateError(
            f"{len(by_id)} disks are named {wanted}",
            rule="usb.ambiguous",
            hint=f"name one by its disk sequence number: {others}",
        )
    short = name.removeprefix("/dev/")
    for disk in disks:
        if short == disk.name:
            if not interactive:
                raise GateError(
                    f"{wanted} is a name that the next stick may have",
                    rule="usb.bare-name",
                    hint=f"name it by its stable id: --to {disk.stable_id}",
                )
            return disk
        for part in disk.partitions:
            if short == part.name or name in {f"{one}-part{part.number}" for one in disk.ids}:
                raise GateError(
                    f"{wanted} is a partition of {disk.title}",
                    rule="usb.partition",
                    hint=f"only whole sticks are written: --to {disk.stable_id}",
                )
    raise GateError(
        f"no disk here is named {wanted}",
        rule="usb.unknown",
        hint="`provisioner usb list` shows the sticks that are plugged in, and their names",
    )
