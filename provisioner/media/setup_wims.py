"""The WIM files that Setup uses on a medium: boot.wim, and install.wim, .esd or a set of .swm."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from provisioner.errors import MediaError
from provisioner.frozen import frozen
from provisioner.media.facts import Edition, Extent, WimFile
from provisioner.media.wim import Wim, WimHeader, read_header, read_wim
from provisioner.media.wim_integrity import has_integrity
from provisioner.media.window import Damaged, Extents, Window, opened

_SETUP_WIMS = re.compile(r"sources/(install\d*\.(wim|esd|swm)|boot\.wim)$", re.IGNORECASE)
_MAX_WIMS = 64
_MAX_SIBLINGS = 256


@frozen
class SetupWims:
    """What was read, by path in path order. `install` is the file that Setup would take."""

    wims: Mapping[str, Wim]
    files: tuple[WimFile, ...]
    install: Wim | None
    boot: tuple[str, Wim] | None

    @property
    def editions(self) -> tuple[Edition, ...]:
        """The images of Windows that Setup offers."""
        return self.install.editions if self.install else ()

    @property
    def pe(self) -> tuple[Edition, ...]:
        """Images that are Windows PE: those of boot.wim, else of an ESD."""
        wim = self.boot[1] if self.boot else self.install
        return wim.pe if wim else ()


NO_WIMS = SetupWims(wims={}, files=(), install=None, boot=None)


def read_wims(
    window: Window, files: Mapping[str, tuple[Extent, ...]], remarks: list[str]
) -> SetupWims:
    """The WIMs of Setup. A damaged install image ends it all; a damaged boot.wim is a remark."""
    found: dict[str, Wim] = {}
    for path in sorted(path for path in files if _SETUP_WIMS.match(path))[:_MAX_WIMS]:
        try:
            found[path] = read_wim(Extents(window, files[path]))
        except Damaged as err:
            if "boot.wim" in path.casefold():
                remarks.append(f"{path}: {err.message}")
                continue
            raise MediaError(
                f"{path} on {window.path.name} is damaged: {err.message}",
                hint="compare the SHA-256 of the image with the one its source publishes",
            ) from err
    install = _install_wim(found, remarks)
    described = tuple(
        wim_file(
            path,
            wim.header,
            size=sum(extent.length for extent in files[path]),
            missing=_missing(wim.header, [w.header for w in found.values()]),
        )
        for path, wim in found.items()
    )
    boot = next((item for item in found.items() if "boot.wim" in item[0].casefold()), None)
    return SetupWims(wims=found, files=described, install=install, boot=boot)


def _install_wim(wims: Mapping[str, Wim], remarks: list[str]) -> Wim | None:
    """The image file that Setup takes: install.wim, else .esd, else .swm with all its parts."""
    by_name = {path.casefold(): wim for path, wim in wims.items()}
    for suffix in ("wim", "esd", "swm"):
        wim = by_name.get(f"sources/install.{suffix}")
        if wim is None:
            continue
        missing = _missing(wim.header, [w.header for w in wims.values()])
        if missing:
            there = sorted(set(range(1, wim.header.parts + 1)) - set(missing))
            remarks.append(
                f"install.{suffix} is split in {wim.header.parts}, but only parts"
                f" {', '.join(map(str, there))} are here"
            )
        if not wim.editions:
            remarks.append(f"sources/install.{suffix} names no Windows edition")
        return wim
    return None


def _missing(header: WimHeader, others: list[WimHeader]) -> tuple[int, ...]:
    """Parts of a split set that are not there; at most a thousand of them are named."""
    there = {other.part for other in others if other.guid == header.guid}
    parts = range(1, min(header.parts, 1000) + 1)
    return tuple(part for part in parts if part not in there and header.parts > 1)


def wim_file(
    path: str,
    header: WimHeader,
    *,
    size: int,
    missing: tuple[int, ...] = (),
    names: tuple[str, ...] = (),
) -> WimFile:
    """A WIM by its header."""
    return WimFile(
        path=path,
        compression=header.compression,
        solid=header.solid,
        part=header.part,
        parts=header.parts,
        images=header.image_count,
        boots=header.boot_index,
        size=size,
        integrity=has_integrity(header),
        pipable=header.pipable,
        missing=missing,
        names=names,
    )


def missing_siblings(path: Path, header: WimHeader) -> tuple[int, ...]:
    """Parts of the set that the file at `path` belongs to and that are not in its folder."""
    if header.parts < 2:
        return ()
    return _missing(header, [header, *_siblings(path)])


def _siblings(path: Path) -> Iterator[WimHeader]:
    """Headers of the files in the same folder with the same suffix and stem, up to a limit."""
    stem = path.stem.rstrip("0123456789").casefold()
    try:
        with os.scandir(path.parent) as entries:
            names = [
                entry.name
                for _, entry in zip(range(10_000), entries, strict=False)
                if entry.name.casefold().startswith(stem)
                and entry.name.casefold().endswith(path.suffix.casefold())
                and entry.name != path.name
            ]
    except OSError:
        return
    for name in sorted(names)[:_MAX_SIBLINGS]:
        try:
            with opened(path.parent / name) as window:
                yield read_header(window)
        except MediaError:
            continue
