"""Puts discs into a machine's drives and takes them out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from provisioner.errors import FailedError, RefusedError
from provisioner.ports import Drive, Hypervisor, Medium


def attach(
    hypervisor: Hypervisor, name: str, image: Path, *, target: str | None, force: bool
) -> str:
    """Puts an image into the named drive, or into the last empty one; that drive's target.

    The last one, because the first holds the install disc and the second is the answer disc's.
    """
    _require_ours(hypervisor, name)
    drives = hypervisor.drives(name)
    if target is None:
        empty = [drive for drive in drives if drive.medium is None]
        if not empty:
            held = ", ".join(f"{d.target}: {d.medium.path}" for d in drives if d.medium)
            raise FailedError(
                f"every drive of {name} holds a disc ({held})",
                hint="name the one to change with --drive, or eject one first",
            )
        target = empty[-1].target
    else:
        _require_drive(drives, name, target)
    kind = "qcow2" if _is_qcow2(image) else "raw"
    hypervisor.change_medium(name, target, Medium(path=str(image), format=kind), force=force)
    return target


def eject(hypervisor: Hypervisor, name: str, *, target: str | None, force: bool) -> tuple[str, ...]:
    """Empties the named drive, or the one that holds a disc; the drives that were emptied."""
    _require_ours(hypervisor, name)
    drives = hypervisor.drives(name)
    loaded = [drive for drive in drives if drive.medium is not None]
    if target is not None:
        _require_drive(drives, name, target)
        loaded = [drive for drive in loaded if drive.target == target]
    if target is None and len(loaded) > 1:
        held = ", ".join(f"{d.target}: {d.medium.path}" for d in loaded if d.medium)
        raise FailedError(
            f"{len(loaded)} drives of {name} hold discs ({held})", hint="name one with --drive"
        )
    for drive in loaded:
        hypervisor.change_medium(name, drive.target, None, force=force)
    return tuple(drive.target for drive in loaded)


def _require_ours(hypervisor: Hypervisor, name: str) -> None:
    record = hypervisor.domain(name)
    if record is not None and record.ownership is None:
        raise RefusedError(f"the domain {name} was not made by provisioner; it is left alone")


def _require_drive(drives: Sequence[Drive], name: str, target: str) -> None:
    if all(drive.target != target for drive in drives):
        known = ", ".join(drive.target for drive in drives) or "none"
        raise FailedError(f"{name} has no drive {target}", hint=f"its drives: {known}")


def _is_qcow2(image: Path) -> bool:
    try:
        with image.open("rb") as file:
            return file.read(4) == b"QFI\xfb"
    except OSError as err:
        raise FailedError(f"cannot read {image}: {err.strerror}", hint="check the path") from err
