"""What a medium is, decided from what was read of it: kind, product, licence, languages.

Pure: no byte of the medium is read here. Each decision gives its evidence in words.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from provisioner.errors import MediaError
from provisioner.media.facts import Edition, MediaFacts, MediaKind
from provisioner.pattern import pattern

_SERVERS = {
    6001: "windows-server-2008",
    6002: "windows-server-2008",
    6003: "windows-server-2008",
    7600: "windows-server-2008-r2",
    7601: "windows-server-2008-r2",
    9200: "windows-server-2012",
    9600: "windows-server-2012-r2",
    14393: "windows-server-2016",
    17763: "windows-server-2019",
    20348: "windows-server-2022",
    26100: "windows-server-2025",
}
_CLIENTS = {
    7600: "windows-7",
    7601: "windows-7",
    9200: "windows-8",
    9600: "windows-8.1",
}
_RELEASES = {
    **{
        ("windows-10", build): name
        for build, name in (
            (10240, "1507"),
            (10586, "1511"),
            (14393, "1607"),
            (15063, "1703"),
            (16299, "1709"),
            (17134, "1803"),
            (17763, "1809"),
            (18362, "1903"),
            (18363, "1909"),
            (19041, "2004"),
            (19042, "20H2"),
            (19043, "21H1"),
            (19044, "21H2"),
            (19045, "22H2"),
        )
    },
    **{
        ("windows-11", build): name
        for build, name in (
            (22000, "21H2"),
            (22621, "22H2"),
            (22631, "23H2"),
            (26100, "24H2"),
            (26200, "25H2"),
        )
    },
}
_LINUX = (
    ".disk/info",
    "casper/vmlinuz",
    "live/vmlinuz",
    "isolinux/isolinux.bin",
    "boot/grub/grub.cfg",
    "images/pxeboot/vmlinuz",
    "install.amd/vmlinuz",
    "arch/boot/x86_64/vmlinuz-linux",
    "boot/x86_64/loader/linux",
    "boot/bzimage",
    "debian-installer/amd64/linux",
    "efi/boot/grubx64.efi",
    "isolinux.bin",
    "pxelinux.0",
)
_KERNEL = pattern(r"(.*/)?vmlinuz[^/]*$")
_MEMORY_TEST = pattern(r"(.*/)?(memtest|mt86plus)[^/]*$")
_VIRTIO_LABEL = pattern(r"virtio-win-([0-9][0-9.]*(?:-[0-9]+)?)", re.IGNORECASE)
_VOLUME_LABEL = pattern(r"_(X86|X64|A64)FREV_", re.IGNORECASE)
_STARTS = (
    (b"PK\x03\x04", "a ZIP archive", "unpack it and give the image inside"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it and give the image inside"),
    (b"Rar!\x1a\x07", "a RAR archive", "unpack it and give the image inside"),
    (b"\x1f\x8b", "compressed with gzip", "unpack it: gunzip"),
    (b"\xfd7zXZ\0", "compressed with xz", "unpack it: unxz"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "unpack it: unzstd"),
    (b"QFI\xfb", "a qcow2 disk", "an installation disc is an ISO image"),
    (b"vhdxfile", "a VHDX disk", "an installation disc is an ISO image"),
    (b"conectix", "a VHD disk", "an installation disc is an ISO image"),
    (b"KDMV", "a VMDK disk", "an installation disc is an ISO image"),
    (b"MZ", "a Windows program", "the Media Creation Tool only makes an ISO; run it on Windows"),
    (b"%PDF", "a PDF document", "give the image file"),
    (b"\0" + b"\xff" * 10 + b"\0", "a raw CD image (2352-byte sectors)", "convert it: bchunk"),
)


KIND_NAMES: Mapping[MediaKind, str] = {
    MediaKind.WINDOWS_SETUP: "a Windows installation disc",
    MediaKind.VIRTIO_DRIVERS: "a virtio driver disc",
    MediaKind.ANSWER_DISC: "an answer disc",
    MediaKind.WIM: "a bare WIM file",
    MediaKind.DRIVER_DISC: "a driver disc",
    MediaKind.MEMORY_TEST: "a memory test",
    MediaKind.DISK_IMAGE: "an image of a stick or disk",
    MediaKind.LINUX: "a Linux disc",
    MediaKind.OTHER_DISC: "another disc",
}
"""Each kind in words, with its article."""


def kind_of(label: str, names: Collection[str]) -> tuple[MediaKind, tuple[str, ...]]:
    """Kind and evidence of a disc; `names` are the paths on it in lower case."""
    install = [n for n in (f"sources/install.{x}" for x in ("wim", "esd", "swm")) if n in names]
    if install and ("sources/boot.wim" in names or "setup.exe" in names):
        return MediaKind.WINDOWS_SETUP, (f"it holds {install[0]} and Windows Setup",)
    if install:
        return MediaKind.WINDOWS_SETUP, (f"it holds {install[0]}",)
    virtio = [n for n in names if re.match(r"(viostor|netkvm|vioscsi)/[^/]+/[^/]+/\w+\.inf$", n)]
    if virtio:
        labelled = (f"its label is {label}",) if _VIRTIO_LABEL.match(label) else ()
        return MediaKind.VIRTIO_DRIVERS, (*labelled, f"it holds {min(virtio)}")
    if "autounattend.xml" in names:
        return MediaKind.ANSWER_DISC, ("it holds Autounattend.xml and no Windows",)
    linux = [n for n in _LINUX if n in names] + sorted(n for n in names if _KERNEL.match(n))
    if label.upper().startswith("MT86PLUS"):
        return MediaKind.MEMORY_TEST, (f"its label is {label}",)
    if not linux and (tests := sorted(n for n in names if _MEMORY_TEST.match(n))):
        return MediaKind.MEMORY_TEST, (f"it holds {tests[0]}",)
    if linux:
        return MediaKind.LINUX, tuple(f"it holds {name}" for name in linux[:3])
    if halves := [n for n in ("x64/sources", "x86/sources") if f"{n}/boot.wim" in names]:
        return MediaKind.OTHER_DISC, (
            f"it is a Windows disc for two architectures ({', '.join(halves)}), which is not read",
        )
    if "sources/boot.wim" in names:
        return MediaKind.OTHER_DISC, ("it holds sources/boot.wim but no Windows to install",)
    drivers = sorted(n for n in names if n.endswith(".inf") and n != "autorun.inf")
    if drivers and any(n.endswith((".sys", ".cat")) for n in names):
        more = f" and {len(drivers) - 1} more" if len(drivers) > 1 else ""
        return MediaKind.DRIVER_DISC, (f"it holds the driver description {drivers[0]}{more}",)
    files = f"{len(names)} file{'' if len(names) == 1 else 's'}"
    return MediaKind.OTHER_DISC, (f"it holds {files} of no known kind",)


def product_of(editions: Iterable[Edition]) -> str | None:
    """`windows-11`, `windows-server-2025` ... of the first image that tells; None when unknown."""
    for edition in editions:
        build = edition.version[2]
        if edition.installation_type.startswith("Server"):
            product = _SERVERS.get(build)
        elif build >= 22000:
            product = "windows-11"
        elif 10240 <= build <= 19045:
            product = "windows-10"
        else:
            product = _CLIENTS.get(build)
        if product:
            return product
    return None


def release_of(product: str | None, build: int | None) -> str | None:
    """`24H2`: what Microsoft calls that build of Windows 10 or 11."""
    return _RELEASES.get((product or "", build or 0))


def is_long_term(editions: Collection[Edition]) -> bool:
    """Whether every image is one of the long-term servicing channel."""
    return bool(editions) and all(
        re.fullmatch(r"(IoT)?EnterpriseS(N)?(Eval)?", edition.edition_id) for edition in editions
    )


def is_evaluation(editions: Iterable[Edition], label: str) -> bool:
    """Evaluation media: edition ids end in Eval; NAMEs are the same as elsewhere (§7.2)."""
    return "EVAL" in label.upper() or any(
        re.search(r"Eval(Cor|Core)?$", edition.edition_id)
        or "evaluation" in f"{edition.display_name} {edition.description}".casefold()
        for edition in editions
    )


def is_volume_licence(ei_cfg: str, label: str) -> bool:
    """`[VL]` 1 or `[Channel]` Volume in sources/ei.cfg; without that file, a FREV label.

    Labels as osinfo-db has them: Enterprise and volume media end in FREV (`CENA_X64FREV_...`).
    """
    sections = ini_sections(ei_cfg)
    if "vl" in sections or "channel" in sections:
        vl, channel = sections.get("vl", []), sections.get("channel", [])
        return vl[:1] == ["1"] or [line.casefold() for line in channel[:1]] == ["volume"]
    return bool(_VOLUME_LABEL.search(label))


def setup_languages(
    lang_ini: str, pe: Iterable[Edition], editions: Iterable[Edition]
) -> tuple[str, ...]:
    """Languages Setup can show: lang.ini, else those of its WinPE, else those of the images."""
    lines = ini_sections(lang_ini).get("available ui languages", [])
    listed = [line.partition("=")[0].strip() for line in lines]
    for source in (
        listed,
        [language for image in pe for language in image.languages],
        [language for image in editions for language in image.languages],
    ):
        if known := {tag.casefold(): _tag(tag) for tag in source if tag}:
            return tuple(known.values())
    return ()


def virtio_version(label: str) -> str | None:
    """`0.1.285` from the label `virtio-win-0.1.285`."""
    found = _VIRTIO_LABEL.match(label)
    return found[1] if found else None


def ini_sections(text: str) -> Mapping[str, list[str]]:
    """Lines by section, names in lower case, without comments and blank lines."""
    sections: dict[str, list[str]] = {}
    lines: list[str] = []
    for raw in text.splitlines():
        line = raw.partition(";")[0].strip()
        if line.startswith("[") and line.endswith("]"):
            lines = sections.setdefault(line[1:-1].strip().casefold(), [])
        elif line:
            lines.append(line)
    return sections


def require_windows(facts: MediaFacts) -> None:
    """`MediaError` unless Windows can be installed from this medium."""
    if facts.kind is MediaKind.WINDOWS_SETUP and facts.editions:
        return
    what = (
        "a Windows disc without a Windows image"
        if facts.kind is MediaKind.WINDOWS_SETUP
        else KIND_NAMES[facts.kind]
    )
    raise MediaError(
        f"{facts.path.name} is not a Windows installation disc but {what}:"
        f" {'; '.join(facts.evidence)}",
        hint="give the ISO image of Windows as `media.install`",
    )


def not_an_image(name: str, start: bytes) -> MediaError:
    """What a file without any file system of a disc is, judged by its first bytes."""
    text = start[:4096].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml")) or b"<html" in text:
        return MediaError(
            f"{name} is a web page, not an image",
            hint="the download link asks for a login or has expired; open it in a browser",
        )
    for magic, what, hint in _STARTS:
        if start.startswith(magic):
            return MediaError(f"{name} is {what}, not a disc image", hint=hint)
    if start[0x202:0x206] == b"HdrS":  # the Linux boot protocol's mark
        return MediaError(
            f"{name} is a kernel that a Linux boot loader starts, not a disc image",
            hint="an installation disc is an ISO image",
        )
    if start[510:512] == b"\x55\xaa":
        return MediaError(
            f"{name} begins with a boot sector, and neither a partition nor a file system is known"
            " behind it",
            hint="an installation disc is an ISO image",
        )
    if start and not start.strip(b"\0"):
        return MediaError(
            f"{name} holds only zeros where a disc image begins",
            hint="the download was not completed; fetch it again",
        )
    return MediaError(
        f"{name} is no disc image: it has neither ISO 9660 nor UDF",
        hint="give an ISO image; `file` may tell what this is",
    )


def _tag(language: str) -> str:
    """`en-us` as `en-US`, `zh-hant-tw` as `zh-Hant-TW`: the spelling answer files use."""
    first, *rest = language.split("-")
    parts = [p.upper() if len(p) == 2 else p.title() if len(p) == 4 else p for p in rest]
    return "-".join([first.lower(), *parts])
