"""`iso remaster`: an image with files added, replaced and removed, as a new image or an overlay.

The files of the base are never read here: they are slices of it, moved by the kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path, PurePosixPath

from provisioner.disc.gather import Selection, gather
from provisioner.disc.view import Item, View, glob
from provisioner.errors import MediaError, ProfileError, UsageError
from provisioner.frozen import frozen
from provisioner.image import boot_catalog
from provisioner.image.boot_catalog import UEFI, BootImage
from provisioner.image.content import Reveal
from provisioner.image.disc import LATEST, Written, write_disc
from provisioner.image.mastering import Form
from provisioner.image.overlay import Patch, write_overlay
from provisioner.image.shapes import Shape, shape_problems
from provisioner.image.udf_overlay import overlay_disc
from provisioner.media.boot import BLOCK, NOT_PROMPTING, PROMPTING
from provisioner.media.facts import BootEntry
from provisioner.media.fat import is_fat
from provisioner.tree import Directory, Entry, File, HostFile, Slice, Symlink, Tree

BOOTFIX = "boot/bootfix.bin"
"""Present, Microsoft's BIOS loader asks for a key (facts iso-usb §2.1)."""
DRIVERS = "$WinPEDriver$"
"""Setup takes drivers from here on every letter from C on (facts iso-usb §2.4)."""
_HEAD = 4096


@frozen
class Changes:
    """What is to be different. Paths are on the disc; `add` may not replace, `replace` must.

    `add` and `replace` map a path to a file or folder of this host; "" adds to the root.
    `answers` is merged as it is, `content` replaces single files by what they shall hold.
    """

    add: Sequence[tuple[Path, str]] = ()
    replace: Sequence[tuple[Path, str]] = ()
    remove: Sequence[str] = ()
    drivers: Sequence[Path] = ()
    answers: Tree = field(default_factory=Tree)
    content: Mapping[str, File] = field(default_factory=dict)
    no_prompt: bool = False
    label: str | None = None
    epoch: int | None = None


@frozen
class Remastered:
    """The tree and form of the changed disc, before it is written. `notes` are for people."""

    tree: Tree
    form: Form
    added: tuple[str, ...]
    replaced: tuple[str, ...]
    removed: tuple[str, ...]
    notes: tuple[str, ...]


def plan_remaster(view: View, changes: Changes) -> Remastered:
    """What the disc will be. UsageError for a change that makes no sense on this disc."""
    catalog = _catalogs(view)  # written anew, and no file of the disc
    base = {path: _entry(view, item) for path, item in view.items.items() if path not in catalog}
    work = _Work(view, dict(base), changes)
    work.run()
    boot, notes = _boot(view, work.entries, no_prompt=changes.no_prompt)
    shape = shape_of(view)
    if view.window.read_up_to(510, 2) == b"\x55\xaa":
        notes.append(
            "the boot sector for USB sticks is left out: the disc boots from a drive, not from a "
            "stick it is copied onto"
        )
    tree = Tree(work.entries.items())
    newest = max((f.modified for _, f in tree.files() if f.modified is not None), default=0)
    recorded = changes.epoch if changes.epoch is not None else max(0, min(newest, LATEST))
    form = Form(
        shape=shape,
        label=changes.label if changes.label is not None else view.label[:32] or "DISC",
        recorded=recorded,
        boot=boot,
    )
    return Remastered(
        tree=tree,
        form=form,
        added=tuple(sorted(tree_paths(work.entries) - base.keys())),
        replaced=tuple(sorted(work.replaced)),
        removed=tuple(sorted(base.keys() - tree_paths(work.entries))),
        notes=(*view.remarks, *work.notes, *notes),
    )


