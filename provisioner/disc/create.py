"""`iso create`: a folder becomes a disc."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from provisioner.disc.gather import Gathered, Selection, gather, share_duplicates
from provisioner.errors import FailedError, ProvisionerError, RefusedError, UsageError
from provisioner.frozen import frozen
from provisioner.image.boot_catalog import BIOS, UEFI, BootImage, has_grub2_place
from provisioner.image.content import planned_length
from provisioner.image.disc import LATEST, Written, write_disc
from provisioner.image.mastering import Form
from provisioner.image.shapes import Shape
from provisioner.secret import SecretSlot
from provisioner.tree import Entry, File, HostFile, Symlink, Tree

FOUR_GIB = 1 << 32
NO_PROMPT = "efi/microsoft/boot/efisys_noprompt.bin"

_WINDOWS = re.compile(r"sources/(boot\.wim|install\.(wim|esd|swm))$", re.IGNORECASE)


@frozen
class Loader:
    """A boot image that discs are known to have. `sectors` of 512 bytes are loaded, fewer where it
    is smaller; None: all of it."""

    path: str
    platform: int
    sectors: int | None
    table: bool = False
    grub2: bool = False


LOADERS = (
    Loader(path="boot/etfsboot.com", platform=BIOS, sectors=8),
    Loader(path="isolinux/isolinux.bin", platform=BIOS, sectors=4, table=True),
    Loader(path="boot/grub/i386-pc/eltorito.img", platform=BIOS, sectors=4, table=True, grub2=True),
    Loader(path="boot/grub/bios.img", platform=BIOS, sectors=4, table=True, grub2=True),
    Loader(path="efi/microsoft/boot/efisys.bin", platform=UEFI, sectors=1),
    Loader(path="images/efiboot.img", platform=UEFI, sectors=None),
    Loader(path="boot/grub/efi.img", platform=UEFI, sectors=None),
    Loader(path="efi.img", platform=UEFI, sectors=None),
)
"""Where loaders lie: Microsoft's (facts iso-usb §2.1, load sizes too), isolinux (its wiki), GRUB
(grub-mkrescue), Red Hat's. The first of a platform that is there is used."""


@frozen
class Order:
    """What is wanted. None: found out. `bios` and `uefi` are paths in the folder; "" is none."""

    shape: Shape | None = None
    label: str | None = None
    epoch: int | None = None
    bios: str | None = None
    uefi: str | None = None
    no_prompt: bool = False
    exclude: Sequence[str] = ()
    hidden: bool = True
    deduplicate: bool = True


@frozen
class Created:
    """What came out of it. `notes`: skipped, renamed, and what somebody should know."""

    shape: Shape
    label: str
    written: Written
    boot: tuple[BootImage, ...]
    saved: int
    notes: tuple[str, ...]


def create(
    folder: Path,
    destination: Path,
    order: Order,
    *,
    progress: Callable[[str, int, int], None] = lambda label, done, total: None,
) -> Created:
    """Writes the disc; it appears under its name when it is complete.

    Its date is `epoch`, without one that of the newest file, so that the same folder gives the
    same bytes. Raises UsageError, ProfileError (names and sizes), RefusedError (a link out of the
    folder, the disc inside it), HostError and FailedError.
    """
    if destination.parent.resolve().is_relative_to(folder.resolve()):
        raise RefusedError(
            f"{destination} would lie inside {folder}, which it is made from",
            hint="write the disc somewhere else",
        )
    links = order.shape in {None, Shape.PORTABLE, Shape.DATA}
    gathered = _gather(folder, order, links=links)
    shape = order.shape or _shape_of(gathered.tree)
    if shape is Shape.WINDOWS and links:
        gathered = _gather(folder, order, links=False)
    tree = gathered.tree
    saved = 0
    if order.deduplicate:
        tree, saved = share_duplicates(tree, progress=lambda d, t: progress("comparing", d, t))
    recorded = min(gathered.newest, LATEST) if order.epoch is None else order.epoch
    tree = _no_later(tree, recorded)
    boot = _boot_images(tree, order)
    form = Form(
        shape=shape,
        label=order.label or label_of(folder.resolve().name),
        recorded=recorded,
        boot=boot,
    )
    written = write_disc(
        tree,
        destination,
        form,
        reveal=_no_secrets,
        progress=lambda done, total: progress(destination.name, done, total),
    )
    return Created(
        shape=shape,
        label=form.label,
        written=written,
        boot=boot,
        saved=saved,
        notes=(*gathered.notes, *written.remarks),
    )


