"""Media facts made by hand: the discs that the golden cases are composed for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from provisioner.media.facts import Edition, Extent, Fingerprint, MediaFacts, MediaKind

GIB = 1024**3
_CLIENTS = {
    "Core": "Home",
    "Professional": "Pro",
    "Education": "Education",
    "Enterprise": "Enterprise",
    "EnterpriseEval": "Enterprise Evaluation",
    "EnterpriseS": "Enterprise LTSC",
    "IoTEnterpriseS": "IoT Enterprise LTSC",
}
_YEARS = {
    7601: "2008 R2",
    9600: "2012 R2",
    14393: "2016",
    17763: "2019",
    20348: "2022",
    26100: "2025",
}
_OLD = {7601: "7", 9600: "8.1"}
_KERNELS = {7601: (6, 1), 9600: (6, 3)}


def edition(
    edition_id: str,
    *,
    index: int = 1,
    build: int = 26100,
    installation_type: str = "Client",
    languages: Sequence[str] = ("en-US",),
    architecture: str = "amd64",
) -> Edition:
    """One image as the WIM's XML describes it."""
    if installation_type == "Client":
        family = _OLD.get(build, "11" if build >= 22000 else "10")
        name = f"Windows {family} {_CLIENTS.get(edition_id, edition_id)}"
        display = name
    else:
        desktop = installation_type == "Server"
        core = " (Desktop Experience)" if desktop else ""
        plain = edition_id.removesuffix("Eval").removeprefix("Server")
        name = f"Windows Server {_YEARS[build]} SERVER{plain.upper()}{'' if desktop else 'CORE'}"
        evaluation = " Evaluation" if edition_id.endswith("Eval") else ""
        display = f"Windows Server {_YEARS[build]} {plain}{evaluation}{core}"
    return Edition(
        index=index,
        name=name,
        display_name=display,
        description=display,
        edition_id=edition_id,
        installation_type=installation_type,
        architecture=architecture,
        version=(*_KERNELS.get(build, (10, 0)), build, 1742),
        languages=tuple(languages),
        default_language=languages[0],
        total_bytes=16 * GIB,
    )


def install_disc(
    *editions: Edition,
    languages: Sequence[str] = ("en-US",),
    evaluation: bool = False,
    volume_licence: bool = False,
) -> MediaFacts:
    """An installation disc with these editions."""
    architecture = editions[0].architecture
    return MediaFacts(
        path=Path("/iso/install.iso"),
        kind=MediaKind.WINDOWS_SETUP,
        evidence=("sources/install.wim",),
        fingerprint=Fingerprint(size=6 * GIB, digest="0" * 64),
        label=f"CCCOMA_{'A64' if architecture == 'arm64' else 'X64'}FRE_EN-US_DV9",
        editions=editions,
        languages=tuple(languages),
        architecture=architecture,
        evaluation=evaluation,
        volume_licence=volume_licence,
    )


def windows_11() -> tuple[MediaFacts, Edition]:
    """A consumer disc of Windows 11 24H2; its Pro is image 6."""
    home = edition("Core", index=1)
    pro = edition("Professional", index=6)
    return install_disc(home, pro), pro


def windows_11_ltsc(*, evaluation: bool = False) -> MediaFacts:
    """A disc of Windows 11 Enterprise LTSC 2024: for volume licences, or the evaluation."""
    if evaluation:
        return install_disc(edition("EnterpriseSEval"), evaluation=True)
    images = (edition("EnterpriseS"), edition("IoTEnterpriseS", index=2))
    return install_disc(*images, volume_licence=True)


def windows_10_ltsc(*, build: int = 19044) -> MediaFacts:
    """A disc of Windows 10 Enterprise LTSC 2021 for volume licences, with the one for devices."""
    images = (edition("EnterpriseS", build=build), edition("IoTEnterpriseS", index=2, build=build))
    return install_disc(*images, volume_licence=True)


def old_client(build: int) -> MediaFacts:
    """A disc of Windows 7 or 8.1 with several editions."""
    ids = ("Professional", "Ultimate") if build < 9200 else ("Core", "Professional")
    return install_disc(
        *(edition(name, index=number, build=build) for number, name in enumerate(ids, start=1))
    )


def server_disc(*, build: int, evaluation: bool = False) -> MediaFacts:
    """A disc of a server as Microsoft makes it: Standard and Datacenter, Core before desktop.

    With a desktop or without, the edition id is the same (windows-setup.md §7.2).
    """
    ids = ("ServerStandard", "ServerStandard", "ServerDatacenter", "ServerDatacenter")
    images = (
        edition(
            name + ("Eval" if evaluation else ""),
            index=number,
            build=build,
            installation_type="Server" if number % 2 == 0 else "Server Core",
        )
        for number, name in enumerate(ids, start=1)
    )
    return install_disc(*images, evaluation=evaluation)


def driver_disc() -> MediaFacts:
    """A virtio-win disc with a few drivers for a few Windows, and the guest agent."""
    files: dict[str, tuple[Extent, ...]] = {}
    offset = 1024 * 1024
    for driver in ("Balloon", "NetKVM", "viogpudo", "vioinput", "viorng", "vioserial", "viostor"):
        for folder in ("w10", "w11", "2k19", "2k22", "2k25"):
            for suffix in ("cat", "inf", "pdb", "sys"):
                name = driver.lower()
                files[f"{driver}/{folder}/amd64/{name}.{suffix}"] = (
                    Extent(offset=offset, length=4096),
                )
                offset += 4096
    for path in ("guest-agent/qemu-ga-x86_64.msi", "virtio-win-gt-x64.msi"):
        files[path] = (Extent(offset=offset, length=1024 * 1024),)
        offset += 1024 * 1024
    for driver in ("Balloon", "NetKVM", "viogpudo", "viostor"):
        for suffix in ("cat", "inf", "pdb", "sys"):
            path = f"{driver}/w11/ARM64/{driver.lower()}.{suffix}"
            files[path] = (Extent(offset=offset, length=4096),)
            offset += 4096
    return MediaFacts(
        path=Path("/iso/virtio-win.iso"),
        kind=MediaKind.VIRTIO_DRIVERS,
        evidence=("label virtio-win-0.1.285",),
        fingerprint=Fingerprint(size=offset, digest="1" * 64),
        label="virtio-win-0.1.285",
        files=files,
    )


def old_driver_disc(folder: str, *, version: str) -> MediaFacts:
    """One that is old enough for the Windows of that folder: `w7`, `2k8R2`, `w8.1`, `2k12R2`."""
    made = driver_disc()
    files = {
        path.replace("/w10/", f"/{folder}/"): extents
        for path, extents in made.files.items()
        if "/w10/" in path or path.endswith(".msi")
    }
    label = f"virtio-win-{version}"
    return replace(made, label=label, files=files, driver_version=version)
