"""`iso burn`: an image onto a disc, checked before and read back after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from provisioner.disc.verify import Mismatch, same_bytes
from provisioner.disc.view import opened_view
from provisioner.errors import FailedError, HostError, RefusedError, UsageError
from provisioner.frozen import frozen
from provisioner.host.burner import PSEUDO, Blank, BurnOptions, burn, look
from provisioner.host.optical import is_optical, reload_disc

Progress = Callable[[str, int, int], None]


@frozen
class Burnt:
    """What was done. `verified` is None where nothing was read back."""

    medium: Blank
    size: int
    verified: bool | None


def burn_image(
    image: Path,
    drive: str,
    options: BurnOptions,
    *,
    verify: bool = True,
    progress: Progress = lambda label, done, total: None,
) -> Burnt:
    """Burns, ejects, takes the disc in again and compares every byte.

    RefusedError for what is no optical drive and for a disc that is not blank (unless it is to be
    erased), HostError without a fitting disc, FailedError where burning fails or a byte differs.
    """
    place = _place(drive)
    if place.exists() and place.samefile(image):
        raise RefusedError(f"{image} is what is burnt", hint="name the drive")
    with opened_view(image) as view:
        size = view.window.size
    medium = look(drive)
    _require_fitting(drive, medium, size, options)
    burn(drive, str(image), options, lambda done, total: progress("burning", done, total))
    if options.simulate or not verify:
        return Burnt(medium=medium, size=size, verified=None)
    if not drive.startswith(PSEUDO):
        reload_disc(place)
    mismatch, _ = same_bytes(
        image, place, lambda done, total: progress("reading back", done, total)
    )
    if mismatch is not None:
        raise _differs(mismatch)
    return Burnt(medium=medium, size=size, verified=True)


def _place(drive: str) -> Path:
    """Where the disc can be read. Only optical drives, and xorriso's pseudo drives on files."""
    if drive.startswith(PSEUDO):
        place = Path(drive.removeprefix(PSEUDO))
        if place.exists() and not place.is_file():
            raise RefusedError(f"{place} is not a file", hint="a pseudo drive is a file of its own")
        return place
    place = Path(drive)
    if not place.exists():
        raise UsageError(f"there is no drive {drive}", hint="drives are /dev/sr0 and so on")
    if not is_optical(place):
        raise RefusedError(f"{drive} is no optical drive", hint="drives are /dev/sr0 and so on")
    return place


def _require_fitting(drive: str, medium: Blank, size: int, options: BurnOptions) -> None:
    if not medium.empty and not options.blank:
        raise RefusedError(
            f"the {medium.profile} in {drive} is not blank",
            hint="--blank erases it" if medium.rewritable else "insert a blank disc",
        )
    if not medium.empty and not medium.rewritable:
        raise RefusedError(f"the {medium.profile} in {drive} cannot be erased")
    if medium.empty and medium.writable < size:
        raise HostError(
            f"the image has {size} bytes, the {medium.profile} in {drive} takes {medium.writable}",
            hint="insert a larger disc",
        )


def _differs(mismatch: Mismatch) -> FailedError:
    return FailedError(
        f"the disc differs from byte {mismatch.offset} on, in {mismatch.place}",
        hint="burn another one, at a lower --speed; clean the drive's lens",
    )
