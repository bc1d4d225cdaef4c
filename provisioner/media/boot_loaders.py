"""What firmware starts from a medium: the files of `EFI/BOOT`, and those in boot images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from provisioner.media.facts import BootEntry, Extent, Platform
from provisioner.media.fat import Fat, read_fat
from provisioner.media.loader import read_loader
from provisioner.media.trust import Authority, Loader
from provisioner.media.walk import Node
from provisioner.media.wim import Wim
from provisioner.media.wim_tree import WimTree
from provisioner.media.window import Damaged, Extents, Window

_MAX_LOADERS = 16
_BLOCK = 2048
_SPARE = "Windows/Boot/EFI_EX/bootmgfw_EX.efi"
BOOT_IMAGE = "[boot image] "


def boot_loaders(
    window: Window, files: Mapping[str, tuple[Extent, ...]], boot: Iterable[BootEntry]
) -> tuple[Loader, ...]:
    """Every loader with its machine and signers; a damaged one says so itself."""
    found: list[Loader] = []
    for path in sorted(files):
        name = path.casefold()
        in_folder = name.startswith("efi/boot/") and name.count("/") == 2
        if in_folder and name.endswith(".efi"):
            found.append(_loader(window, files[path], path))
        if len(found) >= _MAX_LOADERS:
            break
    for entry in boot:
        if entry.platform is Platform.UEFI and entry.media_type == 0:
            found += _inside(window, entry)
    return tuple(found[: 2 * _MAX_LOADERS])


def spare_loaders(
    window: Window,
    files: Mapping[str, tuple[Extent, ...]],
    boot_wim: tuple[str, Wim] | None,
    loaders: Iterable[Loader],
) -> tuple[Loader, ...]:
    """The 2023 boot manager inside boot.wim, where the disc's own loaders need the 2011 one."""
    known = {authority for loader in loaders for authority in loader.authorities}
    if boot_wim is None or Authority.WINDOWS_2011 not in known or Authority.WINDOWS_2023 in known:
        return ()
    path, wim = boot_wim
    image = wim.header.boot_index or wim.header.image_count
    folder, _, name = _SPARE.rpartition("/")
    tree = WimTree(Extents(window, files[path]), wim.header)
    try:
        entries = tree.entries(image, folder)
        entry = next((e for e in entries if e.name.casefold() == name.casefold()), None)
        if entry is None:
            return ()
        return (read_loader(tree.open(entry), f"{path}, image {image}: {_SPARE}"),)
    except Damaged:
        return ()


def _loader(window: Window, extents: tuple[Extent, ...], path: str) -> Loader:
    try:
        return read_loader(Extents(window, extents), path)
    except Damaged as err:
        return Loader(path=path, machine="", subsystem="", problem=err.message)


def _inside(window: Window, entry: BootEntry) -> list[Loader]:
    """The loaders in the FAT volume that a UEFI boot entry points at; none where it is not one."""
    try:
        fat = read_fat(window, entry.lba * _BLOCK)
        found = list(_loaders_of(fat))
    except Damaged:
        return []
    return [_loader(window, extents, BOOT_IMAGE + path) for path, extents in found[:_MAX_LOADERS]]


def _loaders_of(fat: Fat) -> Iterator[tuple[str, tuple[Extent, ...]]]:
    folder: Node | None = fat.root
    path = ""
    for wanted in ("efi", "boot"):
        found = (node for node in fat.children(folder)) if folder else iter(())
        folder = next((n for n in found if n.directory and n.name.casefold() == wanted), None)
        if folder is None:
            return
        path += folder.name + "/"
    assert folder is not None
    for node in fat.children(folder):
        if not node.directory and node.name.casefold().endswith(".efi"):
            yield path + node.name, node.extents or ()
