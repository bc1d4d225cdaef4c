"""Rules across the keys of a profile about its partitions (docs/facts/windows-setup.md §3.2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from provisioner.errors import Severity
from provisioner.profile.disks import Partition, Use, WindowsDisk
from provisioner.profile.fields import Path
from provisioner.profile.model import Profile
from provisioner.profile.places import Finding

MIB = 1024**2
GIB = 1024**3
FAT32_MOST = 32 * GIB
"""Windows formats no larger FAT32 volume (Microsoft, "Default cluster size for NTFS, FAT, and
exFAT")."""
MBR_MOST = 2 * 1024 * GIB
"""2^32 sectors of 512 bytes."""
EFI_LEAST = 100 * MIB
RECOVERY_LEAST = 300 * MIB
FAT_LABEL = 11
Style = Literal["GPT", "MBR"]
_ONE_ONLY: tuple[Use, ...] = ("efi", "msr", "system", "windows", "recovery")


def partitions(profile: Profile) -> Iterator[Finding]:
    """The layout of every disk against the firmware, and in itself."""
    style: Style = "MBR" if profile.firmware == "bios" else "GPT"
    for path, layout, size in _layouts(profile):
        first = path in (("machine", "disks", 0, "partitions"), ("metal", "disk", "partitions"))
        yield from _uses(path, layout, style, first=first)
        for index, one in enumerate(layout):
            yield from _partition((*path, index), one)
        yield from _room(path, layout, size)
        if style == "MBR" and size is not None and size > MBR_MOST:
            yield _finding(
                path,
                "a BIOS machine's partition tables end at 2 TiB",
                "make the disk smaller, or choose UEFI",
            )
    yield from _letters(profile)


def _layouts(profile: Profile) -> Iterator[tuple[Path, Sequence[Partition], int | None]]:
    """Every layout with its path and the size of its disk in bytes; None: not known."""
    if profile.metal is not None:
        disk = numbered_disk(profile)
        if disk is not None and disk.partitions is not None:
            yield ("metal", "disk", "partitions"), disk.partitions, None
        return
    for index, virtual in enumerate(profile.machine.disks):
        if virtual.partitions is not None:
            yield (
                ("machine", "disks", index, "partitions"),
                virtual.partitions,
                virtual.size.bytes,
            )


def _uses(
    path: Path, layout: Sequence[Partition], style: Style, *, first: bool
) -> Iterator[Finding]:
    uses = [one.use for one in layout]
    wrong: tuple[Use, ...] = ("system",) if style == "GPT" else ("efi", "msr")
    needed: tuple[Use, ...] = ("efi", "windows") if style == "GPT" else ("windows",)
    firmware = "UEFI" if style == "GPT" else "BIOS"
    for index, use in enumerate(uses):
        if use in wrong:
            yield _finding(
                (*path, index, "use"),
                f"a machine that starts with {firmware} has no '{use}' partition",
                "use system in place of efi and msr" if style == "MBR" else "use efi and msr",
            )
        elif not first and use not in ("msr", "data"):
            yield _finding(
                (*path, index, "use"),
                f"'{use}' belongs on the disk of Windows, which is the first",
                "other disks hold `data`",
            )
        elif use in _ONE_ONLY and use in uses[:index]:
            yield _finding((*path, index, "use"), f"a second '{use}' partition", "one is enough")
    for use in needed if first else ():
        if use not in uses:
            yield _finding(
                path,
                f"no '{use}' partition on the disk that Windows starts from with {firmware}",
                f"add {{use: {use}}}",
            )
    if style == "MBR" and len(layout) > 4:
        yield _finding(
            (*path, 4),
            "a disk of a BIOS machine has four partitions at most",
            "put the rest on another disk, or choose UEFI",
        )
    if "recovery" in uses and "windows" in uses and first:
        yield from _recovery(path, uses)


def _recovery(path: Path, uses: Sequence[Use]) -> Iterator[Finding]:
    place, windows = uses.index("recovery"), uses.index("windows")
    if place > windows + 1:
        yield _finding(
            (*path, place),
            "the recovery partition is not directly behind Windows, so that updates of Windows "
            "cannot enlarge it",
            "put it directly behind `windows`, or in front of all others",
            severity=Severity.WARNING,
        )


def _partition(path: Path, one: Partition) -> Iterator[Finding]:
    if one.use == "msr":
        for key in ("format", "label", "letter"):
            if getattr(one, key) is not None:
                yield _finding(
                    (*path, key), f"an msr partition has no {key}", "remove the key", on_key=True
                )
        return
    fat = one.use == "efi" or one.format == "fat32"
    if one.use == "efi" and one.format == "ntfs":
        yield _finding(
            (*path, "format"), "firmware reads no NTFS from the EFI partition", "leave format out"
        )
    elif one.use not in ("efi", "data") and one.format == "fat32":
        yield _finding((*path, "format"), f"'{one.use}' has to be NTFS", "leave format out")
    own_letter = one.use == "windows" and one.letter == "C"
    if one.letter is not None and one.use != "data" and not own_letter:
        yield Finding(
            path=(*path, "letter"),
            message=f"'{one.use}' gets no letter of its own choice",
            rule="machine.drive-letter",
            hint="Windows is C, and the others have no letter",
        )
    if fat and one.label is not None and (len(one.label) > FAT_LABEL or not one.label.isascii()):
        yield Finding(
            path=(*path, "label"),
            message=f"label '{one.label}' does not fit on FAT32",
            rule="machine.volume-label",
            hint=f"at most {FAT_LABEL} characters of ASCII",
        )
    if one.size is None:
        return
    size = one.size.bytes
    if one.use == "efi" and size < EFI_LEAST:
        yield _finding((*path, "size"), f"an EFI partition of {one.size}", "100 MiB or more")
    if one.use == "recovery" and size < RECOVERY_LEAST:
        yield _finding(
            (*path, "size"), f"a recovery partition of {one.size}", "500 MiB or more; 1 GiB is good"
        )
    if one.use == "data" and one.format == "fat32" and size > FAT32_MOST:
        yield _finding(
            (*path, "size"), f"Windows formats no FAT32 volume of {one.size}", "32 GiB at most"
        )


DEFAULT_SIZES: dict[Use, int] = {
    "efi": 260 * MIB,
    "msr": 16 * MIB,
    "system": 500 * MIB,
    "recovery": GIB,
}
"""Sizes of partitions without one, in bytes."""


def _room(path: Path, layout: Sequence[Partition], size: int | None) -> Iterator[Finding]:
    """One takes the rest, and there is one to take."""
    greedy = [
        index
        for index, one in enumerate(layout)
        if one.size is None and one.use not in DEFAULT_SIZES
    ]
    for index in greedy[1:]:
        yield _finding(
            (*path, index),
            "two partitions without a size would both take all that is left",
            "give one of them a size",
        )
    if size is None:
        if greedy and greedy[0] != len(layout) - 1:
            yield _finding(
                (*path, greedy[0]),
                "the size of this disk is not known, so that only the last partition can take "
                "all that is left",
                "give it a size, or put it last",
            )
        return
    taken = sum(
        one.size.bytes if one.size is not None else DEFAULT_SIZES.get(one.use, MIB)
        for one in layout
    )
    if taken + 4 * MIB > size:
        yield _finding(
            path,
            f"partitions of {-(-taken // MIB)} MiB together do not fit on a disk of "
            f"{size // MIB} MiB",
            "a few MiB are needed for the partition table; make the disk larger",
        )


def _letters(profile: Profile) -> Iterator[Finding]:
    seen: set[str] = {"C"}
    for path, layout, _ in _layouts(profile):
        for index, one in enumerate(layout):
            if one.use != "data" or one.letter is None:
                continue
            if one.letter in seen:
                yield Finding(
                    path=(*path, index, "letter"),
                    message=f"drive letter {one.letter} is given twice"
                    if one.letter != "C"
                    else "drive letter C is Windows'",
                    rule="machine.drive-letter",
                    hint="take another one; without a letter Windows chooses",
                )
            seen.add(one.letter)


def numbered_disk(profile: Profile) -> WindowsDisk | None:
    """The disk of a PC that is given by its number."""
    disk = profile.metal.disk if profile.metal is not None else None
    return disk if isinstance(disk, WindowsDisk) else None


def metal_disk(profile: Profile) -> Iterator[Finding]:
    """A physical disk is erased, or kept, only in so many words."""
    disk = numbered_disk(profile)
    if disk is None:
        return
    path: Path = ("metal", "disk")
    if disk.policy == "wipe":
        for key in ("install_to", "format"):
            if key in disk.model_fields_set:
                yield _metal(key, f"`{key}` belongs to `policy: keep`", "remove it")
        yield Finding(
            path=(*path, "policy"),
            message=f"everything on the disk that Setup counts as {disk.number} is erased, and "
            "nobody is asked",
            rule="metal.wipe",
            severity=Severity.WARNING,
            hint="an install stick and other disks are counted too, differently from PC to PC; "
            "without metal.disk Setup asks",
        )
        return
    if disk.install_to is None:
        yield _metal("policy", "`keep` needs the partition for Windows", "add install_to")
    if disk.partitions is not None:
        yield _metal("partitions", "`partitions` belongs to `policy: wipe`", "remove it")


def _metal(key: str, message: str, hint: str) -> Finding:
    return Finding(
        path=("metal", "disk", key), message=message, rule="metal.disk", hint=hint, on_key=True
    )


def _finding(
    path: Path,
    message: str,
    hint: str,
    *,
    severity: Severity = Severity.ERROR,
    on_key: bool = False,
) -> Finding:
    return Finding(
        path=path,
        message=message,
        rule="machine.partitions",
        severity=severity,
        hint=hint,
        on_key=on_key,
    )


def apply(profile: Profile) -> Iterator[Finding]:
    """Applying the image oneself: a whole disk that is known, and labels that diskpart reads."""
    windows = profile.windows
    if windows.install_by != "apply":
        return
    path: Path = ("windows", "install_by")
    if windows.answer_file is not None:
        yield _apply(
            path,
            "an answer file of your own starts no script of provisioner's",
            "leave install_by out",
        )
    disk = numbered_disk(profile)
    if profile.metal is not None and (disk is None or disk.policy == "keep"):
        yield _apply(
            path,
            "`apply` lays out a whole disk, and this profile names none of the PC's",
            "leave install_by out, or name the disk: metal: {disk: {number: 0, policy: wipe}}",
        )
    for place, layout, _ in _layouts(profile):
        for index, one in enumerate(layout):
            if one.label is not None and not one.label.isascii():
                yield _apply(
                    (*place, index, "label"),
                    f"diskpart may not read the label '{one.label}'",
                    "use ASCII only with `install_by: apply`",
                )
            if one.use == "data" and one.letter is not None:
                yield _apply(
                    (*place, index, "letter"),
                    "letters given in Windows PE do not last; Windows chooses its own",
                    "leave the letter out with `install_by: apply`",
                    severity=Severity.WARNING,
                )


def _apply(path: Path, message: str, hint: str, *, severity: Severity = Severity.ERROR) -> Finding:
    return Finding(
        path=path, message=message, rule="windows.install-by", severity=severity, hint=hint
    )
