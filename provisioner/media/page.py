"""Which facts `inspect` tells a person, in which words and order. `show` lays them out."""

from __future__ import annotations

from collections.abc import Iterator

from provisioner.media.boot import NOT_PROMPTING, asks_for_key
from provisioner.media.facts import (
    AnswerFile,
    BootEntry,
    MediaFacts,
    MediaKind,
    Platform,
    WimFile,
)
from provisioner.media.identify import is_long_term, release_of
from provisioner.media.show import Field, listed, plural, shown, size_text
from provisioner.media.virtio import coverage

_PRODUCTS = {
    "windows-7": "Windows 7",
    "windows-8": "Windows 8",
    "windows-8.1": "Windows 8.1",
    "windows-10": "Windows 10",
    "windows-11": "Windows 11",
}
_TITLES = {
    MediaKind.WINDOWS_SETUP: "Windows installation disc",
    MediaKind.VIRTIO_DRIVERS: "Virtio driver disc",
    MediaKind.ANSWER_DISC: "Answer disc",
    MediaKind.WIM: "WIM file",
    MediaKind.DRIVER_DISC: "Driver disc",
    MediaKind.MEMORY_TEST: "Memory test",
    MediaKind.DISK_IMAGE: "Image of a stick or disk",
    MediaKind.LINUX: "Linux disc",
    MediaKind.OTHER_DISC: "Disc of another kind",
}
_EMULATION = {0: "no emulation", 1: "1.2 MB floppy", 2: "1.44 MB floppy", 3: "2.88 MB floppy"}
_MOST_ANSWERS = 20


def title(facts: MediaFacts) -> str:
    """`Windows 11 24H2 installation disc, build 26100.1742, amd64, en-US`."""
    noun = {
        MediaKind.WINDOWS_SETUP: "installation disc",
        MediaKind.WIM: "image file (WIM)",
        MediaKind.DISK_IMAGE: "installation stick, as a disk image",
    }.get(facts.kind)
    words = [_product(facts), noun] if facts.editions and noun else [_TITLES[facts.kind]]
    parts = [" ".join(words)]
    if facts.editions:
        version = facts.editions[0].version
        parts.append(f"build {version[2]}.{version[3]}")
    if facts.kind is MediaKind.VIRTIO_DRIVERS and facts.driver_version:
        parts.append(facts.driver_version)
    if facts.architecture:
        parts.append(facts.architecture)
    languages = facts.languages
    if languages:
        parts.append(languages[0] if len(languages) == 1 else plural(len(languages), "language"))
    return shown(", ".join(parts))


def _product(facts: MediaFacts) -> str:
    product = facts.product or ""
    name = _PRODUCTS.get(product)
    if name is None and product.startswith("windows-server-"):
        rest = product.removeprefix("windows-server-").replace("-r2", " R2")
        name = f"Windows Server {rest}"
    words = [name or "Windows"]
    release = release_of(facts.product, facts.build)
    words += [release] if release else []
    words += ["LTSC"] if is_long_term(facts.editions) else []
    words += ["evaluation"] if facts.evaluation else []
    return " ".join(words)


