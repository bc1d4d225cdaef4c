"""`inspect`: the facts about one medium, read in place.

No root, no mount, no extraction; a few megabytes of range reads whatever the size of the medium.
"""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from provisioner.errors import MediaError
from provisioner.media.answer_places import answers_inside, bare_answers
from provisioner.media.boot import read_catalog
from provisioner.media.boot_loaders import boot_loaders, spare_loaders
from provisioner.media.disk_image import DiskImage, read_disk_image
from provisioner.media.facts import Edition, Extent, Fingerprint, MediaFacts, MediaKind
from provisioner.media.identify import (
    is_evaluation,
    is_volume_licence,
    kind_of,
    not_an_image,
    product_of,
    setup_languages,
    virtio_version,
)
from provisioner.media.iso import Disc, read_disc
from provisioner.media.partitions import read_partitions
from provisioner.media.setup_config import read_config
from provisioner.media.setup_wims import NO_WIMS, missing_siblings, read_wims, wim_file
from provisioner.media.wim import is_wim, read_wim
from provisioner.media.window import Damaged, Extents, Window, opened

_MAX_TEXT = 64 << 10
_LOADERS = {
    "efi/boot/bootx64.efi": "amd64",
    "efi/boot/bootaa64.efi": "arm64",
    "efi/boot/bootia32.efi": "x86",
}
_WITH_WINDOWS = {MediaKind.WINDOWS_SETUP, MediaKind.DISK_IMAGE}


