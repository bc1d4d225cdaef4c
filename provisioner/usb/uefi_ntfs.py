"""The user's UEFI:NTFS image: the small FAT volume whose loader reads NTFS for the firmware.

It is looked at and put on the stick byte for byte; none is shipped or fetched (facts iso-usb §10).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import field
from pathlib import Path

from provisioner.errors import MediaError
from provisioner.frozen import frozen
from provisioner.media.fat import Fat, is_fat, read_fat
from provisioner.media.loader import is_unchanged, read_loader
from provisioner.media.trust import Loader
from provisioner.media.walk import Node
from provisioner.media.window import Damaged, Extents, Window, opened

MOST_BYTES = 64 << 20
"""Rufus' has 1 MiB."""
MACHINES = {
    "efi/boot/bootx64.efi": "amd64",
    "efi/boot/bootaa64.efi": "arm64",
    "efi/boot/bootia32.efi": "x86",
}
"""Where firmware looks on removable media, and for what machine (UEFI 2.10 §3.5.1.1)."""
_DEEPEST, _MOST_PROGRAMS = 4, 64
_APPLICATION = "EFI application"
_HINT = "it is the file `uefi-ntfs.img` that comes with Rufus' source"


@frozen
class UefiNtfs:
    """The image. `programs` are the loaders and drivers in it; `unsound` those of them that were
    changed since they were signed."""

    path: Path
    data: bytes = field(repr=False)
    programs: tuple[Loader, ...]
    unsound: tuple[str, ...]

    @property
    def digest(self) -> str:
        """SHA-256, in hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()

    def refused(self) -> Iterator[str]:
        """What Secure Boot does not start, and why."""
        for program in self.programs:
            where = f"{program.path} in {self.path.name}"
            if program.path in self.unsound:
                yield f"{where} was changed since it was signed: Secure Boot refuses it"
            elif program.problem:
                yield f"{where}: {program.problem}; Secure Boot refuses it"
            elif not program.signers:
                yield f"{where} is not signed: Secure Boot has to be off to start the stick"

    def warnings(self) -> Iterator[str]:
        """What Secure Boot makes of each program in it."""
        yield from self.refused()
        for program in self.programs:
            if program.signers and not program.problem and program.path not in self.unsound:
                names = ", ".join(signer.subject for signer in program.signers)
                meanings = "; ".join(authority.meaning for authority in program.authorities)
                yield f"{program.path} in {self.path.name} is signed by {names}: it {meanings}"


def read_uefi_ntfs(path: Path, wanted: Collection[str]) -> UefiNtfs:
    """The image at `path`, which must have a loader at one of the paths `wanted`, of `MACHINES`.

    MediaError for a file that is no FAT volume, and where it has no such loader.
    """
    name = path.name
    with opened(path) as window:
        if window.size > MOST_BYTES:
            raise MediaError(
                f"{name} has {window.size:,} bytes, and no UEFI:NTFS image has so many", hint=_HINT
            )
        data = window.read(0, window.size)
        if not is_fat(data[:512]):
            raise MediaError(f"{name} is no FAT volume, as a UEFI:NTFS image is", hint=_HINT)
        try:
            found = [_program(window, *one) for one in _programs(read_fat(window, 0))]
        except Damaged as err:
            raise MediaError(f"{name} is a damaged FAT volume: {err.message}", hint=_HINT) from err
    paths = {loader.path.casefold(): loader for loader, _ in found}
    fitting = sorted({one.casefold() for one in wanted} & set(MACHINES))
    loaders = [(one, paths[one]) for one in fitting if one in paths]
    if not loaders:
        raise MediaError(
            f"{name} has no loader that the PC would start: {' or '.join(fitting)}", hint=_HINT
        )
    for one, loader in loaders:
        if loader.machine != MACHINES[one] or loader.subsystem != _APPLICATION:
            told = f"{loader.subsystem} for {loader.machine}" if loader.machine else loader.problem
            raise MediaError(
                f"{loader.path} in {name} is no loader for {MACHINES[one]} ({told})", hint=_HINT
            )
    return UefiNtfs(
        path=path,
        data=data,
        programs=tuple(loader for loader, _ in found),
        unsound=tuple(loader.path for loader, sound in found if not sound),
    )


def _programs(fat: Fat) -> Iterator[tuple[str, Node]]:
    """Every EFI program, as deep as a sane image has them."""
    folders = [("", fat.root)]
    count = 0
    while folders:
        path, folder = folders.pop()
        for node in fat.children(folder):
            place = f"{path}{node.name}"
            if node.directory and place.count("/") < _DEEPEST:
                folders.append((f"{place}/", node))
            elif node.name.casefold().endswith(".efi"):
                yield place, node
                count += 1
                if count == _MOST_PROGRAMS:
                    return


def _program(window: Window, path: str, node: Node) -> tuple[Loader, bool]:
    """The program, and whether no signature says that it is another one."""
    file = Extents(window, node.extents or ())
    try:
        loader = read_loader(file, path)
        return loader, all(is_unchanged(file, one) is not False for one in loader.signers)
    except Damaged as err:
        return Loader(path=path, machine="", subsystem="", problem=err.message), True