def write_remaster(
    remastered: Remastered,
    destination: Path,
    *,
    reveal: Reveal,
    mode: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Written:
    """The full image; raises what `write_disc` raises."""
    return write_disc(
        remastered.tree,
        destination,
        remastered.form,
        reveal=reveal,
        progress=progress,
        mode=mode,
    )


def write_overlay_remaster(
    view: View, remastered: Remastered, destination: Path, *, reveal: Reveal, mode: int
) -> None:
    """The difference as a qcow2 file over the base.

    MediaError where the disc is not one that has its files in UDF alone, except for a boot entry
    that leads elsewhere, which any disc takes.
    """
    form, changed = remastered.form, (*remastered.added, *remastered.replaced, *remastered.removed)
    if not changed and form.label == view.label:
        patches = tuple(_redirected(view, form))
        write_overlay(view.window.path, destination, patches, mode=mode)
        return
    if form.shape is not Shape.WINDOWS:
        raise MediaError(
            f"an overlay over {view.window.path.name} is not possible: "
            f"its files are in {' and '.join(view.sides)}, not in UDF alone",
            hint="leave out --overlay to write a full image",
        )
    problems = [*shape_problems(remastered.tree, form.shape)]
    if problems:
        raise ProfileError(problems)
    overlay = overlay_disc(view.window, view.boot, remastered.tree, form, reveal)
    write_overlay(view.window.path, destination, overlay.patches, size=overlay.size, mode=mode)


def _redirected(view: View, form: Form) -> Iterator[Patch]:
    """The boot entries that lead to another file of the base than before (facts iso-usb §3)."""
    for entry, image in zip(view.boot, form.boot, strict=True):
        if image.path is None:
            continue
        start = view.items[image.path].extents[0].offset
        if start != entry.lba * BLOCK:
            yield Patch(offset=entry.entry_offset + 8, data=(start // BLOCK).to_bytes(4, "little"))


def tree_paths(entries: Mapping[str, Entry]) -> set[str]:
    """Every path, with the folders that are only implied."""
    paths = set(entries)
    for path in entries:
        paths.update(str(parent) for parent in list(PurePosixPath(path).parents)[:-1])
    return paths


def shape_of(view: View) -> Shape:
    """The shape that is most like the image's own."""
    iso = [name for name in view.sides if name != "UDF"]
    if "UDF" not in view.sides:
        return Shape.PORTABLE
    full = any(len(view.sides[name].files) > 2 for name in iso)
    return Shape.DATA if full else Shape.WINDOWS


class _Work:
    def __init__(self, view: View, entries: dict[str, Entry], changes: Changes) -> None:
        self.view = view
        self.entries = entries
        self.changes = changes
        self.replaced: set[str] = set()
        self.notes: list[str] = []
        self._folded = {path.casefold(): path for path in tree_paths(entries)}

    def run(self) -> None:
        """Removes, replaces and adds, in this order; UsageError for what cannot be done."""
        for pattern in self.changes.remove:
            self._remove(pattern)
        for source, target in self.changes.replace:
            for path, entry in _sources(source, target):
                if self._known(path) not in self.entries:
                    raise UsageError(
                        f"{self.view.window.path.name} has no {path} to replace",
                        hint="--add adds it",
                    )
                self._put(path, entry)
        for source, target in self.changes.add:
            self._add(_sources(source, target))
        for folder in self.changes.drivers:
            self._add(_sources(folder, f"{DRIVERS}/{folder.resolve().name}"))
        for path, file in self.changes.content.items():
            self._put(path, file)
        for place, entry in self.changes.answers.items():
            known = self._known(str(place))
            if isinstance(self.entries.get(known), File):
                self.notes.append(f"{known} of the base is replaced by the profile's")
            self._put(str(place), entry)
        if self.changes.no_prompt and self._known(BOOTFIX) in self.entries:
            del self.entries[self._known(BOOTFIX)]

    def _known(self, path: str) -> str:
        """The path in the disc's own spelling, as far as it is there."""
        parts = path.split("/")
        for end in range(len(parts), 0, -1):
            spelling = self._folded.get("/".join(parts[:end]).casefold())
            if spelling is not None:
                return "/".join([spelling, *parts[end:]])
        return path

    def _put(self, path: str, entry: Entry) -> None:
        known = self._known(path)
        old = self.entries.get(known)
        if isinstance(entry, Directory):
            if isinstance(old, File | Symlink):
                raise UsageError(f"{known} is a file of the disc, and would become a folder")
            self.entries.setdefault(known, entry)
        else:
            if isinstance(old, Directory):
                raise UsageError(f"{known} is a folder of the disc, and would become a file")
            if old is not None:
                self.replaced.add(known)
            self.entries[known] = entry
        self._folded.setdefault(known.casefold(), known)

    def _add(self, sources: Sequence[tuple[str, Entry]]) -> None:
        for path, entry in sources:
            there = self.entries.get(self._known(path))
            if there is not None and not isinstance(there, Directory):
                raise UsageError(
                    f"{self.view.window.path.name} has {self._known(path)} already",
                    hint="--replace replaces it",
                )
            self._put(path, entry)

    def _remove(self, pattern: str) -> None:
        matches = glob(pattern)

        def hit(path: str) -> bool:
            while path:
                if matches(path):
                    return True
                path = path.rpartition("/")[0]
            return False

        gone = [path for path in self.entries if hit(path)]
        if not gone:
            raise UsageError(
                f"nothing in {self.view.window.path.name} matches --remove {pattern}",
                hint=f"provisioner iso ls {self.view.window.path.name}",
            )
        for path in gone:
            del self.entries[path]
            self._folded.pop(path.casefold(), None)


def _sources(source: Path, target: str) -> list[tuple[str, Entry]]:
    """What a file or folder of this host becomes at `target`."""
    path = "/".join(part for part in target.split("/") if part not in {"", "."})
    if ".." in path.split("/"):
        raise UsageError(f"{target} leads out of the disc")
    if source.is_dir():
        gathered = gather(source, Selection())
        prefix = f"{path}/" if path else ""
        return [(f"{prefix}{place}", entry) for place, entry in gathered.tree.items()]
    try:
        status = source.stat()
    except OSError as err:
        raise UsageError(f"cannot read {source}: {err.strerror}") from err
    if not source.is_file():
        raise UsageError(f"{source} is neither a file nor a folder")
    if not path or target.endswith("/"):
        path = f"{path}/{source.name}".strip("/")
    file = File(
        content=(HostFile(path=source.resolve(), size=status.st_size),),
        modified=max(0, int(status.st_mtime)),
        mode=status.st_mode & 0o777,
    )
    return [(path, file)]


def _catalogs(view: View) -> frozenset[str]:
    """The boot catalog where it is listed as a file; genisoimage has it in UDF as an empty one."""
    record = view.window.read_up_to(17 * BLOCK, 75)
    place = int.from_bytes(record[71:75], "little") * BLOCK
    return frozenset(
        item.path
        for item in view.files
        if view.boot
        and (
            item.extents[0].offset == place
            if item.extents
            else item.path.rpartition("/")[2].casefold() in {"boot.cat", "boot.catalog"}
        )
    )


def _entry(view: View, item: Item) -> Entry:
    modified = None if item.modified is None else max(0, min(item.modified, LATEST))
    if item.folder:
        return Directory(modified=modified, mode=item.mode)
    if item.link is not None:
        return Symlink(target=item.link)
    return File(content=_slices(view, item), modified=modified, mode=item.mode)


def _slices(view: View, item: Item) -> tuple[Slice, ...]:
    return tuple(
        Slice(image=view.window.path, offset=extent.offset, length=extent.length)
        for extent in item.extents
    )


def _boot(
    view: View, entries: Mapping[str, Entry], *, no_prompt: bool
) -> tuple[tuple[BootImage, ...], list[str]]:
    """The boot entries of the base, each leading to the same file, wherever that will lie."""
    notes: list[str] = []
    images: list[BootImage] = []
    silent = next((path for path in entries if path.casefold() == NOT_PROMPTING), None)
    if no_prompt and silent is None:
        raise UsageError(f"{view.window.path.name} has no {NOT_PROMPTING}")
    by_place = {item.extents[0].offset: item for item in view.files if item.extents}
    for entry in view.boot:
        item = by_place.get(entry.lba * BLOCK)
        path = item.path if item is not None else None
        if no_prompt and entry.platform_id == UEFI and (path or "").casefold() == PROMPTING:
            path = silent
        if path is not None and path not in entries:
            raise UsageError(
                f"{path} is what the disc boots by, and would be removed",
                hint="leave it, or replace it",
            )
        image = _boot_image(view, entry)
        if path is None:
            images.append(replace(image, hidden=_hidden(view, entry)))
        else:
            kept = entries[path] == _entry(view, view.items[path]) if path in view.items else False
            head = image if kept else replace(image, table=False, grub2=False)
            images.append(replace(head, path=path))
    return tuple(images), notes


def _boot_image(view: View, entry: BootEntry) -> BootImage:
    """An entry without its content. The segment is in the raw entry only (El Torito 2.2)."""
    raw = view.window.read(entry.entry_offset, 32)
    head = view.window.read_up_to(entry.lba * BLOCK, _HEAD)
    return BootImage(
        platform=entry.platform_id,
        load_sectors=entry.load_sectors,
        segment=int.from_bytes(raw[2:4], "little"),
        media_type=raw[1],
        bootable=entry.bootable,
        table=boot_catalog.has_info_table(head, entry.lba),
        grub2=boot_catalog.has_grub2_place(head, entry.lba),
    )


def _hidden(view: View, entry: BootEntry) -> File:
    """A boot image that no file leads to: as long as its own FAT says, or as it is loaded."""
    start = entry.lba * BLOCK
    length = entry.load_sectors * 512
    sector = view.window.read_up_to(start, 512)
    if is_fat(sector):
        small = int.from_bytes(sector[19:21], "little")
        sectors = small or int.from_bytes(sector[32:36], "little")
        length = max(length, sectors * int.from_bytes(sector[11:13], "little"))
    if not length or start + length > view.window.size:
        raise MediaError(
            f"the boot image at block {entry.lba} of {view.window.path.name} has no length that "
            "makes sense"
        )
    return File(content=(Slice(image=view.window.path, offset=start, length=length),))
