"""The golden cases: a profile, the discs it meets, and a name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provisioner.media.editions import resolve_edition
from provisioner.media.facts import Edition, MediaFacts
from provisioner.profile.load import load_profile
from provisioner.profile.model import Profile
from provisioner.resources import Resources, shipped_folder
from tests.golden.media import (
    driver_disc,
    edition,
    install_disc,
    server_disc,
    windows_11,
    windows_11_ltsc,
)

ADMIN = {"name": "dev", "groups": ["Administrators"], "password": {"env": "DEV_PASSWORD"}}
METACHARACTERS = "&<>\"'^%!|()`$;,=~#@[]{}\\/*?+-_.: ‘’‚‛äß€漢😀"
"""What XML, cmd and PowerShell read as syntax, and what is not ASCII."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One golden case."""

    name: str
    profile: Profile
    install: MediaFacts
    edition: Edition
    drivers: MediaFacts | None = None


def _profile(name: str, *, product: str = "windows-11", **rest: Any) -> Profile:
    machine, metal = rest.pop("machine", {}), rest.pop("metal", None)
    media = rest.pop("media", {})
    description = rest.pop("description", None)
    windows = {"product": product, "users": [ADMIN], **rest}
    return Profile.model_validate_json(
        json.dumps(
            {
                "name": name[:15].strip("-"),
                "windows": windows,
                **({"machine": machine} if metal is None else {"metal": metal}),
                "media": media,
                "description": description,
            }
        )
    )


def _shipped(name: str) -> Profile:
    nowhere = Path("/nowhere")
    return load_profile(
        name, resources=Resources(shipped=shipped_folder()), home=nowhere, cwd=nowhere
    ).profile


def _windows_11(name: str, *, drivers: bool = False, **profile: Any) -> Case:
    install, pro = windows_11()
    return Case(
        name=name,
        profile=_profile(name, **profile),
        install=install,
        edition=pro,
        drivers=driver_disc() if drivers else None,
    )


def _arm64(name: str, *, drivers: bool = False, **profile: Any) -> Case:
    image = edition("Professional", index=6, architecture="arm64")
    return Case(
        name=name,
        profile=_profile(name, architecture="arm64", **profile),
        install=install_disc(image),
        edition=image,
        drivers=driver_disc() if drivers else None,
    )


def _server(
    name: str,
    *,
    edition_id: str = "ServerStandard",
    build: int = 26100,
    installation_type: str = "Server",
    drivers: bool = False,
    **profile: Any,
) -> Case:
    image = edition(edition_id, index=2, build=build, installation_type=installation_type)
    year = {17763: "2019", 20348: "2022", 26100: "2025"}[build]
    return Case(
        name=name,
        profile=_profile(
            name,
            product=f"windows-server-{year}",
            **{"users": [], "administrator": {"password": {"generate": 20}}, **profile},
        ),
        install=install_disc(image, evaluation=edition_id.endswith("Eval")),
        edition=image,
        drivers=driver_disc() if drivers else None,
    )


def _other(name: str, image: Edition, *, profile: Profile, **disc: Any) -> Case:
    return Case(name=name, profile=profile, install=install_disc(image, **disc), edition=image)


def cases() -> tuple[Case, ...]:
    """Every case; `test_answers` has a golden folder for each."""
    return (
        *_shipped_profiles(),
        _windows_11("windows-11-drivers", drivers=True, remote={"rdp": True, "winrm": "https"}),
        _every_field(),
        _other(
            "windows-10-bios",
            edition("Professional", index=6, build=19045),
            profile=_profile(
                "win10", product="windows-10", machine={"firmware": "bios", "tpm": False}
            ),
        ),
        _other(
            "windows-10-bios-no-recovery",
            edition("Core", build=19045),
            profile=_profile(
                "win10", product="windows-10", recovery=None, machine={"firmware": "bios"}
            ),
        ),
        _windows_11(
            "unicode",
            owner="Zoë Müller & Söhne",
            organization="東京 <研究所>",
            users=[
                {
                    "name": "Jürgen",
                    "display_name": 'Jürgen "Jü" Größe',
                    "description": "naïve 😀",
                    "groups": ["Administrators", "Remote Desktop Users"],
                    "password": {"keyring": "provisioner/jürgen"},
                }
            ],
            steps=[
                {"name": "Grüße", "powershell": "Write-Host 'Grüße'"},
                {"name": "Grüße", "cmd": "echo Grüße"},
            ],
        ),
        _windows_11(
            "metacharacters",
            owner=METACHARACTERS[:60],
            organization="]]> --> &amp; <!--",
            users=[
                {
                    "name": "o'brien",
                    "groups": ["Administrators"],
                    "password": {"plain": METACHARACTERS},
                }
            ],
            steps=[{"name": "a 'quoted' ‘step’ $(x) `n", "cmd": "echo ^& %PATH% > nul"}],
        ),
        _server("server-2025-evaluation", edition_id="ServerStandardEval"),
        _server("server-2022-core", build=20348, installation_type="Server Core"),
        _server(
            "server-2019-drivers",
            build=17763,
            edition_id="ServerDatacenter",
            drivers=True,
            users=[ADMIN],
            administrator={"password": {"generate": 20}, "enabled": False},
        ),
        _other(
            "volume-licence",
            edition("Enterprise", index=3),
            profile=_profile("vl"),
            volume_licence=True,
        ),
        _other(
            "metal-bios",
            edition("Professional", index=6, build=19045),
            profile=_profile(
                "metal-bios",
                product="windows-10",
                metal={"firmware": "bios"},
                device_encryption=False,
                remote={"rdp": True},
                steps=[{"name": "hello", "cmd": "echo hello"}],
            ),
        ),
        _other(
            "metal-wipe",
            edition("Professional", index=6),
            profile=_profile(
                "metal-wipe",
                metal={
                    "firmware": "uefi",
                    "disk": {
                        "serial": "S4EVNX0R",
                        "model": "Samsung SSD 970",
                        "bus": "nvme",
                        "size": "500 GB",
                    },
                    "wipe": True,
                    "drivers": ["/drivers/vmd"],
                },
            ),
        ),
        _other(
            "metal-first-start",
            edition("Professional", index=6),
            profile=_profile("metal-first", metal={"disk": "only", "answers": "first-start"}),
        ),
        _arm64("arm64"),
        _arm64("arm64-drivers", drivers=True, remote={"rdp": True, "winrm": "https"}),
        _windows_11("own-key", product_key={"file": "/keys/win11.txt"}),
        _other(
            "own-key-unknown-edition",
            edition("CloudEdition"),
            profile=_profile("cloud", product_key={"env": "KEY"}),
        ),
        _windows_11("bypass", hardware_checks="bypass", machine={"firmware": "uefi", "tpm": False}),
        _windows_11("no-recovery", recovery=None),
        _windows_11(
            "keyboards",
            locale={"keyboard": ["de-DE", "0409:00000409"], "timezone": "Europe/Berlin"},
        ),
        _other(
            "setup-language",
            edition("Professional", index=6, languages=("de-DE", "en-US")),
            profile=_profile("sprache", locale={"setup": "en-US", "language": "de-DE"}),
            languages=("de-DE", "en-US"),
        ),
        _windows_11(
            "autologon-three-times",
            autologon={"user": "dev", "times": 3},
            machine={"ready": {"when": "power-off"}},
        ),
        _windows_11(
            "client-administrator",
            users=[],
            administrator={"password": {"generate": 20}, "enabled": True},
            device_encryption=True,
        ),
    )


