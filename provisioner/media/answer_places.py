"""Answer files that a medium carries already, and which of them Setup would take.

The eight places of facts windows-setup §2.1, as far as they can be on a medium. The registry of
boot.wim (place 1) and the images of install.wim are not looked into.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from provisioner.frozen import frozen
from provisioner.media.answer_xml import PASSES, outline
from provisioner.media.facts import AnswerFile, Extent
from provisioner.media.wim import Readable, Wim
from provisioner.media.wim_tree import WimEntry, WimTree
from provisioner.media.window import Damaged, Extents, Unsupported, Window

MAX_BYTES = 4 << 20
_MEANT = re.compile(
    r"(^|/)autounattend\.xml$|^autoun(at|~|a~)[^/]*\.(xml|txt|xm|htm)$", re.IGNORECASE
)
"""ISO 9660 without Joliet cuts the name to AUTOUNAT.XML; editors append .txt."""
_MOST_REMARKS = 5
_PE_PASSES = ("windowsPE", "offlineServicing")
_IN_IMAGE = {"autounattend.xml": "Autounattend.xml", "unattend.xml": "Unattend.xml"}
_SETUP = 2
"""Image of boot.wim that runs Setup, where its header names none (facts iso-usb §2.1)."""


@frozen
class _Place:
    """A path on the medium, in lower case, with its row and name in Setup's search order."""

    path: str
    rank: int
    name: str


def _places(*, writable: bool) -> Iterator[_Place]:
    """What is on the medium itself; a stick is writable, and outranks a disc."""
    if writable:
        yield _Place(path="autounattend.xml", rank=4, name="root of a removable drive")
    else:
        yield _Place(path="autounattend.xml", rank=5, name="root of a disc")
    yield _Place(path="sources/autounattend.xml", rank=6, name="Sources of the distribution")
    yield _Place(path="unattend.xml", rank=8, name="root of the drive that setup.exe runs from")
    for folder in ("sources/$oem$", "$oem$"):
        for name in _IN_IMAGE:
            yield _Place(
                path=f"{folder}/$$/panther/unattend/{name}",
                rank=2,
                name="copied to Windows\\Panther\\Unattend",
            )
        yield _Place(
            path=f"{folder}/$$/panther/unattend.xml",
            rank=3,
            name="copied to Windows\\Panther",
        )
        yield _Place(
            path=f"{folder}/$$/system32/sysprep/unattend.xml",
            rank=6,
            name="copied to Windows\\System32\\Sysprep",
        )


def answers_inside(
    window: Window,
    files: Mapping[str, tuple[Extent, ...]],
    *,
    boot_wim: tuple[str, Wim] | None,
    writable: bool,
) -> tuple[tuple[AnswerFile, ...], tuple[str, ...]]:
    """Every answer file of a medium with what it wins, and remarks on what could not be read."""
    names = {path.casefold(): path for path in files}
    found: list[AnswerFile] = []
    remarks: list[str] = []
    for place in _places(writable=writable):
        path = names.get(place.path)
        if path is not None:
            content = Extents(window, files[path])
            found.append(_judged(_read(content), path, place.name, place.rank, content.size))
    if boot_wim is not None:
        path, wim = boot_wim
        inside, remarks = image_answers(Extents(window, files[path]), wim, path)
        found += inside
    remarks += _overlooked(files, {place.path for place in _places(writable=writable)})
    boots = (boot_wim[1].header.boot_index or _SETUP) if boot_wim else 0
    found.sort(key=lambda answer: answer.rank)
    return tuple(_with_winners(found, setup_image=_image_prefix(boot_wim, boots))), tuple(remarks)


