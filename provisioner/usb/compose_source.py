"""What of a Windows installation disc goes on a stick: every file as slices of the untouched image.

Whatever keeps the disc from becoming a stick is refused here, before anything is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from provisioner.errors import MediaError
from provisioner.frozen import frozen
from provisioner.media.editions import listed
from provisioner.media.facts import Extent, MediaFacts, MediaKind
from provisioner.media.iso import read_disc
from provisioner.media.walk import Node
from provisioner.media.window import Extents, Window, joined, opened
from provisioner.tree import Directory, Entry, File, HostFile, Slice, Tree
from provisioner.usb.fat32 import LARGEST_FILE
from provisioner.usb.fat32_names import EARLIEST
from provisioner.usb.split import PART_BYTES, Part, part_name, split

NTFS = "--layout ntfs --uefi-ntfs FILE, with a UEFI:NTFS image of yours,"
"""The way out for what FAT32 cannot hold, as hints begin with it."""
_LOADER = re.compile(r"efi/boot/boot(x64|aa64|ia32)\.efi", re.IGNORECASE)
_INSTALL = re.compile(r"sources/install\d*\.(wim|esd|swm)", re.IGNORECASE)


@frozen
class Export:
    """A WIM made of one edition of the disc, in place of the disc's own. `index` as on the disc."""

    path: Path
    size: int
    index: int


@frozen
class WindowsMedia:
    """The tree of the stick without answers, and what was decided on the way.

    `parts` are those of a split install.wim, empty where it is whole. `install` says in words
    what became of it.
    """

    facts: MediaFacts
    tree: Tree
    install: str
    parts: tuple[Part, ...]
    notes: tuple[str, ...]


def windows_media(
    facts: MediaFacts,
    *,
    export: Export | None = None,
    part_bytes: int | None = None,
    ntfs: bool = False,
) -> WindowsMedia:
    """The files of a Windows disc as they will lie on the stick.

    `part_bytes` splits an install.wim that is larger; without it only one that FAT32 cannot hold,
    and on `ntfs`, which holds files of any size, none.
    Raises MediaError for what no stick can be made of, with the choices there are.
    """
    name = facts.path.name
    if facts.kind is not MediaKind.WINDOWS_SETUP:
        raise MediaError(
            f"{name} is no Windows installation disc ({facts.kind})",
            hint="other images are written to a stick as they are, not composed",
        )
    if not loaders(facts):
        raise MediaError(
            f"{name} has no loader for UEFI (efi/boot/bootx64.efi), so a stick made of it would "
            "start no PC",
            hint="discs of Windows 7 and older start by BIOS only, which sticks are not made for",
        )
    missing = [f"{wim.path}: {wim.missing}" for wim in facts.wims if wim.missing]
    if missing:
        raise MediaError(f"{name} has not all parts of its split image ({missing[0]})")
    with opened(facts.path) as window:
        disc = read_disc(window)
        if disc is None:
            raise MediaError(f"{name} is no disc image any more")
        entries = dict(_entries(facts, disc.nodes))
        install = _install_path(entries)
        parts: tuple[Part, ...] = ()
        words = "as it is"
        if export is not None:
            entries, install = _exported(entries, export), "sources/install.wim"
            words = f"image {export.index} of {len(facts.editions)} alone"
        size = _length(entries.get(install)) if install is not None else 0
        most = LARGEST_FILE if part_bytes is None else min(part_bytes, LARGEST_FILE)
        if not ntfs and install is not None and size > most:
            parts = _parts(window, facts, entries, install, export, part_bytes or PART_BYTES)
            old = entries.pop(install)
            dated = old.modified if isinstance(old, File) else None
            for number, part in enumerate(parts, start=1):
                entries[part_name(install, number)] = replace(part.file, modified=dated)
            words = f"{words}, split in {len(parts)}" if export else f"split in {len(parts)}"
    for path, entry in entries.items():
        if _length(entry) > LARGEST_FILE and not ntfs:
            raise MediaError(
                f"{path} on {name} has {_length(entry):,} bytes; a file on a FAT32 stick is "
                "smaller than 4 GiB, and only an install.wim can be split",
                hint=f"{NTFS} holds it; or make a disc without it: provisioner iso remaster "
                "--remove",
            )
    return WindowsMedia(
        facts=facts, tree=Tree(entries.items()), install=words, parts=parts, notes=_notes(facts)
    )