def inspect(path: Path) -> MediaFacts:
    """What is on the medium at `path`: a disc or disk image, an optical drive, or a WIM file.

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
    if disc is not None:
        return _disc(window, disc)
    image = read_disk_image(window)
    if image is not None:
        return _disk_image(window, image)
    raise not_an_image(window.path.name, start)


def _disc(window: Window, disc: Disc) -> MediaFacts:
    catalog = read_catalog(window, disc.boot_files)
    table = read_partitions(window)
    remarks = [*disc.remarks, *catalog.remarks]
    kind, evidence = kind_of(disc.label, {path.casefold() for path in disc.files})
    wims = read_wims(window, disc.files, remarks) if kind in _WITH_WINDOWS else NO_WIMS
    answers, odd = answers_inside(window, disc.files, boot_wim=wims.boot, writable=False)
    loaders = boot_loaders(window, disc.files, catalog.entries)
    text = _texts(window, disc.files)
    editions = wims.editions
    return MediaFacts(
        path=window.path,
        kind=kind,
        evidence=(*evidence, *_evidence(disc, editions)),
        fingerprint=_fingerprint(
            window.size, [disc.descriptors, catalog.raw, *(w.raw for w in wims.wims.values())]
        ),
        label=disc.label,
        filesystems=disc.filesystems,
        boot=catalog.entries,
        editions=editions,
        languages=setup_languages(text["sources/lang.ini"], wims.pe, editions),
        architecture=_architecture(editions, wims.pe, disc.files),
        product=product_of(editions),
        evaluation=bool(editions) and is_evaluation(editions, disc.label),
        volume_licence=bool(editions) and is_volume_licence(text["sources/ei.cfg"], disc.label),
        wims=wims.files,
        loaders=loaders,
        spare_loaders=spare_loaders(window, disc.files, wims.boot, loaders),
        answers=answers,
        setup_config=read_config(text["sources/ei.cfg"], text["sources/pid.txt"]),
        partition_table=table.scheme if table else None,
        partitions=table.partitions if table else (),
        driver_version=virtio_version(disc.label),
        remarks=(*remarks, *odd),
        files=disc.files,
    )


def _disk_image(window: Window, image: DiskImage) -> MediaFacts:
    """A stick as a file: the facts are those of the FAT volume with the files, if there is one."""
    remarks = [*image.remarks]
    wims = read_wims(window, image.files, remarks)
    answers, odd = answers_inside(window, image.files, boot_wim=wims.boot, writable=True)
    loaders = boot_loaders(window, image.files, ())
    text = _texts(window, image.files)
    editions = wims.editions
    _, evidence = kind_of(image.label, {path.casefold() for path in image.files})
    return MediaFacts(
        path=window.path,
        kind=MediaKind.DISK_IMAGE,
        evidence=(*image.evidence, *(evidence if image.files else ())),
        fingerprint=_fingerprint(window.size, [image.raw, *(w.raw for w in wims.wims.values())]),
        label=image.label,
        filesystems=image.filesystems,
        editions=editions,
        languages=setup_languages(text["sources/lang.ini"], wims.pe, editions),
        architecture=_architecture(editions, wims.pe, image.files),
        product=product_of(editions),
        evaluation=bool(editions) and is_evaluation(editions, image.label),
        volume_licence=bool(editions) and is_volume_licence(text["sources/ei.cfg"], image.label),
        wims=wims.files,
        loaders=loaders,
        spare_loaders=spare_loaders(window, image.files, wims.boot, loaders),
        answers=answers,
        setup_config=read_config(text["sources/ei.cfg"], text["sources/pid.txt"]),
        partition_table=image.scheme,
        partitions=image.partitions,
        remarks=(*remarks, *odd),
        files=image.files,
    )


def _bare_wim(window: Window) -> MediaFacts:
    name = window.path.name
    try:
        wim = read_wim(window)
    except Damaged as err:
        raise MediaError(
            f"{name} is a damaged WIM file: {err.message}", hint="fetch or copy it again"
        ) from err
    header = wim.header
    missing = missing_siblings(window.path, header)
    facts = wim_file(name, header, size=window.size, missing=missing, names=wim.names)
    images = f"{facts.images} image{'' if facts.images == 1 else 's'}"
    # Parts of a set that is whole are nothing odd.
    remarks = [_beside(missing)] if missing else []
    # Only a boot.wim has answers that Setup would find at an image's root.
    boots = wim.pe and not wim.editions
    answers, odd = bare_answers(window, wim, name) if boots else ((), ())
    return MediaFacts(
        path=window.path,
        kind=MediaKind.WIM,
        evidence=(f"it is a WIM file with {images} ({facts.compression})",),
        fingerprint=_fingerprint(window.size, [wim.raw]),
        label="",
        editions=wim.editions,
        languages=setup_languages("", wim.pe, wim.editions),
        architecture=_architecture(wim.editions, wim.pe, {}),
        product=product_of(wim.editions),
        evaluation=is_evaluation(wim.editions, ""),
        wims=(facts,),
        answers=answers,
        remarks=(*remarks, *odd),
    )


def _beside(missing: Sequence[int]) -> str:
    numbers = ", ".join(map(str, missing[:20]))
    if len(missing) == 1:
        return f"part {numbers} of the split set is not beside it"
    return f"parts {numbers} of the split set are not beside it"


def _evidence(disc: Disc, editions: tuple[Edition, ...]) -> Iterable[str]:
    if editions:
        first = editions[0]
        version = ".".join(map(str, first.version))
        yield f"its first image is {first.display_name} {version} ({first.architecture})"
    if disc.readme_only:
        yield f"{disc.richest} has everything, ISO 9660 only one README"


def _architecture(
    editions: tuple[Edition, ...],
    pe: tuple[Edition, ...],
    files: Mapping[str, tuple[Extent, ...]],
) -> str | None:
    known = {image.architecture for image in (editions or pe) if image.architecture}
    names = {path.casefold() for path in files}
    known = known or {arch for loader, arch in _LOADERS.items() if loader in names}
    return known.pop() if len(known) == 1 else None


def _texts(window: Window, files: Mapping[str, tuple[Extent, ...]]) -> Mapping[str, str]:
    """Setup's small configuration files by their path in lower case; empty where missing."""
    found = {"sources/lang.ini": "", "sources/ei.cfg": "", "sources/pid.txt": ""}
    for path, extents in files.items():
        if path.casefold() in found:
            found[path.casefold()] = _text(window, extents)
    return found


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