def _shipped_profiles() -> tuple[Case, ...]:
    """Every shipped profile on the disc it is for; some with drivers too."""
    install, _ = windows_11()
    windows_10 = install_disc(
        edition("Core", build=19045), edition("Professional", index=6, build=19045)
    )
    ltsc, evaluation = windows_11_ltsc(), windows_11_ltsc(evaluation=True)
    server_2022, server_2019 = server_disc(build=20348), server_disc(build=17763)
    return (
        _on_disc("windows-11", install),
        _on_disc("windows-10", windows_10),
        _on_disc("windows-10", windows_10, drivers=True),
        _on_disc("windows-11-ltsc", ltsc),
        _on_disc("windows-11-ltsc", ltsc, drivers=True),
        _on_disc("windows-11-ltsc", evaluation, variant="-evaluation"),
        _on_disc("windows-server-2025", server_disc(build=26100)),
        _on_disc("windows-server-2022", server_2022),
        _on_disc("windows-server-2022", server_2022, drivers=True),
        _on_disc("windows-server-2019", server_2019),
        _on_disc("windows-server-2019", server_2019, drivers=True),
        _on_disc("usb-laptop", install),
        _on_disc("demo", install, drivers=True, variant=""),
    )


def _on_disc(
    profile: str, install: MediaFacts, *, drivers: bool = False, variant: str | None = None
) -> Case:
    """A shipped profile as it is; the edition is the one that its words find on the disc."""
    loaded = _shipped(profile)
    if variant is None:
        variant = "-drivers" if drivers else ""
    return Case(
        name=f"shipped-{profile}{variant}",
        profile=loaded,
        install=install,
        edition=resolve_edition(install, loaded.windows.edition),
        drivers=driver_disc() if drivers else None,
    )


def _every_field() -> Case:
    """Together with the others: every field of a profile at another value than its default."""
    return _windows_11(
        "every-field",
        drivers=True,
        description="All of it",
        media={"install": "/iso/install.iso", "drivers": "/iso/virtio-win.iso"},
        architecture="amd64",
        edition="Professional",
        computer_name="EVERYTHING",
        owner="Somebody",
        organization="Some Company",
        product_key={"command": ["pass", "windows"]},
        locale={
            "setup": "en-US",
            "language": "en-US",
            "format": "de-DE",
            "system": "fr-FR",
            "keyboard": "fr-CH",
            "timezone": "W. Europe Standard Time",
        },
        administrator={"password": {"env": "ADMIN_PASSWORD"}, "enabled": True},
        users=[
            {
                "name": "worker",
                "display_name": "A Worker",
                "description": "works",
                "groups": ["Users", "Remote Desktop Users"],
                "password": {"generate": 20},
            },
            ADMIN,
        ],
        autologon={"user": "DEV", "times": 2},
        remote={"rdp": True, "winrm": "https"},
        hardware_checks="bypass",
        device_encryption=False,
        recovery="750 MiB",
        steps=[
            {
                "name": "tools folder",
                "powershell": "New-Item C:\\Tools -ItemType Directory",
                "exit_codes": [0, 3010],
                "timeout": "10 min",
            },
            {
                "name": "hello",
                "cmd": "@echo off\necho hello",
                "exit_codes": [0, 1],
                "timeout": "30 s",
            },
        ],
        machine={
            "cpus": 4,
            "memory": "8 GiB",
            "firmware": "uefi",
            "tpm": False,
            "disks": [{"size": "80 GiB", "bus": "virtio"}, {"size": "10 GiB", "bus": "sata"}],
            "networks": [
                {"network": "lan", "model": "virtio", "mac": "52:54:00:12:34:56"},
                {"model": "e1000e"},
            ],
            "graphics": "spice",
            "connect": "qemu:///system",
            "pool": "machines",
            "accelerator": "kvm",
            "boot_prompt": "keys",
            "ready": {"when": "serial", "within": "2 h"},
        },
    )