def fields(facts: MediaFacts, *, sha256: str | None = None) -> Iterator[Field]:
    """Everything below the title."""
    if facts.label:
        yield Field(label="label", texts=(shown(facts.label),))
    if facts.filesystems:
        yield Field(label="file systems", texts=(_filesystems(facts),))
    yield Field(label="known by", texts=tuple(shown(line) for line in facts.evidence))
    if facts.partitions and facts.kind is MediaKind.DISK_IMAGE:
        yield _partitions(facts)
    elif facts.partition_table:
        yield Field(
            label="partitions",
            texts=(f"{facts.partition_table}: it can also be written to a stick as it is",),
        )
    if facts.files:
        total = sum(extent.length for run in facts.files.values() for extent in run)
        yield Field(
            label="files", texts=(f"{plural(len(facts.files), 'file')}, {size_text(total)}",)
        )
    yield from _booting(facts)
    if facts.wims:
        yield Field(label="image files", texts=tuple(_wim(wim) for wim in facts.wims))
    if facts.editions:
        yield _editions(facts)
        # Answer files that choose by /IMAGE/NAME mean this one (docs/facts/windows-setup.md §3.4).
        if any(edition.display_name != edition.name for edition in facts.editions):
            texts = tuple(shown(f"{one.index} {one.name}") for one in facts.editions)
            yield Field(label="/IMAGE/NAME", texts=texts)
    elif names := [name for wim in facts.wims for name in wim.names]:
        rows = [
            ("index", "name"),
            *((str(n), shown(name)) for n, name in enumerate(names, start=1)),
        ]
        yield Field(label="images", rows=tuple(rows), right=frozenset({0}))
    if len(facts.languages) > 1:
        yield Field(label="languages", texts=(shown(listed(facts.languages, 40)),))
    if facts.kind is MediaKind.VIRTIO_DRIVERS:
        yield Field(label="drivers", texts=tuple(shown(line) for line in coverage(facts)))
    if facts.setup_config:
        yield Field(label="preset", texts=(_config(facts),))
    yield _answers(facts)
    if sha256:
        yield Field(label="SHA-256", texts=(sha256,))
    if facts.remarks:
        yield Field(label="odd", texts=tuple(shown(remark) for remark in facts.remarks))


def _filesystems(facts: MediaFacts) -> str:
    if any("has everything, ISO 9660 only one README" in line for line in facts.evidence):
        return f"{facts.filesystems[0]} with everything; ISO 9660 with one README"
    return ", ".join(facts.filesystems)


def _partitions(facts: MediaFacts) -> Field:
    rows = [("no", "type", "file system", "label", "size")]
    for partition in facts.partitions:
        kind = partition.kind + (" (active)" if partition.active else "")
        rows.append(
            (
                str(partition.number),
                shown(kind),
                partition.filesystem or "unknown",
                shown(partition.label or partition.name),
                size_text(partition.length),
            )
        )
    scheme = facts.partition_table or "none"
    return Field(
        label="partitions", rows=tuple(rows), right=frozenset({0, 4}), texts=(f"table: {scheme}",)
    )


def _booting(facts: MediaFacts) -> Iterator[Field]:
    if facts.boot:
        yield Field(label="boot", texts=tuple(_boot(facts, entry) for entry in facts.boot))
    elif facts.filesystems and facts.kind is not MediaKind.DISK_IMAGE:
        yield Field(label="boot", texts=("no boot catalog: it does not boot",))
    if not facts.loaders:
        return
    rows = [("loader", "for", "signed by")]
    meanings: dict[str, None] = {}
    for loader in facts.loaders:
        names = ", ".join(
            authority.value if authority.value != "other" else _chain(facts, loader.path)
            for authority in loader.authorities
        )
        rows.append(
            (
                shown(loader.path),
                loader.machine,
                shown(names or loader.problem or "nobody (Secure Boot refuses it)"),
            )
        )
        for authority in loader.authorities:
            name = authority.value if authority.value != "other" else "another signer"
            meanings[f"{name}: {authority.meaning}"] = None
    yield Field(label="loaders", rows=tuple(rows))
    for loader in facts.spare_loaders:
        names = ", ".join(authority.value for authority in loader.authorities) or "nobody"
        meanings[shown(f"spare, signed by {names}: {loader.path}")] = None
    if meanings:
        yield Field(label="Secure Boot", texts=tuple(meanings))


def _chain(facts: MediaFacts, path: str) -> str:
    loader = next(loader for loader in facts.loaders if loader.path == path)
    signer = next(s for s in loader.signers if s.authority.value == "other")
    return " ← ".join(name for name in (signer.subject, *signer.issuers) if name) or "unknown"


