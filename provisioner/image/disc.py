"""Writes a tree as a disc of some shape: UDF, ISO 9660, Joliet, Rock Ridge, El Torito.

`mastering` decides and renders; here the bytes go into a file, content by way of the kernel. Answer
discs, small and full of secrets, are written by `iso`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from provisioner.errors import FailedError, Problem, ProfileError, Severity
from provisioner.frozen import frozen
from provisioner.image import boot_catalog
from provisioner.image.boot_catalog import MOST_IMAGES
from provisioner.image.content import Reveal
from provisioner.image.iso_records import BLOCK
from provisioner.image.mastering import Form, Layout, lay_out
from provisioner.image.output import refuse_source, replacing
from provisioner.image.shapes import large_files, name_views, shape_problems
from provisioner.image.transfer import Writeback, write_all, write_payload
from provisioner.tree import File, HostFile, Slice, Tree

Progress = Callable[[int, int], None]
"""`(done, total)` in bytes; called often."""

LATEST = 4_102_444_799
"""2099-12-31 23:59:59: no later date goes onto a disc, whatever a file system says."""

_LABEL = re.compile(r"[A-Za-z0-9_.+ -]{1,32}")
_MOST_PATCHED = 16 * 1024 * 1024


@frozen
class Written:
    """A finished disc. `remarks`: names that were changed, files not everybody can read."""

    size: int
    files: int
    remarks: tuple[str, ...]


def write_disc(
    tree: Tree,
    destination: Path,
    form: Form,
    *,
    reveal: Reveal,
    progress: Progress = lambda done, total: None,
    mode: int = 0o644,
) -> Written:
    """Writes `tree` to `destination`, which appears whole or not at all.

    Same tree, same form: same bytes. Files with equal `content` are stored once.
    Raises ProfileError with every name, size or boot image the shape cannot hold, RefusedError
    where a source lies at `destination`, HostError where the folder is unusable or full, and
    FailedError where a source cannot be read, changes meanwhile, or writing fails.
    """
    problems = [*_form_problems(tree, form), *shape_problems(tree, form.shape)]
    if problems:
        raise ProfileError(problems)
    sources = _sources(tree, form)
    for source in sources:
        refuse_source(destination, source)
    names = name_views(tree, form.shape)
    layout = lay_out(tree, form, names, reveal)
    before = {image: _identity(image) for image in sources}
    with replacing(destination, needed=layout.size, mode=mode) as out:
        _fill(out.fileno(), layout, form, progress)
        for image, identity in before.items():
            if _identity(image) != identity:
                raise FailedError(
                    f"{image} changed while it was read",
                    hint="do not change it meanwhile; try again",
                )
    return Written(
        size=layout.size,
        files=sum(1 for _ in tree.files()),
        remarks=(*names.renamed, *large_files(tree, form.shape)),
    )


def _fill(out: int, layout: Layout, form: Form, progress: Progress) -> None:
    total = sum(stored.payload.length for stored in layout.stored)
    done = position = 0
    writeback = Writeback(out)

    def moved(count: int) -> None:
        nonlocal done, position
        done += count
        position += count
        writeback.reached(position)
        progress(done, total)

    progress(0, total)
    os.ftruncate(out, layout.size)
    for offset, data in layout.pieces:
        write_all(out, data, offset)
    for stored in layout.stored:
        position = stored.block * BLOCK
        write_payload(stored.payload, out, stored.block * BLOCK, moved=moved)
    lengths = {stored.block: stored.payload.length for stored in layout.stored}
    for image, block in zip(form.boot, layout.boot_blocks, strict=True):
        if image.table:
            length = lengths[block]
            data = os.pread(out, min(length, _MOST_PATCHED), block * BLOCK)
            # The checksum covers what GRUB's own number has become, so that goes first.
            if image.grub2:
                place, number = boot_catalog.grub2_place(block)
                data = data[:place] + number + data[place + len(number) :]
                write_all(out, number, block * BLOCK + place)
            write_all(out, boot_catalog.info_table(data, block, length), block * BLOCK + 8)
        elif image.grub2:
            place, number = boot_catalog.grub2_place(block)
            write_all(out, number, block * BLOCK + place)


def _form_problems(tree: Tree, form: Form) -> Iterator[Problem]:
    if not _LABEL.fullmatch(form.label):
        yield _problem(
            "label",
            f"{form.label!r} cannot be the label of a disc",
            "use 1 to 32 letters, digits, spaces or _ - . +",
        )
    if not 0 <= form.recorded <= LATEST:
        yield _problem(
            "epoch",
            f"{form.recorded} is not a date for a disc (1970 to 2099)",
            "SOURCE_DATE_EPOCH counts seconds since 1970",
        )
    if len(form.boot) > MOST_IMAGES:
        yield _problem("boot", f"{len(form.boot)} boot images; a disc takes {MOST_IMAGES}", "")
    for image in form.boot:
        if image.path is None:
            continue
        entry = next((e for p, e in tree.items() if str(p) == image.path), None)
        if not isinstance(entry, File):
            yield _problem(
                "boot", f"the boot image {image.path!r} is not among the files", "check its path"
            )


def _problem(rule: str, message: str, hint: str) -> Problem:
    return Problem(message=message, rule=f"disc.{rule}", severity=Severity.ERROR, hint=hint or None)


def _sources(tree: Tree, form: Form) -> set[Path]:
    files = [file for _, file in tree.files()]
    files += [image.hidden for image in form.boot if image.hidden is not None]
    return {
        part.path if isinstance(part, HostFile) else part.image
        for file in files
        for part in file.content
        if isinstance(part, HostFile | Slice)
    }


def _identity(image: Path) -> tuple[int, int, int]:
    try:
        status = image.stat()
    except OSError as err:
        raise FailedError(f"cannot read {image}: {err.strerror}") from err
    return status.st_size, status.st_mtime_ns, status.st_ino
