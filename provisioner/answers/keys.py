"""Which product key Setup gets, if any. Never an empty one.

A key in windowsPE only chooses the edition; a key in specialize activates (windows-setup.md §3.5).
All keys here are published by Microsoft for installing; none activates on its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from provisioner.errors import Problem, ProfileError
from provisioner.frozen import frozen
from provisioner.media.facts import Edition, MediaFacts
from provisioner.secret import SecretRef
from provisioner.templating import NamedSecret

GENERIC: Mapping[str, str] = MappingProxyType(
    {
        "Core": "YTMG3-N6DKC-DKB77-7M9GH-8HVX7",
        "CoreN": "4CPRK-NM3K3-X6XXQ-RXX86-WXCHW",
        "CoreSingleLanguage": "BT79Q-G7N6G-PGBYW-4YWX6-6F4BT",
        "Professional": "VK7JG-NPHTM-C97JM-9MPGT-3V66T",
        "ProfessionalN": "2B87N-8KFHP-DKV6R-Y2C8J-PKCKT",
        "ProfessionalEducation": "8PTT6-RNW4C-6V7J2-C2D3X-MHBPB",
        "ProfessionalEducationN": "GJTYN-HDMQY-FRR76-HVGC7-QPF8P",
        "ProfessionalWorkstation": "DXG7C-N36C4-C4HTG-X4T3X-2YV77",
        "ProfessionalWorkstationN": "WYPNQ-8C467-V2W6J-TX4WX-WT2RQ",
        "Education": "YNMGQ-8RYV3-4PGQ3-C8XTP-7CFBY",
        "EducationN": "84NGF-MHBT6-FXBX8-QWJK7-DRR8H",
        "Enterprise": "XGVPP-NMH47-7TTHJ-W3FW7-8HV2C",
        "EnterpriseN": "WGGHN-J84D6-QYCPR-T7PJ7-X766F",
        "IoTEnterprise": "CGK42-GYN6Y-VD22B-BX98W-J8JXD",
    }
)
"""Default retail keys of Windows 10 and 11 (windows-setup.md §3.6; unattend-generator
`resource/WindowsEdition.json`, IoT Enterprise from dockur/windows)."""

GVLK_CLIENT: Mapping[str, str] = MappingProxyType(
    {
        "Professional": "W269N-WFGWX-YVC9B-4J6C9-T83GX",
        "ProfessionalN": "MH37W-N47XK-V7XM9-C7227-GCQG9",
        "ProfessionalWorkstation": "NRG8B-VKK3Q-CXVCJ-9G2XF-6Q84J",
        "ProfessionalWorkstationN": "9FNHH-K3HBT-3W4TD-6383H-6XYWF",
        "ProfessionalEducation": "6TP4R-GNPTD-KYYHQ-7B7DP-J447Y",
        "ProfessionalEducationN": "YVWGF-BXNMC-HTQYQ-CPQ99-66QFC",
        "Education": "NW6C2-QMPVW-D7KKK-3GKT6-VCFB2",
        "EducationN": "2WH4N-8QGBV-H22JP-CT43Q-MDWWJ",
        "Enterprise": "NPPR9-FWDCX-D2C8J-H872K-2YT43",
        "EnterpriseN": "DPH2V-TTNVB-4X9Q3-TJR4H-KHJW4",
        "EnterpriseS": "M7XTQ-FN8P6-TTKYV-9D4CC-J462D",
        "EnterpriseSN": "92NFX-8DJQP-P6BBQ-THF9C-7CG2H",
        "IoTEnterpriseS": "KBN8V-HFGQ4-MGXVD-347P6-PDQGT",
    }
)
"""KMS client keys of Windows 10 and 11; the LTSC ones are those of 2019, 2021 and 2024 (§3.6;
MicrosoftDocs/windowsserverdocs `kms-client-activation-keys.md`)."""

GVLK_LTSB_2016 = "DCPHK-NFMTC-H88MJ-PFHPY-QJ4BJ"
"""Windows 10 Enterprise 2016 LTSB, build 14393 (same page)."""

GVLK_SERVER: Mapping[tuple[int, str], str] = MappingProxyType(
    {
        (26100, "ServerStandard"): "TVRH6-WHNXV-R9WG3-9XRFY-MY832",
        (26100, "ServerDatacenter"): "D764K-2NDRG-47T6Q-P8T8W-YP6DF",
        (26100, "ServerTurbine"): "XGN3F-F394H-FD2MY-PP6FD-8MCRC",
        (20348, "ServerStandard"): "VDYBN-27WPP-V4HQT-9VMD4-VMK7H",
        (20348, "ServerDatacenter"): "WX4NM-KYWYW-QJJR4-XV3QB-6VM33",
        (20348, "ServerTurbine"): "NTBV8-9K7Q8-V27C6-M2BTV-KHMXV",
        (17763, "ServerStandard"): "N69G4-B89J2-4G8F4-WWYCC-J464C",
        (17763, "ServerDatacenter"): "WMDGN-G9PQG-XVVXX-R3X43-63DFG",
        (17763, "ServerSolution"): "WVDHN-86M7X-466P6-VHXV7-YY726",
        (14393, "ServerStandard"): "WC2BQ-8NRM3-FDDYY-2BFGV-KHKQY",
        (14393, "ServerDatacenter"): "CB7KF-BWN84-R7R2Y-793K2-8XDDG",
        (14393, "ServerSolution"): "JCKRF-N37P4-C2D82-9YXRT-4M63B",
        (9600, "ServerStandard"): "D2N9P-3P6X9-2R39C-7RTCD-MDVJX",
        (9600, "ServerDatacenter"): "W3GGN-FT8W3-Y4M27-J84CP-Q3VJ9",
        (9600, "ServerSolution"): "KNC87-3J2TX-XB4WP-VCPJV-M4FWM",
        (7601, "ServerStandard"): "YC6KT-GKW9T-YTKYR-T4X34-R7VHC",
        (7601, "ServerDatacenter"): "74YFP-3QFB3-KQT8W-PMXWJ-7M648",
        (7601, "ServerEnterprise"): "489J6-VHDMP-X63PK-3K798-CPX3Y",
        (7601, "ServerWeb"): "6TPJF-RBVHG-WBW2R-86QPH-6RTM4",
    }
)
"""KMS client keys of Server 2025 to 2008 R2 by build and edition id (same page). Datacenter: Azure
Edition calls itself `ServerTurbine`, Essentials `ServerSolution`."""

GVLK_OLD_CLIENT: Mapping[tuple[int, str], str] = MappingProxyType(
    {
        (9600, "Professional"): "GCRJD-8NW9H-F2CDX-CCM8D-9D6T9",
        (9600, "Enterprise"): "MHF9N-XY6XB-WVXMC-BTDCT-MKKG7",
        (9200, "Professional"): "NG4HW-VH26C-733KW-K6F98-J8CK4",
        (9200, "Enterprise"): "32JNW-9KQ84-P47T8-D8GGY-CWCK7",
        (7601, "Professional"): "FJ82H-XT6CR-J8D7P-XQJJ2-GPDD4",
        (7601, "Enterprise"): "33PXH-7Y6KF-2VJC9-XBBR8-HVTHH",
    }
)
"""KMS client keys of Windows 8.1, 8 and 7 (same page)."""

GENERIC_OLD_CLIENT: Mapping[tuple[int, str], str] = MappingProxyType(
    {
        (9600, "Enterprise"): "FHQNR-XYXYC-8PMHT-TV4PH-DRQ3H",
        (7601, "Professional"): "HYF8J-CVRMY-CM74G-RPHKF-PW487",
        (7601, "Enterprise"): "H7X92-3VPBB-Q799D-Y6JJ3-86WC6",
        (7601, "Ultimate"): "D4F6K-QK3RD-TMVMJ-BBMRX-3MBMV",
    }
)
"""Default keys of Windows 8.1 and 7 (windows-setup.md §3.6, from dockur/windows)."""

WITHOUT_SERVICE_PACK = 7600
"""Windows 7 and Server 2008 R2 before their service pack: other build, same keys."""
WINDOWS_10 = 10240

Source = Literal["generic", "gvlk", "profile", "none"]


@frozen
class ProductKey:
    """What goes where: `setup_key` into windowsPE, `activation` into specialize."""

    source: Source
    reason: str
    """One line for plans."""
    setup_key: str | NamedSecret | None
    activation: NamedSecret | None

    @property
    def skip_activation(self) -> bool:
        """A KMS client key looks for a KMS host by itself; a lab has none (§3.6)."""
        return self.source == "gvlk" and self.activation is None


def choose(edition: Edition, install: MediaFacts, own: SecretRef | None) -> ProductKey:
    """The key policy of windows-setup.md §3.5.

    - Evaluation media: no key at all; retail and volume keys do not fit their images.
    - Volume media and every server: the KMS client key of the edition.
    - Other clients: the generic retail key of the edition.
    - The profile's own key activates, in specialize, where a MAK must stand. windowsPE still gets
      the published key, which fits the image whatever the channel of the own key is; only where
      none is published does the own key choose the edition too.
    """
    evaluation = install.evaluation or edition.edition_id.casefold().endswith("eval")
    if evaluation:
        if own is not None:
            raise ProfileError(
                [
                    Problem(
                        message=f"{edition.display_name or edition.name} is an evaluation; its "
                        "images take no product key",
                        rule="windows.product-key",
                        hint="leave out windows.product_key, or take media that are not for "
                        "evaluation",
                    )
                ]
            )
        return ProductKey(
            source="none",
            reason="evaluation media take no product key",
            setup_key=None,
            activation=None,
        )
    activation = NamedSecret(name="product-key", reference=own) if own is not None else None
    published, source = _published(edition, volume_licence=install.volume_licence)
    if published is not None:
        kind = "KMS client" if source == "gvlk" else "generic retail"
        also = "; your own key activates after the installation" if activation else ""
        return ProductKey(
            source="profile" if activation else source,
            reason=f"{kind} key of {edition.edition_id}{also}",
            setup_key=published,
            activation=activation,
        )
    if activation is not None:
        return ProductKey(
            source="profile",
            reason=f"your own key; none is published for {edition.edition_id}",
            setup_key=activation,
            activation=activation,
        )
    return ProductKey(
        source="none",
        reason=f"no key is published for {edition.edition_id}; Setup may ask for one",
        setup_key=None,
        activation=None,
    )


def _published(edition: Edition, *, volume_licence: bool) -> tuple[str | None, Source]:
    """The key Microsoft publishes for this edition on media of this channel, and its kind."""
    build, name = edition.version[2], edition.edition_id
    if build == WITHOUT_SERVICE_PACK:
        build += 1
    if edition.installation_type.casefold().startswith("server"):
        return GVLK_SERVER.get((build, name)), "gvlk"
    if build < WINDOWS_10:
        old, default = GVLK_OLD_CLIENT.get((build, name)), GENERIC_OLD_CLIENT.get((build, name))
        if old is not None and (volume_licence or default is None):
            return old, "gvlk"
        return default, "generic"
    gvlk = GVLK_CLIENT.get(name)
    if name == "EnterpriseS" and build == 14393:
        gvlk = GVLK_LTSB_2016
    generic = GENERIC.get(name)
    if gvlk is not None and (volume_licence or generic is None):
        return gvlk, "gvlk"
    return generic, "generic"
