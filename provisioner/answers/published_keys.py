"""Which Windows each key that Microsoft publishes belongs to: to see that a key is another's.

Sources: windows-setup.md §3.6 (MicrosoftDocs/windowsserverdocs `kms-client-activation-keys.md`;
unattend-generator `resource/WindowsEdition.json`; dockur/windows).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from provisioner.answers.keys import (
    GENERIC,
    GENERIC_OLD_CLIENT,
    GVLK_CLIENT,
    GVLK_LTSB_2016,
    GVLK_OLD_CLIENT,
    GVLK_SERVER,
    WITHOUT_SERVICE_PACK,
)
from provisioner.frozen import frozen

ANY_BUILD = (10240, 99_999)
"""Keys of Windows 10 are those of Windows 11."""
_SERVERS = {
    26100: "Windows Server 2025",
    20348: "Windows Server 2022",
    17763: "Windows Server 2019",
    14393: "Windows Server 2016",
    9600: "Windows Server 2012 R2",
    7601: "Windows Server 2008 R2",
}


@frozen
class PublishedKey:
    """What a published key is for."""

    name: str
    edition_ids: tuple[str, ...]
    """Lower case."""
    builds: tuple[int, int]
    server: bool

    def fits(self, *, edition_id: str, build: int) -> bool:
        """Whether an image of this edition and build takes it."""
        low, high = self.builds
        return edition_id.casefold() in self.edition_ids and low <= build <= high

    def fits_some_edition(self, *, build: int, server: bool) -> bool:
        """Whether any edition of that Windows takes it."""
        low, high = self.builds
        return self.server is server and low <= build <= high


_OLDER = (
    # name, edition ids, builds, key
    ("Windows Server 2012", ("serverstandard",), (9200, 9200),
     "XC9B7-NBPP2-83J2H-RHMBY-92BT4"),
    ("Windows Server 2012 Datacenter", ("serverdatacenter",), (9200, 9200),
     "48HP8-DN98B-MYWDG-T2DCC-8W83P"),
)  # fmt: skip
_OLD_CLIENTS = {9600: "Windows 8.1", 9200: "Windows 8", 7601: "Windows 7"}


@cache
def published() -> Mapping[str, PublishedKey]:
    """Every published key."""
    found: dict[str, PublishedKey] = {}
    for table in (GENERIC, GVLK_CLIENT):
        for edition, key in table.items():
            found[key] = PublishedKey(
                name=f"Windows 10 and 11 {edition}",
                edition_ids=(edition.casefold(),),
                builds=ANY_BUILD,
                server=False,
            )
    found[GVLK_LTSB_2016] = PublishedKey(
        name="Windows 10 Enterprise 2016 LTSB",
        edition_ids=("enterprises",),
        builds=(14393, 14393),
        server=False,
    )
    for (build, edition), key in GVLK_SERVER.items():
        found[key] = PublishedKey(
            name=f"{_SERVERS[build]} {edition.removeprefix('Server')}",
            edition_ids=(edition.casefold(),),
            builds=_builds(build),
            server=True,
        )
    for old in (GVLK_OLD_CLIENT, GENERIC_OLD_CLIENT):
        for (build, edition), key in old.items():
            found[key] = PublishedKey(
                name=f"{_OLD_CLIENTS[build]} {edition}",
                edition_ids=(edition.casefold(),),
                builds=_builds(build),
                server=False,
            )
    for name, editions, builds, key in _OLDER:
        found[key] = PublishedKey(
            name=name, edition_ids=editions, builds=builds, server="Server" in name
        )
    return MappingProxyType(found)


def _builds(build: int) -> tuple[int, int]:
    """Windows 7 and Server 2008 R2 have two, with and without their service pack."""
    return (WITHOUT_SERVICE_PACK, build) if build == WITHOUT_SERVICE_PACK + 1 else (build, build)
