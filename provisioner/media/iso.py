"""A disc image as a whole: which file systems it has, and the files of the richest one.

Windows media are a UDF volume with everything beside an ISO 9660 volume with one README
(facts iso-usb §2.1), so the UDF side wins; then Joliet, which Windows prefers to plain ISO 9660.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from provisioner.errors import MediaError
from provisioner.frozen import frozen
from provisioner.media.facts import Extent
from provisioner.media.iso9660 import Iso9660, read_descriptors, read_volumes
from provisioner.media.udf import Udf
from provisioner.media.udf_volume import read_volume, recognised
from provisioner.media.walk import Listing, Node, collect
from provisioner.media.window import Damaged, Unsupported, Window

_README = re.compile(r"(readme(\.\w+)?|boot\.cat)$", re.IGNORECASE)
"""An ISO 9660 side with nothing else tells people to use UDF; pycdlib lists the catalog as well."""


@frozen
class Disc:
    """What the file systems of an image hold.

    `descriptors` are the raw volume descriptors (for the fingerprint); `boot_files` maps the byte
    where a file starts to its path, over every side; `incomplete` says that some file goes on past
    the end of the image; `readme_only` says that the ISO 9660 side
    holds a README and no more, beside a UDF volume; `declared` is the size in bytes that the volume
    claims, 0 when it claims none; `directories` are the places of directories and file entries;
    `nodes` are the files and folders of the richest side, with their dates.
    """

    filesystems: tuple[str, ...]
    richest: str
    label: str
    declared: int
    files: Mapping[str, tuple[Extent, ...]]
    boot_files: Mapping[int, str]
    incomplete: bool
    readme_only: bool
    descriptors: bytes
    directories: tuple[Extent, ...]
    nodes: Mapping[str, Node]
    remarks: tuple[str, ...]


def read_disc(window: Window) -> Disc | None:
    """The disc in an image, or None where there is neither ISO 9660 nor UDF.

    `MediaError` for damage that hides the files; a damaged side beside a whole one is a remark.
    An image that ends before its volume does, with files missing, is reported as truncated.
    """
    descriptors = read_descriptors(window)
    has_udf = recognised(window)
    if not descriptors and not has_udf:
        return None
    try:
        disc = _read_sides(window, descriptors, has_udf=has_udf)
    except Damaged as err:
        declared = max(_primary_size(descriptors), _udf_size(window) if has_udf else 0)
        if declared > window.size:
            raise _truncated(window, declared) from err
        if isinstance(err, Unsupported):
            raise MediaError(
                f"{window.path.name} is a disc in a form that is not read: {err.message}",
                hint="copy its files into an ordinary ISO image",
            ) from err
        raise MediaError(
            f"{window.path.name} is a damaged disc image: {err.message}",
            hint="compare its SHA-256 with the one its source publishes, or fetch it again",
        ) from err
    if disc.declared <= window.size:
        return disc
    if disc.incomplete:
        raise _truncated(window, disc.declared)
    remark = (
        f"the volume says {disc.declared:,} bytes, the file has {window.size:,}: no file is cut"
    )
    return replace(disc, remarks=(*disc.remarks, remark))


def _read_sides(window: Window, descriptors: list[bytes], *, has_udf: bool) -> Disc:
    sides: list[tuple[Udf | Iso9660, Listing]] = []
    volumes: list[Iso9660] = []
    remarks: list[str] = []
    failure: Damaged | None = None
    raw = b"".join(descriptors)
    if has_udf:
        try:
            udf = Udf(volume=read_volume(window), window=window)
            raw += udf.volume.raw
            sides.append((udf, collect(udf, window)))
        except Damaged as err:
            failure = err
    try:
        volumes = read_volumes(window, descriptors)
    except Damaged as err:
        if not sides:
            raise failure or err from err
        remarks.append(f"the ISO 9660 side is damaged: {err.message}")
    for volume in reversed(volumes):  # Joliet before the primary volume
        try:
            sides.append((volume, collect(volume, window)))
        except Damaged as err:
            if not sides:
                failure = failure or err
            remarks.append(f"the {volume.name} side is damaged: {err.message}")
    iso_files = {path for v, side in sides if isinstance(v, Iso9660) for path in side.files}
    readme_only = has_udf and bool(iso_files) and all(_README.match(path) for path in iso_files)
    if failure is not None:
        if not iso_files or readme_only:
            raise failure
        remarks.append(f"the UDF side is not used: {failure.message}")
    richest, listing = _richest(sides)
    boot_files: dict[int, str] = {}
    for _, side in sides:
        for path, extents in side.files.items():
            if extents:
                boot_files.setdefault(extents[0].offset, path)
    labels = [side.label for side, _ in sides] + [volume.label for volume in volumes]
    names = tuple(side.name for side, _ in sides if side.name != "Rock Ridge")
    rock_ridge = any(side.name == "Rock Ridge" for side, _ in sides)
    # Rock Ridge is an extension of the primary volume, so both are there.
    return Disc(
        filesystems=names + (("Rock Ridge", "ISO 9660") if rock_ridge else ()),
        richest=richest.name,
        label=_label([richest.label, *labels]),
        declared=max(side.declared for side, _ in sides),
        files=listing.files,
        boot_files=boot_files,
        incomplete=listing.incomplete,
        readme_only=readme_only,
        descriptors=raw,
        directories=tuple(
            extent
            for side, found in sides
            for extent in (*found.directories, *(side.entries if isinstance(side, Udf) else ()))
        ),
        nodes=listing.nodes,
        remarks=(*listing.remarks, *remarks),
    )


def _richest(sides: list[tuple[Udf | Iso9660, Listing]]) -> tuple[Udf | Iso9660, Listing]:
    if not sides:
        raise Damaged("it has volume descriptors, but no file system that can be read")
    first, listing = sides[0]
    if isinstance(first, Udf) and listing.files:
        return first, listing
    return max(sides, key=lambda side: len(side[1].files))  # the earlier of equals


def _label(labels: list[str]) -> str:
    """The first label, or a longer one that goes on: Joliet's ends after 16 characters."""
    first = next((label for label in labels if label), "")
    return max((label for label in labels if label.startswith(first)), key=len, default="")


def _primary_size(descriptors: list[bytes]) -> int:
    """Volume space size of the primary descriptor, in bytes."""
    return next(
        (
            int.from_bytes(d[80:84], "little") * int.from_bytes(d[128:130], "little")
            for d in descriptors
            if d[0] == 1
        ),
        0,
    )


def _udf_size(window: Window) -> int:
    """End of the UDF volume in bytes, 0 when not even its descriptors can be read."""
    try:
        return read_volume(window).declared
    except Damaged:
        return 0


def _truncated(window: Window, declared: int) -> MediaError:
    missing = declared - window.size
    return MediaError(
        f"{window.path.name} is truncated: the volume says {declared:,} bytes, the file has"
        f" {window.size:,} ({missing:,} are missing)",
        hint="the download or copy stopped early; fetch it again and compare its SHA-256",
    )
