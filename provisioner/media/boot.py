"""El Torito: the boot catalog of a disc, and whether its "press any key" can be patched away.

El Torito 1.0 (Phoenix and IBM, 1995) and UEFI 2.10 §13.3.2.1 for the section headers. The patch is
the one field that `docs/facts/iso-usb.md` §3 and `docs/facts/libvirt.md` §6 measured to be enough.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from provisioner.frozen import frozen
from provisioner.media.facts import BootEntry, MediaFacts, Platform
from provisioner.media.window import Window

BLOCK = 2048
PROMPTING = "efi/microsoft/boot/efisys.bin"
NOT_PROMPTING = "efi/microsoft/boot/efisys_noprompt.bin"
_RECORD = 17 * BLOCK
_MAX_BLOCKS = 16
_HEADER, _LAST_HEADER, _EXTENSION = 0x90, 0x91, 0x44


@frozen
class BootCatalog:
    """`raw` is the boot record and the catalog's first block, for the fingerprint."""

    entries: tuple[BootEntry, ...] = ()
    raw: bytes = b""
    remarks: tuple[str, ...] = ()


@frozen
class NoPromptPatch:
    """Write `data` at byte `offset` of the image; `old` must stand there before."""

    offset: int
    data: bytes
    old: bytes


@frozen
class NoPromptNeeded:
    """Nothing to change: the disc already boots without asking."""

    reason: str


@frozen
class NoPromptImpossible:
    """The patch is not safe on this disc; keys have to be pressed, for this reason."""

    reason: str


def read_catalog(window: Window, files: Mapping[int, str]) -> BootCatalog:
    """The boot entries of a disc; `files` maps the byte where a file starts to its path.

    A catalog that firmware would refuse gives no entries and a remark.
    """
    record = window.read_up_to(_RECORD, BLOCK)
    if len(record) < BLOCK or record[:7] != b"\0CD001\1":
        return BootCatalog()
    if not record[7:39].startswith(b"EL TORITO SPECIFICATION"):
        return BootCatalog()
    start = int.from_bytes(record[71:75], "little") * BLOCK
    data = window.read_up_to(start, BLOCK * _MAX_BLOCKS)
    raw = record + data[:BLOCK]
    if len(data) < 64:
        return BootCatalog(raw=raw, remarks=("the boot catalog lies past the end of the image",))
    if data[0] != 1 or data[30:32] != b"\x55\xaa" or sum(struct.unpack("<16H", data[:32])) & 0xFFFF:
        return BootCatalog(raw=raw, remarks=("the boot catalog's validation entry is wrong",))
    entries = [_entry(data, 32, platform=data[1], catalog=start, files=files)]
    at = 64
    while at + 32 <= len(data) and data[at] in {_HEADER, _LAST_HEADER}:
        last = data[at] == _LAST_HEADER
        platform, count = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "little")
        at += 32
        for _ in range(count):
            if at + 32 > len(data):
                break
            entries.append(_entry(data, at, platform=platform, catalog=start, files=files))
            more = bool(data[at + 4] & 0x20)  # selection criteria go on in extension entries
            at += 32
            while more and at + 32 <= len(data) and data[at] == _EXTENSION:
                more = bool(data[at + 1] & 0x20)
                at += 32
        if last:
            break
    return BootCatalog(entries=tuple(entries), raw=raw)


def _entry(
    data: bytes, at: int, *, platform: int, catalog: int, files: Mapping[int, str]
) -> BootEntry:
    indicator, media_type, sectors, lba = struct.unpack_from("<BB4xHI", data, at)
    known = {0x00: Platform.BIOS, 0xEF: Platform.UEFI}
    return BootEntry(
        platform=known.get(platform, Platform.OTHER),
        platform_id=platform,
        bootable=indicator == 0x88,
        media_type=media_type & 0x0F,
        load_sectors=sectors,
        lba=lba,
        entry_offset=catalog + at,
        path=files.get(lba * BLOCK),
    )


def asks_for_key(facts: MediaFacts, entry: BootEntry) -> bool | None:
    """Whether this entry says "Press any key to boot from CD"; None where that is not known.

    Under BIOS the question depends on `boot/bootfix.bin` being there (facts iso-usb §2.1).
    """
    path = (entry.path or "").casefold()
    if path == PROMPTING:
        return True
    if path == NOT_PROMPTING:
        return False
    if path == "boot/etfsboot.com":
        return facts.find("boot/bootfix.bin") is not None
    return None


def noprompt_patch(facts: MediaFacts) -> NoPromptPatch | NoPromptNeeded | NoPromptImpossible:
    """How to boot this disc under UEFI without "Press any key to boot from CD".

    Points the UEFI entry at `efisys_noprompt.bin`, which Microsoft's media carry beside
    `efisys.bin`. Only where nothing can go wrong: one bootable UEFI entry, at `efisys.bin`, and
    both files in one run of the same length.
    """
    entries = [e for e in facts.boot if e.platform is Platform.UEFI and e.bootable]
    if len(entries) != 1:
        return NoPromptImpossible(reason=f"the disc has {len(entries)} UEFI boot entries, not one")
    entry = entries[0]
    prompting, silent = facts.find(PROMPTING), facts.find(NOT_PROMPTING)
    if silent is not None and silent[1] and silent[1][0].offset == entry.lba * BLOCK:
        return NoPromptNeeded(reason=f"the UEFI boot entry is {silent[0]} already")
    for path, found in ((PROMPTING, prompting), (NOT_PROMPTING, silent)):
        if found is None:
            return NoPromptImpossible(reason=f"the disc has no {path}")
        if len(found[1]) != 1 or found[1][0].offset % BLOCK:
            return NoPromptImpossible(reason=f"{found[0]} does not lie in one run of whole blocks")
    assert prompting is not None and silent is not None
    source, target = prompting[1][0], silent[1][0]
    if source.offset != entry.lba * BLOCK:
        return NoPromptImpossible(
            reason=f"the UEFI boot entry is {entry.path or 'no file of the disc'}, not {PROMPTING}"
        )
    if source.length != target.length:
        return NoPromptImpossible(
            reason=f"the two boot images differ in length ({source.length} and {target.length})"
        )
    return NoPromptPatch(
        offset=entry.entry_offset + 8,
        data=(target.offset // BLOCK).to_bytes(4, "little"),
        old=entry.lba.to_bytes(4, "little"),
    )
