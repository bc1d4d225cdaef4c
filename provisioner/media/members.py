"""The facts about a medium as JSON members: what `inspect --json` prints and the library keeps.

Holds no secret: the product key of pid.txt is masked before it becomes a fact.
"""

from __future__ import annotations

from typing import Any

from provisioner.media.boot import asks_for_key
from provisioner.media.facts import (
    AnswerFile,
    BootEntry,
    Edition,
    MediaFacts,
    Partition,
    SetupConfig,
    WimFile,
)
from provisioner.media.identify import release_of
from provisioner.media.layout import Layout, Region
from provisioner.media.map_text import runs
from provisioner.media.trust import Loader


def facts_members(facts: MediaFacts) -> dict[str, Any]:
    """Everything but the files, of which only number and bytes are told."""
    return {
        "path": str(facts.path),
        "kind": facts.kind.value,
        "evidence": list(facts.evidence),
        "size": facts.fingerprint.size,
        "fingerprint": facts.fingerprint.digest,
        "label": facts.label,
        "filesystems": list(facts.filesystems),
        "product": facts.product,
        "release": release_of(facts.product, facts.build),
        "build": facts.build,
        "version": ".".join(map(str, facts.editions[0].version)) if facts.editions else None,
        "architecture": facts.architecture,
        "languages": list(facts.languages),
        "evaluation": facts.evaluation,
        "volume_licence": facts.volume_licence,
        "driver_version": facts.driver_version,
        "partition_table": facts.partition_table,
        "partitions": [_partition(partition) for partition in facts.partitions],
        "boot": [_boot_entry(facts, entry) for entry in facts.boot],
        "loaders": [_loader(loader) for loader in facts.loaders],
        "spare_loaders": [_loader(loader) for loader in facts.spare_loaders],
        "wims": [_wim(wim) for wim in facts.wims],
        "editions": [_edition(edition) for edition in facts.editions],
        "answers": [_answer_file(answer) for answer in facts.answers],
        "preset": _preset(facts.setup_config) if facts.setup_config else None,
        "files": len(facts.files),
        "file_bytes": sum(e.length for extents in facts.files.values() for e in extents),
        "remarks": list(facts.remarks),
    }


def _partition(partition: Partition) -> dict[str, Any]:
    return {
        "number": partition.number,
        "type": partition.kind,
        "name": partition.name,
        "offset": partition.offset,
        "length": partition.length,
        "active": partition.active,
        "filesystem": partition.filesystem,
        "label": partition.label,
    }


def _boot_entry(facts: MediaFacts, entry: BootEntry) -> dict[str, Any]:
    return {
        "platform": entry.platform.value,
        "platform_id": entry.platform_id,
        "bootable": entry.bootable,
        "media_type": entry.media_type,
        "load_sectors": entry.load_sectors,
        "block": entry.lba,
        "path": entry.path,
        "asks_for_key": asks_for_key(facts, entry),
    }


def _wim(wim: WimFile) -> dict[str, Any]:
    return {
        "path": wim.path,
        "size": wim.size,
        "compression": wim.compression,
        "solid": wim.solid,
        "pipable": wim.pipable,
        "integrity": wim.integrity,
        "part": wim.part,
        "parts": wim.parts,
        "missing": list(wim.missing),
        "images": wim.images,
        "names": list(wim.names),
        "boots": wim.boots,
    }


def _edition(edition: Edition) -> dict[str, Any]:
    return {
        "index": edition.index,
        "name": edition.name,
        "display_name": edition.display_name,
        "description": edition.description,
        "edition_id": edition.edition_id,
        "installation_type": edition.installation_type,
        "architecture": edition.architecture,
        "version": ".".join(map(str, edition.version)),
        "languages": list(edition.languages),
        "size": edition.total_bytes,
    }


def _answer_file(answer: AnswerFile) -> dict[str, Any]:
    return {
        "path": answer.path,
        "place": answer.place,
        "rank": answer.rank,
        "size": answer.size,
        "passes": list(answer.passes),
        "wins": list(answer.wins),
        "problem": answer.problem or None,
    }


def _preset(config: SetupConfig) -> dict[str, Any]:
    return {
        "edition_id": config.edition_id,
        "channel": config.channel,
        "volume": config.volume,
        "key": config.key,
    }


def _loader(loader: Loader) -> dict[str, Any]:
    return {
        "path": loader.path,
        "machine": loader.machine,
        "subsystem": loader.subsystem,
        "problem": loader.problem or None,
        "signers": [
            {
                "subject": signer.subject,
                "issuers": list(signer.issuers),
                "authority": signer.authority.value,
                "meaning": signer.authority.meaning,
            }
            for signer in loader.signers
        ],
    }


def layout_members(layout: Layout) -> dict[str, Any]:
    """The map: neighbours of one kind made one, and the largest files."""
    return {
        "size": layout.size,
        "totals": {kind.value: total for kind, total in layout.totals.items()},
        "runs": [_region(region) for region in runs(layout)],
        "largest": [_region(region) for region in layout.largest],
    }


def _region(region: Region) -> dict[str, Any]:
    return {
        "offset": region.offset,
        "length": region.length,
        "kind": region.kind.value,
        "name": region.name,
    }