def label_of(name: str) -> str:
    """A label made from a name: capital letters, digits and `_`, at most 16."""
    return re.sub(r"[^A-Z0-9_-]+", "_", name.upper()).strip("_")[:16] or "DISC"


def _gather(folder: Path, order: Order, *, links: bool) -> Gathered:
    return gather(folder, Selection(exclude=order.exclude, hidden=order.hidden, links=links))


def _shape_of(tree: Tree) -> Shape:
    if any(_WINDOWS.match(str(path)) for path in tree):
        return Shape.WINDOWS
    if any(planned_length(file) >= FOUR_GIB for _, file in tree.files()):
        return Shape.DATA
    return Shape.PORTABLE


def _no_later(tree: Tree, recorded: int) -> Tree:
    """SOURCE_DATE_EPOCH's rule: no date is later than that of the disc, or before 1970."""

    entries: list[tuple[PurePosixPath, Entry]] = []
    for path, entry in tree.items():
        if not isinstance(entry, Symlink) and entry.modified is not None:
            entry = replace(entry, modified=max(0, min(entry.modified, recorded)))
        entries.append((path, entry))
    return Tree(entries)


def _boot_images(tree: Tree, order: Order) -> tuple[BootImage, ...]:
    files = {str(path).casefold(): (str(path), file) for path, file in tree.files()}
    images = []
    for platform, given in ((BIOS, order.bios), (UEFI, order.uefi)):
        if given == "":
            continue
        if given is not None:
            path = str(PurePosixPath(given))
            known = next((each for each in LOADERS if each.path == path.casefold()), None)
            loader = known or Loader(path=path, platform=platform, sectors=None)
            if path.casefold() not in files:
                raise UsageError(
                    f"the boot image {given} is not in the folder",
                    hint="its path is relative to the folder, as boot/etfsboot.com",
                )
        else:
            found = [e for e in LOADERS if e.platform == platform and e.path in files]
            if not found:
                continue
            loader = found[0]
            if order.no_prompt and platform == UEFI and NO_PROMPT in files:
                loader = Loader(path=NO_PROMPT, platform=UEFI, sectors=1)
        spelling, file = files[loader.path.casefold()]
        images.append(_image(loader, platform, spelling, file))
    if order.no_prompt and not any((i.path or "").casefold() == NO_PROMPT for i in images):
        raise UsageError(f"the folder has no {NO_PROMPT}, so the disc would ask for a key")
    return tuple(images)


def _image(loader: Loader, platform: int, path: str, file: File) -> BootImage:
    length = planned_length(file)
    whole = -(-length // 512)
    sectors = whole if loader.sectors is None else min(whole, loader.sectors)
    if not length:
        raise UsageError(f"the boot image {path} is empty")
    if sectors > 0xFFFF:
        if platform == BIOS:
            raise UsageError(f"the boot image {path} is too large for a BIOS ({length} bytes)")
        sectors = 0  # UEFI 2.10 §13.3.2.1: 0 and 1 mean all there is
    head = _head(file)
    # Taken off another disc, a loader brings the table of its old place; it gets one of the new.
    old = int.from_bytes(head[12:16], "little")
    carries = head[8:12] == b"\x10\0\0\0" and int.from_bytes(head[16:20], "little") == length
    return BootImage(
        platform=platform,
        load_sectors=sectors,
        path=path,
        table=loader.table or carries,
        grub2=loader.grub2 or (carries and has_grub2_place(head, old)),
    )


def _head(file: File) -> bytes:
    part = file.content[0]
    assert isinstance(part, HostFile)
    try:
        with part.path.open("rb") as stream:
            return stream.read(4096)
    except OSError as err:
        raise FailedError(f"cannot read {part.path}: {err.strerror}") from err


def _no_secrets(slot: SecretSlot) -> str:
    raise ProvisionerError(f"a folder's tree has a slot for {slot.name}")
