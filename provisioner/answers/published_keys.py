"""Which Windows each key that Microsoft publishes belongs to: to see that a key is another's.

Sources: windows-setup.md §3.6 (MicrosoftDocs/windowsserverdocs `kms-client-activation-keys.md`;
unattend-generator `resource/WindowsEdition.json`; dockur/windows).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from provisioner.answers.keys import GENERIC, GVLK_CLIENT, GVLK_LTSB_2016, GVLK_SERVER
from provisioner.frozen import frozen

ANY_BUILD = (10240, 99_999)
"""Keys of Windows 10 are those of Windows 11."""
_SERVERS = {
    26100: "Windows Server 2025",
    20348: "Windows Server 2022",
    17763: "Windows Server 2019",
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
    ("Windows Server 2016 Standard", ("serverstandard",), (14393, 14393),
     "WC2BQ-8NRM3-FDDYY-2BFGV-KHKQY"),
    ("Windows Server 2016 Datacenter", ("serverdatacenter",), (14393, 14393),
     "CB7KF-BWN84-R7R2Y-793K2-8XDDG"),
    ("Windows Server 2016 Essentials", ("serversolution",), (14393, 14393),
     "JCKRF-N37P4-C2D82-9YXRT-4M63B"),
    ("Windows Server 2012 R2 Standard", ("serverstandard",), (9600, 9600),
     "D2N9P-3P6X9-2R39C-7RTCD-MDVJX"),
    ("Windows Server 2012 R2 Datacenter", ("serverdatacenter",), (9600, 9600),
     "W3GGN-FT8W3-Y4M27-J84CP-Q3VJ9"),
    ("Windows Server 2012 R2 Essentials", ("serversolution",), (9600, 9600),
     "KNC87-3J2TX-XB4WP-VCPJV-M4FWM"),
    ("Windows Server 2012", ("serverstandard",), (9200, 9200),
     "XC9B7-NBPP2-83J2H-RHMBY-92BT4"),
    ("Windows Server 2012 Datacenter", ("serverdatacenter",), (9200, 9200),
     "48HP8-DN98B-MYWDG-T2DCC-8W83P"),
    ("Windows Server 2008 R2 Standard", ("serverstandard",), (7600, 7601),
     "YC6KT-GKW9T-YTKYR-T4X34-R7VHC"),
    ("Windows Server 2008 R2 Datacenter", ("serverdatacenter",), (7600, 7601),
     "74YFP-3QFB3-KQT8W-PMXWJ-7M648"),
    ("Windows Server 2008 R2 Enterprise", ("serverenterprise",), (7600, 7601),
     "489J6-VHDMP-X63PK-3K798-CPX3Y"),
    ("Windows Server 2008 R2 Web", ("serverweb",), (7600, 7601),
     "6TPJF-RBVHG-WBW2R-86QPH-6RTM4"),
    ("Windows 8.1 Pro", ("professional",), (9600, 9600), "GCRJD-8NW9H-F2CDX-CCM8D-9D6T9"),
    ("Windows 8.1 Enterprise", ("enterprise",), (9600, 9600), "MHF9N-XY6XB-WVXMC-BTDCT-MKKG7"),
    ("Windows 8.1 Enterprise", ("enterprise",), (9600, 9600), "FHQNR-XYXYC-8PMHT-TV4PH-DRQ3H"),
    ("Windows 8 Pro", ("professional",), (9200, 9200), "NG4HW-VH26C-733KW-K6F98-J8CK4"),
    ("Windows 8 Enterprise", ("enterprise",), (9200, 9200), "32JNW-9KQ84-P47T8-D8GGY-CWCK7"),
    ("Windows 7 Professional", ("professional",), (7600, 7601), "FJ82H-XT6CR-J8D7P-XQJJ2-GPDD4"),
    ("Windows 7 Professional", ("professional",), (7600, 7601), "HYF8J-CVRMY-CM74G-RPHKF-PW487"),
    ("Windows 7 Enterprise", ("enterprise",), (7600, 7601), "33PXH-7Y6KF-2VJC9-XBBR8-HVTHH"),
    ("Windows 7 Enterprise", ("enterprise",), (7600, 7601), "H7X92-3VPBB-Q799D-Y6JJ3-86WC6"),
    ("Windows 7 Ultimate", ("ultimate",), (7600, 7601), "D4F6K-QK3RD-TMVMJ-BBMRX-3MBMV"),
)  # fmt: skip


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
            builds=(build, build),
            server=True,
        )
    for name, editions, builds, key in _OLDER:
        found[key] = PublishedKey(
            name=name, edition_ids=editions, builds=builds, server="Server" in name
        )
    return MappingProxyType(found)