def _overlooked(files: Iterable[str], places: Collection[str]) -> Iterator[str]:
    """Files that were meant to be found: under a name that was cut or extended, or in a folder."""
    meant = [
        path for path in sorted(files) if _MEANT.search(path) and path.casefold() not in places
    ]
    for path in meant[:_MOST_REMARKS]:
        folder, _, name = path.rpartition("/")
        if name.casefold() == "autounattend.xml":
            yield f"{path}: Setup does not look in the folder {folder}"
        else:
            yield f"{path}: Setup does not find it; the whole name is Autounattend.xml"


def bare_answers(
    file: Readable, wim: Wim, name: str
) -> tuple[tuple[AnswerFile, ...], tuple[str, ...]]:
    """As `answers_inside`, for a boot.wim that is not on a medium."""
    found, remarks = image_answers(file, wim, name)
    boots = wim.header.boot_index or _SETUP
    return tuple(_with_winners(found, setup_image=_image_prefix((name, wim), boots))), tuple(
        remarks
    )


def image_answers(file: Readable, wim: Wim, path: str) -> tuple[list[AnswerFile], list[str]]:
    """Answer files at the root of each image of a boot.wim (Rufus puts one there)."""
    tree = WimTree(file, wim.header)
    found: list[AnswerFile] = []
    remarks: list[str] = []
    for number in range(1, min(wim.header.image_count, 4) + 1):
        try:
            entries = tree.entries(number)
        except Damaged as err:
            remarks.append(f"{path}: the root of image {number} could not be read: {err.message}")
            if isinstance(err, Unsupported):
                break
            continue
        for entry in entries:
            if entry.name.casefold() in _IN_IMAGE and not entry.directory:
                found.append(_from_image(tree, entry, path, number))
    return found, remarks


def _from_image(tree: WimTree, entry: WimEntry, path: str, number: int) -> AnswerFile:
    where, place = f"{path}, image {number}: {entry.name}", "root of X:, Windows PE's own drive"
    try:
        data = tree.read(entry)
    except Damaged as err:
        return AnswerFile(path=where, place=place, rank=7, size=0, problem=err.message)
    return _judged(data, where, place, 7, len(data))


def _read(file: Extents) -> bytes | str:
    if file.size > MAX_BYTES:
        return f"it has {file.size:,} bytes, more than any answer file"
    try:
        return file.read(0, file.size)
    except Damaged as err:
        return err.message


def _judged(data: bytes | str, path: str, place: str, rank: int, size: int) -> AnswerFile:
    """The file with its passes; `data` is its content, or why there is none."""
    base = AnswerFile(path=path, place=place, rank=rank, size=size)
    if isinstance(data, str):
        return replace(base, problem=data)
    made = outline(data)
    return replace(base, passes=made.passes, problem=made.problem)


def _image_prefix(boot_wim: tuple[str, Wim] | None, number: int) -> str:
    return f"{boot_wim[0]}, image {number}: " if boot_wim else ""


def _with_winners(found: Iterable[AnswerFile], *, setup_image: str) -> Iterator[AnswerFile]:
    """Decides each pass. What Setup took for windowsPE it carries along to the later passes, where
    only a copy that $OEM$ placed in Panther comes before it (§2.2)."""
    answers = list(found)
    winners: dict[str, AnswerFile] = {}

    def first(name: str, ranks: range) -> AnswerFile | None:
        """Who of these ranks has the pass."""
        for answer in answers:
            in_image = answer.rank == 7
            used = not in_image or answer.path.startswith(setup_image)
            if answer.rank in ranks and used and name in answer.passes:
                return answer
        return None

    for name in _PE_PASSES:
        if winner := first(name, range(4, 8)):
            winners[name] = winner
    carried = winners.get("windowsPE")
    for name in PASSES:
        if name in _PE_PASSES:
            continue
        winner = first(name, range(2, 4))
        if winner is None and carried is not None and name in carried.passes:
            winner = carried
        winner = winner or first(name, range(4, 7))
        if winner is not None:
            winners[name] = winner
    for answer in answers:
        yield replace(answer, wins=tuple(name for name in PASSES if winners.get(name) is answer))
