"""A virtio-win driver disc: which folders hold the drivers for a Windows, and their bytes.

Layout `\\<driver>\\<os>\\<arch>\\` and the table of os folders by build after facts windows-setup
§8.1 and §8.2. Reading and choosing only; what is copied where is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from provisioner.errors import MediaError
from provisioner.frozen import frozen
from provisioner.media.facts import Extent, MediaFacts, MediaKind
from provisioner.media.identify import virtio_version

DRIVERS: Mapping[str, str] = {
    "virtio-blk": "viostor",
    "virtio-scsi": "vioscsi",
    "virtio-net": "NetKVM",
    "virtio-serial": "vioserial",
    "balloon": "Balloon",
    "rng": "viorng",
    "input": "vioinput",
    "gpu": "viogpudo",
    "fs": "viofs",
    "pvpanic": "pvpanic",
}
"""Device, as a domain has it, to the folder of its driver (§8.1; PCI ids in §8.3)."""

_NOT_INSTALLED = (".pdb",)
_CLIENTS = ((22000, "w11"), (10240, "w10"), (9600, "w8.1"), (9200, "w8"), (7600, "w7"))
_SERVERS = (
    (26100, "2k25"),
    (20348, "2k22"),
    (17763, "2k19"),
    (14393, "2k16"),
    (9600, "2k12R2"),
    (9200, "2k12"),
    (7600, "2k8R2"),
)
_SAME_BUILD = {
    "2k25": ("w11",),
    "2k22": ("2k19", "2k16", "w10"),
    "2k19": ("2k16", "w10"),
    "2k16": ("w10",),
    "w11": ("w10",),
    "2k12R2": ("w8.1",),
    "2k12": ("w8",),
    "2k8R2": ("w7",),
}
"""Folders with the same binaries or, for w10 under w11, ones that its Windows takes: for older
discs that lack the newer folder."""


@frozen
class Driver:
    """One driver for one Windows: `files` maps names to the bytes on the driver disc."""

    name: str
    """As the disc spells it, `viostor`."""
    folder: str
    """On the disc, `viostor/w11/amd64`."""
    files: Mapping[str, tuple[Extent, ...]]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(extent.length for extents in self.files.values() for extent in extents)


@frozen
class Installer:
    """An MSI package on the driver disc."""

    path: str
    extents: tuple[Extent, ...]


@frozen
class GuestTools:
    """The packages that run after the installation; None where the disc lacks one."""

    agent: Installer | None
    """`guest-agent/qemu-ga-x86_64.msi`."""
    drivers: Installer | None
    """`virtio-win-gt-x64.msi`: all drivers."""


def require_virtio(facts: MediaFacts) -> None:
    """`MediaError` unless this is a virtio driver disc."""
    if facts.kind is not MediaKind.VIRTIO_DRIVERS:
        raise MediaError(
            f"{facts.path.name} is not a virtio driver disc: {'; '.join(facts.evidence)}",
            hint="give virtio-win.iso as `media.drivers`",
        )


def version(facts: MediaFacts) -> str | None:
    """`0.1.285`, as the label says."""
    return virtio_version(facts.label)


def os_folders(build: int, *, server: bool) -> tuple[str, ...]:
    """Folder names for a Windows build, the best first; empty before Windows 7."""
    for least, folder in _SERVERS if server else _CLIENTS:
        if build >= least:
            return (folder, *_SAME_BUILD.get(folder, ()))
    return ()


def select(
    facts: MediaFacts, devices: Iterable[str], *, build: int, server: bool, architecture: str
) -> tuple[Driver, ...]:
    """The drivers for these devices (keys of `DRIVERS`), once each, in the order given.

    `MediaError` when the disc lacks one for this Windows; `KeyError` for an unknown device.
    """
    require_virtio(facts)
    folders = _folders(facts)
    chosen: dict[str, Driver] = {}
    for device in devices:
        name = DRIVERS[device]
        if name in chosen:
            continue
        wanted = [f"{name}/{folder}/{architecture}" for folder in os_folders(build, server=server)]
        found = next((f for f in wanted if f.casefold() in folders), None)
        if found is None:
            there = sorted(f for f in folders if f.startswith(f"{name.casefold()}/"))
            raise MediaError(
                f"{facts.path.name} has no {name} driver for build {build} on {architecture}",
                hint=f"it has {', '.join(there) or 'no ' + name + ' at all'};"
                " a newer virtio-win.iso may help",
            )
        spelling, files = folders[found.casefold()]
        chosen[name] = Driver(name=spelling.partition("/")[0], folder=spelling, files=files)
    return tuple(chosen.values())


def coverage(facts: MediaFacts) -> tuple[str, ...]:
    """For people: which drivers there are for each Windows, as `w11 amd64: Balloon, NetKVM`."""
    found: dict[str, list[str]] = {}
    for folder, _ in _folders(facts).values():
        name, system, architecture = folder.split("/")
        found.setdefault(f"{system} {architecture}", []).append(name)
    return tuple(
        f"{target}: {', '.join(sorted(names, key=str.casefold))}"
        for target, names in sorted(found.items(), key=lambda item: item[0].casefold())
    )[:64]


def guest_tools(facts: MediaFacts, *, architecture: str) -> GuestTools:
    """The guest agent and the driver package for an architecture (`amd64` or `x86`)."""
    names = {
        "amd64": ("guest-agent/qemu-ga-x86_64.msi", "virtio-win-gt-x64.msi"),
        "x86": ("guest-agent/qemu-ga-i386.msi", "virtio-win-gt-x86.msi"),
    }.get(architecture)
    found = [facts.find(name) for name in names or ()]
    agent, drivers = (
        Installer(path=f[0], extents=f[1]) if f else None for f in found or (None,) * 2
    )
    return GuestTools(agent=agent, drivers=drivers)


def _folders(facts: MediaFacts) -> dict[str, tuple[str, dict[str, tuple[Extent, ...]]]]:
    """Folder in lower case to its spelling and the files a driver installs from; needs an INF."""
    folders: dict[str, tuple[str, dict[str, tuple[Extent, ...]]]] = {}
    for path, extents in facts.files.items():
        folder, _, name = path.rpartition("/")
        if folder.count("/") == 2 and not name.casefold().endswith(_NOT_INSTALLED):
            folders.setdefault(folder.casefold(), (folder, {}))[1][name] = extents
    return {
        key: (folder, dict(sorted(files.items())))
        for key, (folder, files) in folders.items()
        if any(name.casefold().endswith(".inf") for name in files)
    }
