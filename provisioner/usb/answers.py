"""The answers of a profile on a stick: where they lie, and how Windows PE finds the disk.

Places after facts iso-usb §2.3 and §8.2. With a disk to erase, the stick's own answer file erases
nothing: a script in Windows PE puts one of the prepared ones in its place once it has found exactly
one disk that fits, and starts again. Each of those names the disk by its number, and the stick.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from provisioner.answers.disc import ANSWER_FILE, AnswerDisc, compose
from provisioner.answers.drivers import IN_SETUP
from provisioner.answers.windows import DiskNumbers, Stick
from provisioner.errors import MediaError, Problem, RefusedError
from provisioner.frozen import frozen
from provisioner.media.editions import resolve_edition
from provisioner.media.facts import MediaFacts
from provisioner.media.wim import read_header
from provisioner.media.wim_tree import WimTree
from provisioner.media.window import Damaged, Extents, opened
from provisioner.profile.metal import DiskChoice, Metal
from provisioner.profile.model import Profile
from provisioner.templating import Templates
from provisioner.tree import Entry, File, HostFile, Text, Tree

FIRST_START = "sources/$OEM$/$$/Panther/unattend.xml"
"""Where only the installed Windows reads it; an answer file without a windowsPE pass at the root
would be read and not be handed on (facts iso-usb §0.7, §2.3)."""
FOLDER = "provision/disk"
SCRIPT = f"{FOLDER}/select-disk.cmd"
SERIALS = f"{FOLDER}/serials.vbs"
MOST_DISKS = 4
"""Answers are prepared for disks 0 to 3, the stick among them."""
LETTERS = "C D E F G H I J K L M N O P Q R S T U V W Y Z"
_COMMAND = (
    'cmd.exe /d /c "(for %d in ({letters}) do @if exist %d:\\{script} call %d:\\{script}{numbers}) '
    '& if not exist X:\\provision.ok for /l %n in (0,0,1) do @ping -n 9 127.0.0.1 >nul"'
)
_LENGTH = 255
"""What the best known generator keeps windowsPE commands to (windows-setup.md §3.8)."""
_TOLERANCE = 4
_NEEDED = ("diskpart.exe", "wpeutil.exe", "drvload.exe")
_FOR_SERIALS = ("cscript.exe", "vbscript.dll", "wbem/wbemdisp.dll", "wbem/cimwin32.dll")


@frozen
class StickAnswers:
    """What a profile adds to a stick, and the lines that `plan` shows of it."""

    disc: AnswerDisc
    tree: Tree
    facts: tuple[tuple[str, str], ...]
    problems: tuple[Problem, ...]


def stick_answers(
    profile: Profile, install: MediaFacts, *, label: str, templates: Templates
) -> StickAnswers:
    """The files of the profile for a stick with this volume label.

    Raises RefusedError for a profile that is no physical PC's, MediaError for folders of drivers
    that are none and where Windows PE on the medium lacks what choosing the disk needs.
    """
    metal = profile.metal
    if metal is None:
        raise RefusedError(
            f"{profile.name} describes a virtual machine, whose answers erase disk 0",
            hint="write `metal: {}` in place of `machine`, as the profile usb-laptop does",
        )
    if metal.firmware == "bios":
        raise RefusedError(
            f"{profile.name} is for a PC with BIOS, and a stick starts by UEFI alone",
            hint="use `firmware: uefi`; any PC that can run Windows 11 has it",
        )
    edition = resolve_edition(install, profile.windows.edition)
    chosen = metal.wipe and metal.answers == "setup"

    def disc(numbers: DiskNumbers | None) -> AnswerDisc:
        stick = Stick(
            numbers=numbers,
            command=_command(numbers) if chosen else None,
            windows_pe=metal.answers == "setup",
        )
        return compose(profile, install, edition, None, templates=templates, stick=stick)

    base = disc(None)
    entries: list[tuple[str, Entry]] = [
        (FIRST_START if str(path) == ANSWER_FILE and metal.answers != "setup" else str(path), file)
        for path, file in base.tree.files()
    ]
    entries += _drivers(metal)
    if chosen:
        _require_tools(install, serial=_serial(metal) is not None)
        answer = _answer(base)
        entries.append((f"{FOLDER}/ask.xml", answer))
        for target in range(MOST_DISKS):
            for stick in (number for number in range(MOST_DISKS) if number != target):
                numbers = DiskNumbers(target=target, stick=stick, label=label)
                entries.append((f"{FOLDER}/{target}-{stick}.xml", _answer(disc(numbers))))
        context = _script_context(metal, label)
        names = {SCRIPT: "select-disk.cmd"}
        if context["serial"]:
            names[SERIALS] = "serials.vbs"
        for path, name in names.items():
            rendered = templates.render(f"windows/scripts/{name}.j2", context)
            entries.append((path, File(content=(Text(parts=rendered.parts),))))
    return StickAnswers(
        disc=base, tree=Tree(entries), facts=_facts(metal, chosen=chosen), problems=base.problems
    )


def wanted(metal: Metal) -> str:
    """The choice of the disk in words: `the disk with serial S4EVNX0R, bus nvme`."""
    if not isinstance(metal.disk, DiskChoice):
        return "the only disk beside the stick"
    choice = metal.disk
    said = [
        f"serial {choice.serial}" if choice.serial else "",
        f"model {choice.model}" if choice.model else "",
        f"bus {choice.bus}" if choice.bus else "",
        f"size {choice.size}" if choice.size else "",
    ]
    return "the disk with " + ", ".join(part for part in said if part)


def _facts(metal: Metal, *, chosen: bool) -> tuple[tuple[str, str], ...]:
    if metal.answers == "first-start":
        yes = "for the first start of Windows only; Setup asks"
    elif chosen:
        yes = f"wipes {wanted(metal)}, and no other"
    else:
        yes = "yes; Setup asks which disk to take"
    drivers = len(metal.drivers)
    return (
        ("answers", yes),
        *((("drivers", f"{drivers} folder{'s' if drivers != 1 else ''}"),) if drivers else ()),
    )


def _command(numbers: DiskNumbers | None) -> str:
    """Finds the script on whatever letter the stick has; without its consent, waits for ever.

    A command that does not return holds Setup, and exit codes are not looked at (§3.8).
    """
    given = "" if numbers is None else f" {numbers.target} {numbers.stick}"
    command = _COMMAND.format(letters=LETTERS, script=SCRIPT.replace("/", "\\"), numbers=given)
    if len(command) > _LENGTH:
        raise ValueError(f"the command has {len(command)} characters")
    return command


def _answer(disc: AnswerDisc) -> File:
    entry = disc.tree[PurePosixPath(ANSWER_FILE)]
    assert isinstance(entry, File)
    return entry


def _serial(metal: Metal) -> str | None:
    return metal.disk.serial if isinstance(metal.disk, DiskChoice) else None


def _script_context(metal: Metal, label: str) -> Mapping[str, Any]:
    choice = metal.disk if isinstance(metal.disk, DiskChoice) else DiskChoice()
    low = high = ""
    if choice.size is not None:
        # diskpart tells whole GiB, cut off.
        gib, size = 1 << 30, choice.size.bytes
        low = str(size * (100 - _TOLERANCE) // 100 // gib)
        high = str(size * (100 + _TOLERANCE) // 100 // gib)
    model = choice.model.strip() if choice.model else ""
    return {
        "label": label,
        "wanted": wanted(metal),
        "serial": choice.serial.strip() if choice.serial else "",
        "model": model,
        "model_length": str(len(model)),
        "bus": choice.bus or "",
        "low": low,
        "high": high,
    }


def _require_tools(install: MediaFacts, *, serial: bool) -> None:
    """Looks into boot.wim for the programs the script calls (facts: no PowerShell, no wmic)."""
    found = install.find("sources/boot.wim")
    if found is None:
        raise MediaError(
            f"{install.path.name} has no sources/boot.wim, so nothing can choose the disk",
            hint="leave `metal.disk` and `metal.wipe` out: Setup asks",
        )
    needed = [*_NEEDED, *(_FOR_SERIALS if serial else ())]
    try:
        with opened(install.path) as window:
            file = Extents(window, found[1])
            header = read_header(file)
            tree = WimTree(file, header)
            image = header.boot_index or header.image_count
            missing = [
                name for name in needed if not tree.exists(image, f"Windows/System32/{name}")
            ]
    except Damaged as err:
        raise MediaError(
            f"{found[0]} on {install.path.name} cannot be looked into: {err.message}",
            hint="leave `metal.disk` and `metal.wipe` out: Setup asks",
        ) from err
    if set(missing) & set(_NEEDED):
        raise MediaError(
            f"Windows PE on {install.path.name} has no {missing[0]}, so it cannot choose the disk",
            hint="leave `metal.disk` and `metal.wipe` out: Setup asks",
        )
    if missing:
        raise MediaError(
            f"Windows PE on {install.path.name} cannot tell serial numbers: it has no {missing[0]}",
            hint="choose the disk by `model`, `size` and `bus`",
        )


def _drivers(metal: Metal) -> Iterator[tuple[str, Entry]]:
    taken: set[str] = set()
    for folder in map(Path, metal.drivers):
        name = folder.name
        while name.casefold() in taken:
            name += "_"
        taken.add(name.casefold())
        files = sorted(_files(folder))
        if not any(path.suffix.casefold() == ".inf" for path in files):
            raise MediaError(
                f"{folder} is no folder with drivers: there is no INF file in it",
                hint="unpack the vendor's package, and name the folder with its .inf files",
            )
        for path in files:
            status = path.stat()
            yield (
                f"{IN_SETUP}/{name}/{path.relative_to(folder).as_posix()}",
                File(
                    content=(HostFile(path=path, size=status.st_size),),
                    modified=max(0, int(status.st_mtime)),
                ),
            )


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if path.is_file():
                yield path