def _boot(facts: MediaFacts, entry: BootEntry) -> str:
    platform = {Platform.BIOS: "BIOS", Platform.UEFI: "UEFI"}.get(entry.platform, "other")
    details = [
        f"platform 0x{entry.platform_id:02X}",
        _EMULATION.get(entry.media_type, "hard disk"),
        f"{plural(entry.load_sectors, 'sector')} of 512 bytes",
    ]
    if not entry.bootable:
        details.append("marked as not bootable")
    asks = asks_for_key(facts, entry)
    if asks:
        details.append("asks for a key")
        if entry.platform is Platform.UEFI and facts.find(NOT_PROMPTING):
            details.append("noprompt variant present")
    elif asks is False:
        details.append("asks for no key")
    where = shown(entry.path) if entry.path else f"block {entry.lba} (no file)"
    return f"{platform} {where} ({'; '.join(details)})"


def _wim(wim: WimFile) -> str:
    parts = [plural(wim.images, "image"), wim.compression]
    if wim.boots:
        parts.append(f"image {wim.boots} boots")
    parts.append("solid: it cannot be split" if wim.solid else "not solid")
    if wim.parts > 1:
        split = f"part {wim.part} of {wim.parts}"
        lacking = ", ".join(map(str, wim.missing[:20]))
        if not lacking:
            parts.append(f"{split}, all there")
        elif len(wim.missing) == 1:
            parts.append(f"{split}, part {lacking} is missing")
        else:
            parts.append(f"{split}, parts {lacking} are missing")
    if wim.pipable:
        parts.append("pipable")
    parts.append("with integrity table" if wim.integrity else "no integrity table")
    return f"{shown(wim.path)} {size_text(wim.size)}: {', '.join(parts)}"


def _editions(facts: MediaFacts) -> Field:
    several = len({edition.languages for edition in facts.editions}) > 1
    builds = len({edition.version for edition in facts.editions}) > 1
    mixed = len({edition.architecture for edition in facts.editions}) > 1
    head = ["index", "name", "edition id", "size"]
    head += ["languages"] if several else []
    head += ["build"] if builds else []
    head += ["for"] if mixed else []
    rows = [tuple(head)]
    for edition in facts.editions:
        name = edition.display_name or edition.name
        if edition.installation_type == "Server Core" and "core" not in name.casefold():
            name += " (Core)"
        row = [
            str(edition.index),
            shown(name),
            shown(edition.edition_id),
            size_text(edition.total_bytes),
        ]
        row += [shown(listed(edition.languages, 4))] if several else []
        row += [f"{edition.version[2]}.{edition.version[3]}"] if builds else []
        row += [shown(edition.architecture)] if mixed else []
        rows.append(tuple(row))
    return Field(label="editions", rows=tuple(rows), right=frozenset({0, 3}))


def _config(facts: MediaFacts) -> str:
    config = facts.setup_config
    assert config is not None
    parts = []
    if config.edition_id:
        parts.append(f"edition {config.edition_id}")
    if config.channel:
        parts.append(f"channel {config.channel}")
    if config.volume is not None:
        parts.append("volume licence" if config.volume else "no volume licence")
    if config.key:
        parts.append(f"product key {config.key}")
    return shown(", ".join(parts)) + " (ei.cfg, pid.txt; ignored with an answer file)"


def _answers(facts: MediaFacts) -> Field:
    texts = tuple(_answer(answer) for answer in facts.answers[:_MOST_ANSWERS])
    return Field(label="answers inside", texts=texts or ("none",))


def _answer(answer: AnswerFile) -> str:
    parts = [answer.place]
    if answer.problem:
        parts.append(f"not used: {answer.problem}")
    elif answer.wins:
        parts.append(f"used for {', '.join(answer.wins)}")
    else:
        parts.append(f"has {', '.join(answer.passes)}, but another file comes first")
    return shown(f"{answer.path}: {'; '.join(parts)}")