def loaders(facts: MediaFacts) -> tuple[str, ...]:
    """The paths of the loaders that firmware starts from removable media."""
    return tuple(path for path in facts.files if _LOADER.fullmatch(path))


def laid_over(media: Tree, added: Tree) -> tuple[Tree, tuple[str, ...]]:
    """Both trees in one, folders in the medium's own spelling; and the files that were replaced."""
    spelled: dict[str, str] = {}
    for path in media:
        text = str(path)
        for end in [i for i, c in enumerate(text) if c == "/"] + [len(text)]:
            spelled.setdefault(text[:end].casefold(), text[:end])
    entries: dict[str, Entry] = {str(path): entry for path, entry in media.items()}
    replaced = []
    for path, entry in added.items():
        place = _respelled(str(path), spelled)
        if isinstance(entries.get(place), File):
            replaced.append(place)
        entries[place] = entry
    return Tree(entries.items()), tuple(replaced)


def _respelled(path: str, spelled: Mapping[str, str]) -> str:
    parts = path.split("/")
    for end in range(len(parts), 0, -1):
        known = spelled.get("/".join(parts[:end]).casefold())
        if known is not None:
            return "/".join([known, *parts[end:]])
    return path


def _entries(facts: MediaFacts, nodes: Mapping[str, Node]) -> Iterable[tuple[str, Entry]]:
    for path, node in nodes.items():
        modified = None if node.modified is None else max(node.modified, EARLIEST)
        if node.directory:
            yield path, Directory(modified=modified)
        elif path in facts.files:
            yield path, File(content=_slices(facts.path, facts.files[path]), modified=modified)


def _slices(image: Path, extents: Sequence[Extent]) -> tuple[Slice, ...]:
    return tuple(
        Slice(image=image, offset=extent.offset, length=extent.length) for extent in joined(extents)
    )


def _install_path(entries: Mapping[str, Entry]) -> str | None:
    """The image file that Setup would take: install.wim before install.esd."""
    for suffix in ("wim", "esd"):
        for path in entries:
            if path.casefold() == f"sources/install.{suffix}":
                return path
    return None


def _length(entry: Entry | None) -> int:
    if not isinstance(entry, File):
        return 0
    return sum(part.length for part in entry.content if isinstance(part, Slice)) + sum(
        part.size for part in entry.content if isinstance(part, HostFile)
    )


def _exported(entries: Mapping[str, Entry], export: Export) -> dict[str, Entry]:
    kept = {path: entry for path, entry in entries.items() if not _INSTALL.fullmatch(path)}
    kept["sources/install.wim"] = File(
        content=(HostFile(path=export.path, size=export.size),), modified=None
    )
    return kept


def _parts(
    window: Window,
    facts: MediaFacts,
    entries: Mapping[str, Entry],
    install: str,
    export: Export | None,
    limit: int,
) -> tuple[Part, ...]:
    if export is not None:
        with opened(export.path) as made:
            whole = Slice(image=export.path, offset=0, length=export.size)
            return split(made, (whole,), name=install, limit=limit)
    entry = entries[install]
    assert isinstance(entry, File)
    content = tuple(part for part in entry.content if isinstance(part, Slice))
    if any(wim.path == install and wim.solid for wim in facts.wims):
        raise solid(facts, install, sum(part.length for part in content))
    return split(Extents(window, facts.files[install]), content, name=install, limit=limit)


def solid(facts: MediaFacts, install: str, size: int) -> MediaError:
    """The refusal of a solid image that FAT32 cannot hold, with the choices (issue of many tools:
    facts iso-usb §0.4)."""
    return MediaError(
        f"{install} on {facts.path.name} has {size:,} bytes and is solid: FAT32 holds less than "
        "4 GiB in a file, and what is solid cannot be split",
        hint=f"{NTFS} holds it as it is; or --export-edition N takes one edition out of it, "
        f"recompressed so that it can be split; it holds {listed(facts.editions)}",
    )


def _notes(facts: MediaFacts) -> tuple[str, ...]:
    return tuple(
        f"the medium carries an answer file of its own: {answer.path}" for answer in facts.answers
    )
