"""Makes sources/install.wim and sources/boot.wim with wimlib-imagex.

The container and its XML are real and look as on Microsoft's media (docs/facts/windows-setup.md §7,
facts/iso-usb.md §2.1); the content is the stand-in's "installed system", the same in every
edition, so it is stored once.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

BUILD = 26100
SERVICE_PACK_BUILD = 1742
LANGUAGE = "en-US"


class WimError(RuntimeError):
    """wimlib-imagex refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """One image: /IMAGE/NAME is compared with `name`; `edition_id` is what a key stands for."""

    name: str
    edition_id: str


EDITIONS = (
    Edition(name="Windows 11 Home", edition_id="Core"),
    Edition(name="Windows 11 Pro", edition_id="Professional"),
    Edition(name="Windows 11 Enterprise", edition_id="Enterprise"),
)
"""In this order: index 1, 2, 3. The names are those a profile asks for; every description says
that the image is a stand-in."""


def make_install_wim(target: Path, tree: Path) -> None:
    """Capture `tree` once per edition; wimlib stores equal files once."""
    for index, edition in enumerate(EDITIONS, start=1):
        properties = {
            "DISPLAYNAME": edition.name,
            "DISPLAYDESCRIPTION": f"Stand-in for {edition.name}; holds no Windows",
            "FLAGS": edition.edition_id,
            **_windows_properties(edition.edition_id, "Client"),
        }
        _add(target, tree, edition.name, index=index, properties=properties)
    for index, edition in enumerate(EDITIONS, start=1):
        # `capture` takes no description of its own beside the name's.
        names = [edition.name, f"Stand-in for {edition.name}"]
        _run(["wimlib-imagex", "info", str(target), str(index), *names])


def make_boot_wim(target: Path, tree: Path) -> None:
    """Index 1 is Windows PE, index 2 Setup and bootable (docs/facts/iso-usb.md §2.1)."""
    for index, name in enumerate(("Windows PE", "Windows Setup"), start=1):
        properties = {
            "FLAGS": "9" if index == 1 else "2",
            **_windows_properties("WindowsPE", "WindowsPE"),
        }
        _add(target, tree, f"Stand-in for {name} (amd64)", index=index, properties=properties)
    _run(["wimlib-imagex", "info", str(target), "2", "--boot"])


def _windows_properties(edition_id: str, installation_type: str) -> Mapping[str, str]:
    return {
        "WINDOWS/ARCH": "9",
        "WINDOWS/PRODUCTNAME": "Stand-in for Windows Setup",
        "WINDOWS/EDITIONID": edition_id,
        "WINDOWS/INSTALLATIONTYPE": installation_type,
        "WINDOWS/SERVICINGDATA/GDRDUREVISION": "0",
        "WINDOWS/SERVICINGDATA/PKEYCONFIGVERSION": f"10.0.{BUILD}.{SERVICE_PACK_BUILD}",
        "WINDOWS/PRODUCTTYPE": "WinNT",
        "WINDOWS/PRODUCTSUITE": "Terminal Server",
        "WINDOWS/LANGUAGES/LANGUAGE": LANGUAGE,
        "WINDOWS/LANGUAGES/DEFAULT": LANGUAGE,
        "WINDOWS/VERSION/MAJOR": "10",
        "WINDOWS/VERSION/MINOR": "0",
        "WINDOWS/VERSION/BUILD": str(BUILD),
        "WINDOWS/VERSION/SPBUILD": str(SERVICE_PACK_BUILD),
        "WINDOWS/VERSION/SPLEVEL": "0",
        "WINDOWS/VERSION/BRANCH": "ge_release",
        "WINDOWS/SYSTEMROOT": "WINDOWS",
    }


def _add(target: Path, tree: Path, name: str, *, index: int, properties: Mapping[str, str]) -> None:
    verb = ["capture", str(tree), str(target), name, "--compress=LZX"]
    if index > 1:
        verb = ["append", str(tree), str(target), name]
    settings = [f"--image-property={key}={value}" for key, value in properties.items()]
    _run(["wimlib-imagex", *verb, "--no-acls", *settings])


def _run(argv: list[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        message = f"{' '.join(argv)} failed:\n{done.stdout}{done.stderr}"
        raise WimError(message)
