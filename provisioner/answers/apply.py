"""Putting the image on the disk without Setup's engine: scripts for Windows PE.

Setup starts one command in its windowsPE pass, and that never returns: it partitions with diskpart,
applies the image with DISM, makes the disk bootable with bcdboot, leaves the answer file for the
later passes and restarts (docs/facts/windows-setup.md §3.10, practised by unattend-generator).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

from provisioner.answers.layout import Layout, Partition
from provisioner.frozen import frozen
from provisioner.media.facts import Edition
from provisioner.profile.model import Profile

SCRIPTS = (
    ("provision/apply.cmd", "windows/apply/apply.cmd.j2"),
    ("provision/diskpart.txt", "windows/apply/diskpart.txt.j2"),
)
"""Paths on the disc, and their templates."""
DRIVES = "C D E F G H I J K L M N O P Q R S T U V W Y Z"
"""Every letter but A and B, and X, where Windows PE lies."""
COMMAND_LENGTH = 259
LETTERS: Mapping[str, str] = {"EFI": "S", "System": "S", "Windows": "W", "Recovery": "R"}
"""Letters for as long as Windows PE runs, as Microsoft's own deployment scripts give them."""
REQUIRED_AND_HIDDEN = "0x8000000000000001"
"""GPT attributes of a recovery partition; only diskpart can set them (§3.2)."""
STAGES = ("disks", "image")


@frozen
class Volume:
    """One partition in the words of diskpart; empty texts where it has none of that."""

    create: str
    format: str
    label: str
    letter: str
    id: str
    attributes: str
    active: bool


def start_command(marker: str) -> str:
    """The command line of windowsPE: finds our disc by its marker and starts the script there.

    Windows PE of an install disc has cmd and no PowerShell. Nobody reads what `%d` would be as an
    environment variable: there is none of that name, and then the text stays (§3.8).
    """
    command = (
        f"cmd.exe /c for %d in ({DRIVES}) do if exist %d:\\{marker} "
        "cmd /c %d:\\provision\\apply.cmd %d:"
    )
    if len(command) > COMMAND_LENGTH:
        raise ValueError(f"the command of windowsPE has {len(command)} characters")
    return command


def context(profile: Profile, edition: Edition, disks: tuple[Layout, ...]) -> Mapping[str, Any]:
    """The variables of `windows/apply/*.j2`."""
    first = disks[0]
    purposes = {partition.purpose for partition in first.partitions}
    uefi = first.style == "GPT"
    return {
        "drives": DRIVES,
        "uefi": uefi,
        "firmware": "0x2" if uefi else "0x1",
        "loader": "UEFI" if uefi else "BIOS",
        "system": "S:" if purposes & {"EFI", "System"} else "W:",
        "recovery": "Recovery" in purposes,
        "index": str(edition.index),
        "offline_pass": profile.windows.join.blob is not None
        and profile.windows.join.blob_pass == "offlineServicing",
        "disks": [
            {"number": layout.disk, "style": layout.style.lower(), "volumes": _volumes(layout)}
            for layout in disks
        ],
        "reports": [
            frame(number, {"event": "stage", "stage": stage})
            for number, stage in enumerate(STAGES, start=1)
        ]
        if profile.metal is None
        else [],
        "failed": frame(
            len(STAGES) + 1,
            {
                "event": "failed",
                "stage": "image",
                "message": "the image could not be applied; the screen and "
                "X:\\provisioner-apply.log say why",
            },
        )
        if profile.metal is None
        else "",
    }


def frame(sequence: int, payload: Mapping[str, str]) -> str:
    """One line of docs/protocol.md; the script can compute no checksum, so it is made here."""
    text = json.dumps(payload, separators=(",", ":"), ensure_ascii=True)
    crc = zlib.crc32(f"{sequence} {text}".encode("ascii"))
    return f"PROVISIONER/1 {sequence} {crc:08x} {text}"


def _volumes(layout: Layout) -> list[Volume]:
    return [_volume(partition, layout) for partition in layout.partitions]


def _volume(partition: Partition, layout: Layout) -> Volume:
    kind = {"EFI": "efi", "MSR": "msr"}.get(partition.type, "primary")
    size = f" size={partition.size_mib}" if partition.size_mib else ""
    gpt_recovery = partition.type_id is not None and layout.style == "GPT"
    return Volume(
        create=f"create partition {kind}{size}",
        format=(partition.format or "").lower(),
        label=partition.label or "",
        letter=LETTERS.get(partition.purpose, ""),
        id=(partition.type_id or "").lower().removeprefix("0x"),
        attributes=REQUIRED_AND_HIDDEN if gpt_recovery else "",
        active=partition.active,
    )
