"""`sources/ei.cfg` and `sources/pid.txt`: what an attended Setup would not ask (facts §7.1)."""

from __future__ import annotations

import re

from provisioner.media.facts import SetupConfig
from provisioner.media.identify import ini_sections

_KEY = re.compile(r"[A-Z0-9]{5}(?:-[A-Z0-9]{5}){4}", re.IGNORECASE)
_SHOWN = 5


def read_config(ei_cfg: str, pid: str) -> SetupConfig | None:
    """What the two files say; None where neither says anything. The key leaves here masked."""
    sections = ini_sections(ei_cfg)
    edition = _first(sections.get("editionid", []))
    channel = _first(sections.get("channel", []))
    volume = _first(sections.get("vl", []))
    key = None
    for line in ini_sections(pid).get("pid", []):
        name, _, value = line.partition("=")
        if name.strip().casefold() == "value" and value.strip():
            key = masked(value.strip())
    if not (edition or channel or volume or key):
        return None
    return SetupConfig(
        edition_id=edition,
        channel=channel,
        volume=None if volume is None else volume == "1",
        key=key,
    )


def masked(key: str) -> str:
    """`XXXXX-XXXXX-XXXXX-XXXXX-3V66T`; a key of another shape is not shown at all."""
    if not _KEY.fullmatch(key):
        return "(not a product key)"
    return re.sub(r"[A-Za-z0-9]", "X", key[:-_SHOWN]) + key[-_SHOWN:].upper()


def _first(lines: list[str]) -> str | None:
    return lines[0][:64] if lines else None
