"""`inspect`: the facts about one medium, read in place.

No root, no mount, no extraction; a few megabytes of range reads whatever the size of the medium.
"""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from provisioner.errors import MediaError
from provisioner.media.boot import read_catalog
from provisioner.media.facts import Edition, Extent, Fingerprint, MediaFacts, MediaKind, WimFile
from provisioner.media.identify import (
    is_evaluation,
    is_volume_licence,
    kind_of,
    not_an_image,
    product_of,
    setup_languages,
)
from provisioner.media.iso import Disc, read_disc
from provisioner.media.wim import Readable, Wim, is_wim, read_wim
from provisioner.media.window import Damaged, Extents, Window, opened

_SETUP_WIMS = re.compile(r"sources/(install\d*\.(wim|esd|swm)|boot\.wim)$", re.IGNORECASE)
_MAX_WIMS = 64
_MAX_TEXT = 64 << 10
_LOADERS = {
    "efi/boot/bootx64.efi": "amd64",
    "efi/boot/bootaa64.efi": "arm64",
    "efi/boot/bootia32.efi": "x86",
}


def inspect(path: Path) -> MediaFacts:
    """What is on the medium at `path`: a disc image, an optical drive, or a WIM file.

    `MediaError`, with a hint, for a missing, empty, truncated or damaged file and for anything
    that is no such medium.
    """
    with opened(path) as window:
        return inspect_window(window)


def inspect_window(window: Window) -> MediaFacts:
    """As `inspect`, for an image that is open; `window.bytes_read` tells what it cost."""
    start = window.read_up_to(0, 4096)
    if is_wim(start):
        return _bare_wim(window)
    disc = read_disc(window)
    if disc is None:
        raise not_an_image(window.path.name, start)
    return _disc(window, disc)


def _disc(window: Window, disc: Disc) -> MediaFacts:
    names = {path.casefold(): path for path in disc.files}
    kind, evidence = kind_of(disc.label, names.keys())
    catalog = read_catalog(window, disc.boot_files)
    remarks = [*disc.remarks, *catalog.remarks]
    wims = _read_wims(window, disc, remarks) if kind is MediaKind.WINDOWS_SETUP else {}
    install = _install_wim(wims, remarks)
    editions = install.editions if install else ()
    boot_wim = next((wim for path, wim in wims.items() if "boot.wim" in path.casefold()), None)
    pe = boot_wim.pe if boot_wim else install.pe if install else ()

    def text(path: str) -> str:
        spelling = names.get(path)
        return _text(window, disc.files[spelling]) if spelling else ""

    return MediaFacts(
        path=window.path,
        kind=kind,
        evidence=(*evidence, *_evidence(disc, editions)),
        fingerprint=_fingerprint(
            window.size, [disc.descriptors, catalog.raw, *(wim.raw for wim in wims.values())]
        ),
        label=disc.label,
        filesystems=disc.filesystems,
        boot=catalog.entries,
        editions=editions,
        languages=setup_languages(text("sources/lang.ini"), pe, editions),
        architecture=_architecture(editions, pe, names),
        product=product_of(editions),
        evaluation=bool(editions) and is_evaluation(editions, disc.label),
        volume_licence=bool(editions) and is_volume_licence(text("sources/ei.cfg"), disc.label),
        wims=tuple(_wim_file(path, wim) for path, wim in wims.items()),
        remarks=tuple(remarks),
        files=disc.files,
    )


def _bare_wim(window: Window) -> MediaFacts:
    name = window.path.name
    try:
        wim = read_wim(window)
    except Damaged as err:
        raise MediaError(
            f"{name} is a damaged WIM file: {err.message}", hint="fetch or copy it again"
        ) from err
    facts = _wim_file(name, wim)
    remarks = [f"it is part {facts.part} of {facts.parts}"] if facts.parts > 1 else []
    return MediaFacts(
        path=window.path,
        kind=MediaKind.WIM,
        evidence=(f"it is a WIM file with {facts.images} images ({facts.compression})",),
        fingerprint=_fingerprint(window.size, [wim.raw]),
        label="",
        editions=wim.editions,
        languages=setup_languages("", wim.pe, wim.editions),
        architecture=_architecture(wim.editions, wim.pe, {}),
        product=product_of(wim.editions),
        evaluation=is_evaluation(wim.editions, ""),
        wims=(facts,),
        remarks=tuple(remarks),
    )


def _read_wims(window: Window, disc: Disc, remarks: list[str]) -> dict[str, Wim]:
    """The WIMs of Setup by path, in path order. A damaged install image ends it all."""
    found: dict[str, Wim] = {}
    paths = sorted(path for path in disc.files if _SETUP_WIMS.match(path))
    for path in paths[:_MAX_WIMS]:
        file: Readable = Extents(window, disc.files[path])
        try:
            found[path] = read_wim(file)
        except Damaged as err:
            if "boot.wim" in path.casefold():
                remarks.append(f"{path}: {err.message}")
                continue
            raise MediaError(
                f"{path} on {window.path.name} is damaged: {err.message}",
                hint="compare the SHA-256 of the image with the one its source publishes",
            ) from err
    return found


def _install_wim(wims: Mapping[str, Wim], remarks: list[str]) -> Wim | None:
    """The image file that Setup takes: install.wim, else .esd, else .swm with all its parts."""
    by_name = {path.casefold(): wim for path, wim in wims.items()}
    for suffix in ("wim", "esd", "swm"):
        wim = by_name.get(f"sources/install.{suffix}")
        if wim is None:
            continue
        if wim.header.parts > 1:
            guid = wim.header.guid
            there = {w.header.part for w in wims.values() if w.header.guid == guid}
            if len(there) < wim.header.parts:
                remarks.append(
                    f"install.{suffix} is split in {wim.header.parts}, but only parts"
                    f" {', '.join(map(str, sorted(there)))} are here"
                )
        if not wim.editions:
            remarks.append(f"sources/install.{suffix} names no Windows edition")
        return wim
    return None


def _evidence(disc: Disc, editions: tuple[Edition, ...]) -> Iterable[str]:
    if editions:
        first = editions[0]
        version = ".".join(map(str, first.version))
        yield f"its first image is {first.display_name} {version} ({first.architecture})"
    if disc.readme_only:
        yield f"{disc.richest} has everything, ISO 9660 only one README"


def _architecture(
    editions: tuple[Edition, ...], pe: tuple[Edition, ...], names: Mapping[str, str]
) -> str | None:
    known = {image.architecture for image in (editions or pe) if image.architecture}
    known = known or {arch for loader, arch in _LOADERS.items() if loader in names}
    return known.pop() if len(known) == 1 else None


def _wim_file(path: str, wim: Wim) -> WimFile:
    header = wim.header
    return WimFile(
        path=path,
        compression=header.compression,
        solid=header.solid,
        part=header.part,
        parts=header.parts,
        images=header.image_count,
    )


def _text(window: Window, extents: tuple[Extent, ...]) -> str:
    """A small configuration file; Windows writes them as UTF-16 with BOM, UTF-8 or ANSI."""
    file = Extents(window, extents)
    data = file.read(0, min(file.size, _MAX_TEXT))
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    return data.removeprefix(codecs.BOM_UTF8).decode("latin-1")


def _fingerprint(size: int, parts: Iterable[bytes]) -> Fingerprint:
    digest = hashlib.sha256(b"provisioner medium 1\0" + size.to_bytes(8, "big"))
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return Fingerprint(size=size, digest=digest.hexdigest())
