"""The files of drivers.iso: the shape of the virtio-win disc (docs/facts/windows-setup.md §8.1).

Every file is a dummy and says so. An INF also says, in a comment the stand-in reads, for which
system and architecture it was meant, so that a wrong folder is noticed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

VERSION = "0.1.285"
LABEL = f"virtio-win-{VERSION}"
SYSTEMS = ("w10", "w11", "2k19", "2k22", "2k25")
ARCHITECTURES = ("x86", "amd64", "ARM64")
FLAT_DRIVERS = ("viostor", "vioscsi")
"""The only two in the flat tree /amd64/OS."""

INF_NAMES = {
    "Balloon": "balloon",
    "NetKVM": "netkvm",
    "fwcfg": "fwcfg",
    "pvpanic": "pvpanic",
    "qemufwcfg": "qemufwcfg",
    "qemupciserial": "qemupciserial",
    "qxldod": "qxldod",
    "smbus": "smbus",
    "sriov": "vioprot",
    "viofs": "viofs",
    "viogpudo": "viogpudo",
    "vioinput": "vioinput",
    "viomem": "viomem",
    "viorng": "viorng",
    "vioscsi": "vioscsi",
    "vioserial": "vioser",
    "viosock": "viosock",
    "viostor": "viostor",
}
"""Folder on the disc -> stem of its INF."""


def inf_text(driver: str, system: str, architecture: str) -> str:
    """A dummy INF. Windows would reject it: no section names a file or a device."""
    return (
        "; dummy of the stand-in for Windows Setup: not a driver\r\n"
        f"; standin-driver: {driver} {system} {architecture}\r\n"
        "[Version]\r\n"
        'Signature = "$WINDOWS NT$"\r\n'
        "Class = System\r\n"
        'Provider = "stand-in for Windows Setup"\r\n'
        "DriverVer = 09/16/2025,100.102.104.28500\r\n"
    )


def driver_disc_files() -> Iterator[tuple[str, bytes]]:
    """Every file of the disc with its path, without the leading slash."""
    described: list[dict[str, object]] = []
    for driver, stem in INF_NAMES.items():
        for system in SYSTEMS:
            for architecture in ARCHITECTURES:
                if not _exists(driver, system, architecture):
                    continue
                folder = f"{driver}/{system}/{architecture}"
                yield from _driver_files(folder, driver, stem, system, architecture)
                described.append(
                    {
                        "arch": architecture.lower(),
                        "driver_version": "100.102.104.28500",
                        "inf_path": f"{folder}/{stem}.inf",
                        "manufacturer": "stand-in for Windows Setup",
                        "name": f"dummy of {driver}",
                        "windows_version": system,
                    }
                )
    for driver in FLAT_DRIVERS:
        for system in SYSTEMS:
            folder = f"amd64/{system}"
            yield from _driver_files(folder, driver, INF_NAMES[driver], system, "amd64")
    yield "data/info.json", json.dumps({"drivers": described}, indent=1).encode() + b"\n"
    yield "cert/Virtio_Win_Red_Hat_CA.cer", _dummy("certificate")
    for name in ("virtio-win-gt-x64.msi", "virtio-win-gt-x86.msi", "virtio-win-guest-tools.exe"):
        yield name, _dummy(name)
    for name in ("qemu-ga-x86_64.msi", "qemu-ga-i386.msi"):
        yield f"guest-agent/{name}", _dummy(name)
    yield "virtio-win_license.txt", b"Dummy files of the stand-in for Windows Setup.\n"


def _driver_files(
    folder: str, driver: str, stem: str, system: str, architecture: str
) -> Iterator[tuple[str, bytes]]:
    yield f"{folder}/{stem}.inf", inf_text(driver, system, architecture).encode()
    yield f"{folder}/{stem}.sys", _dummy(f"{stem}.sys for {system} {architecture}")
    yield f"{folder}/{stem}.cat", _dummy(f"{stem}.cat for {system} {architecture}")


def _exists(driver: str, system: str, architecture: str) -> bool:
    """Not every driver is there for each system and architecture."""
    if architecture == "x86":
        return system == "w10"
    if architecture == "ARM64":
        return system in {"w10", "w11"} and driver in {"viostor", "vioscsi", "NetKVM", "vioserial"}
    return driver != "qxldod" or system in {"w10", "w11"}


def _dummy(what: str) -> bytes:
    return f"dummy of the stand-in for Windows Setup: {what}\r\n".encode()
