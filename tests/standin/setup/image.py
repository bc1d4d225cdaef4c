"""Reads the editions from a WIM's XML and chooses one as Setup does."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.standin.setup.elements import Element, parse
from tests.standin.setup.outcome import SetupStopped, page_shown

KEY_PATTERN = re.compile(r"[A-Z0-9]{5}(-[A-Z0-9]{5}){4}")
ASK_KEY = "00000-00000-00000-00000-00000"

KEY_EDITIONS = {
    "YTMG3-N6DKC-DKB77-7M9GH-8HVX7": "Core",
    "4CPRK-NM3K3-X6XXQ-RXX86-WXCHW": "CoreN",
    "BT79Q-G7N6G-PGBYW-4YWX6-6F4BT": "CoreSingleLanguage",
    "VK7JG-NPHTM-C97JM-9MPGT-3V66T": "Professional",
    "W269N-WFGWX-YVC9B-4J6C9-T83GX": "Professional",
    "2B87N-8KFHP-DKV6R-Y2C8J-PKCKT": "ProfessionalN",
    "MH37W-N47XK-V7XM9-C7227-GCQG9": "ProfessionalN",
    "8PTT6-RNW4C-6V7J2-C2D3X-MHBPB": "ProfessionalEducation",
    "6TP4R-GNPTD-KYYHQ-7B7DP-J447Y": "ProfessionalEducation",
    "DXG7C-N36C4-C4HTG-X4T3X-2YV77": "ProfessionalWorkstation",
    "NRG8B-VKK3Q-CXVCJ-9G2XF-6Q84J": "ProfessionalWorkstation",
    "YNMGQ-8RYV3-4PGQ3-C8XTP-7CFBY": "Education",
    "NW6C2-QMPVW-D7KKK-3GKT6-VCFB2": "Education",
    "XGVPP-NMH47-7TTHJ-W3FW7-8HV2C": "Enterprise",
    "NPPR9-FWDCX-D2C8J-H872K-2YT43": "Enterprise",
    "WGGHN-J84D6-QYCPR-T7PJ7-X766F": "EnterpriseN",
    "DPH2V-TTNVB-4X9Q3-TJR4H-KHJW4": "EnterpriseN",
    "M7XTQ-FN8P6-TTKYV-9D4CC-J462D": "EnterpriseS",
    "92NFX-8DJQP-P6BBQ-THF9C-7CG2H": "EnterpriseSN",
    "KBN8V-HFGQ4-MGXVD-347P6-PDQGT": "IoTEnterpriseS",
    "CGK42-GYN6Y-VD22B-BX98W-J8JXD": "IoTEnterprise",
    "84NGF-MHBT6-FXBX8-QWJK7-DRR8H": "EducationN",
    "2WH4N-8QGBV-H22JP-CT43Q-MDWWJ": "EducationN",
    "TVRH6-WHNXV-R9WG3-9XRFY-MY832": "ServerStandard",
    "D764K-2NDRG-47T6Q-P8T8W-YP6DF": "ServerDatacenter",
    "N69G4-B89J2-4G8F4-WWYCC-J464C": "ServerStandard",
    "WMDGN-G9PQG-XVVXX-R3X43-63DFG": "ServerDatacenter",
    "WC2BQ-8NRM3-FDDYY-2BFGV-KHKQY": "ServerStandard",
    "CB7KF-BWN84-R7R2Y-793K2-8XDDG": "ServerDatacenter",
    "VDYBN-27WPP-V4HQT-9VMD4-VMK7H": "ServerStandard",
    "WX4NM-KYWYW-QJJR4-XV3QB-6VM33": "ServerDatacenter",
}
"""Keys that Microsoft publishes, retail defaults and KMS client keys (facts §3.6)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image of the WIM; texts are empty where the XML has none."""

    index: int
    name: str
    description: str
    display_name: str
    edition_id: str
    architecture: str
    build: str
    languages: tuple[str, ...]


def read_images(wim: Path) -> tuple[Image, ...]:
    """The images listed in the WIM's XML resource (header layout: wimlib include/wimlib/header.h,
    named in facts/iso-usb.md §2.1)."""
    with wim.open("rb") as stream:
        header = stream.read(208)
        if header[:8] != b"MSWIM\0\0\0":
            raise SetupStopped(f"{wim.name} is no WIM")
        size = int.from_bytes(header[0x48:0x4F], "little")
        (offset,) = struct.unpack_from("<Q", header, 0x50)
        stream.seek(offset)
        text = stream.read(size).decode("utf-16")
    root = parse(text.encode("utf-8"))
    return tuple(_image(element) for element in root.all("IMAGE"))


def select_image(
    images: Sequence[Image], *, key: str | None, metadata: Sequence[tuple[str, str]]
) -> Image:
    """Choose: the key's edition first, then MetaData; both must agree (facts §3.4, §3.5, §7.1).

    `key` is None when the file has no Key element.
    """
    if key == ASK_KEY:
        raise page_shown("product key", "the key is the one that asks the user")
    by_key = list(images) if key is None else _images_of_key(images, key)
    by_metadata = [image for image in images if _matches(image, metadata)]
    if not by_metadata:
        raise page_shown("select image", f"no image matches {_words(metadata)}")
    chosen = [image for image in by_metadata if image in by_key]
    if not chosen:
        raise SetupStopped(
            f"the product key is for another edition than the image chosen by {_words(metadata)}"
        )
    if len(chosen) > 1 and not metadata and key is None:
        raise page_shown("select image", "neither a product key nor InstallFrom/MetaData chooses")
    if len(chosen) > 1:
        raise page_shown("select image", "several images match")
    return chosen[0]


def described(image: Image) -> dict[str, object]:
    """An image for the report."""
    return {
        "index": image.index,
        "name": image.name,
        "edition_id": image.edition_id,
        "build": image.build,
        "architecture": image.architecture,
    }


def _images_of_key(images: Sequence[Image], key: str) -> list[Image]:
    if not KEY_PATTERN.fullmatch(key):
        raise SetupStopped("cannot read the <ProductKey> setting: it is not of the form XXXXX-...")
    edition = KEY_EDITIONS.get(key)
    matching = [image for image in images if image.edition_id == edition]
    if not matching:
        raise SetupStopped(
            "cannot read the <ProductKey> setting from the unattend answer file: the key matches "
            "no image"
        )
    return matching


def _matches(image: Image, metadata: Sequence[tuple[str, str]]) -> bool:
    for key, value in metadata:
        match key.strip().upper().lstrip("/"):
            case "IMAGE/INDEX":
                fits = str(image.index) == value.strip()
            case "IMAGE/NAME":
                fits = image.name.lower() == value.strip().lower()
            case "IMAGE/DESCRIPTION":
                fits = image.description.lower() == value.strip().lower()
            case "IMAGE/ARCH":
                fits = image.architecture == value.strip()
            case _:
                fits = False
        if not fits:
            return False
    return True


def _words(metadata: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{key}={value}" for key, value in metadata) or "nothing"


def _image(element: Element) -> Image:
    return Image(
        index=int(element.attributes["INDEX"]),
        name=element.value("NAME") or "",
        description=element.value("DESCRIPTION") or "",
        display_name=element.value("DISPLAYNAME") or "",
        edition_id=element.value("WINDOWS/EDITIONID") or "",
        architecture=element.value("WINDOWS/ARCH") or "",
        build=element.value("WINDOWS/VERSION/BUILD") or "",
        languages=tuple(
            child.text
            for languages in element.all("WINDOWS")
            for child in (languages.find("LANGUAGES") or languages).all("LANGUAGE")
        ),
    )
