"""The golden cases: a profile, the discs it meets, and a name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provisioner.answers.disc import NOTHING
from provisioner.answers.supplied import Supplied, SuppliedFile
from provisioner.media.editions import resolve_edition
from provisioner.media.facts import Edition, MediaFacts
from provisioner.profile.load import load_profile
from provisioner.profile.model import Profile
from provisioner.resources import Resources, shipped_folder
from tests.golden.media import (
    driver_disc,
    edition,
    install_disc,
    old_client,
    old_driver_disc,
    server_disc,
    windows_10_ltsc,
    windows_11,
    windows_11_ltsc,
)
from tests.golden.settings_profiles import CLIENT, FILES, REMOTE, SERVER
from tests.unit.answers.answer_files import GOOD

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
    supplied: Supplied = NOTHING


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
            "metal-disk",
            edition("Professional", index=6),
            profile=_profile(
                "metal-disk",
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
        _server(
            "network-static-join",
            remote={"rdp": True},
            join={
                "domain": "corp.example",
                "user": "CORP\\joiner",
                "password": {"env": "JOIN_PASSWORD"},
                "ou": "OU=Servers & more,DC=corp,DC=example",
                "timeout": "10 min",
            },
            dns={"domain": "corp.example", "search": ["corp.example", "example"]},
            firewall={
                "open": ["file-and-printer-sharing", "@FirewallAPI.dll,-37302"],
                "close": ["network-discovery"],
                "profile": "domain",
                "off": ["domain"],
            },
            machine={
                "networks": [
                    {
                        "network": "lan",
                        "mac": "52:54:00:12:34:56",
                        "addresses": ["192.0.2.10/24", "2001:db8::10/64", "192.0.2.11/24"],
                        "gateways": ["192.0.2.1", "fe80::1"],
                        "dns": ["192.0.2.53", "2001:db8::53"],
                        "dns_suffix": "lan.corp.example",
                    },
                    {"network": "storage", "addresses": ["198.51.100.10/25", "fd00::10/64"]},
                    {"network": "guests"},
                ]
            },
        ),
        *_disks(),
        *_own_files(),
        *_applied(),
        _arm64("arm64-join-blob", drivers=True, join={"blob": {"file": "/keys/vm.djoin"}}),
        _windows_11(
            "join-blob-specialize", join={"blob": {"env": "BLOB"}, "blob_pass": "specialize"}
        ),
        _windows_11(
            "metal-addresses",
            join={"workgroup": "LAB"},
            metal={
                "networks": [
                    {
                        "mac": "3c-52-82-00-11-22",
                        "addresses": ["192.0.2.20/24"],
                        "gateways": ["192.0.2.1"],
                        "dns": ["192.0.2.53"],
                        "dns_suffix": "lan.example",
                    }
                ]
            },
        ),
        _windows_11("own-key", product_key={"file": "/keys/win11.txt"}),
        _other(
            "own-key-unknown-edition",
            edition("CloudEdition"),
            profile=_profile("cloud", product_key={"env": "KEY"}),
        ),
        _windows_11("bypass", hardware_checks="bypass", machine={"firmware": "uefi", "tpm": False}),
        _other(
            "windows-7-everything",
            edition("Ultimate", index=2, build=7601),
            profile=_profile(
                "win7",
                product="windows-7",
                machine={"firmware": "bios", "tpm": False, "ready": {"when": "power-off"}},
                administrator={"password": {"generate": 20}, "enabled": True},
                autologon={"user": "Administrator", "times": 1},
                steps=[
                    {"name": "a 'quoted' step", "powershell": "Write-Host hello"},
                    {"name": "Grüße", "cmd": "echo hello", "exit_codes": [0, 1]},
                ],
                join={"workgroup": "OLD"},
                oem={"manufacturer": "Somebody"},
            ),
        ),
        _windows_11("no-recovery", recovery=None),
        _other(
            "languages",
            edition("Professional", index=6, languages=("ja-JP", "en-US")),
            profile=_profile(
                "languages",
                locale={
                    "language": "ja-JP",
                    "fallback": "en-us",
                    "keyboard": ["ja-JP", "en-US", "0407:00000407"],
                    "layered_driver": 6,
                },
            ),
            languages=("ja-JP",),
        ),
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
        _server(
            "settings-server",
            drivers=True,
            media={"drivers": "/iso/virtio-win.iso"},
            administrator={"password": {"generate": 20}, "rotate": True},
            users=[{"name": "ops", "password": {"generate": 24}, "rotate": True}],
            settings=SERVER,
            remote=REMOTE,
        ),
        _windows_11("settings-client", settings=CLIENT, remote={"ssh": {}}),
        _windows_11(
            "settings-ssh-msi",
            remote={"ssh": {"package": str(FILES / "OpenSSH-Win64.MSI")}},
            settings={"server": {"emergency_console": False}},
        ),
    )


BITMAP = b"BM" + bytes(12) + (40).to_bytes(4, "little") + (120).to_bytes(4, "little") * 2
"""The start of a Windows bitmap of 120 by 120 pixels."""


def _own_files() -> tuple[Case, ...]:
    """Files of the user's own: a logo, and a whole answer file."""
    install, pro = windows_11()
    oem = {
        "manufacturer": "Somebody & Sons",
        "model": "VM <1>",
        "support_hours": "9-17",
        "support_phone": "+49 30 000000",
        "support_provider": "Somebody",
        "support_url": "https://example.com/help?a=1&b=2",
        "logo": "/files/logo.bmp",
    }
    return (
        Case(
            name="oem-logo",
            profile=_profile("oem-logo", oem=oem),
            install=install,
            edition=pro,
            supplied=Supplied(logo=SuppliedFile(path=Path("/files/logo.bmp"), data=BITMAP)),
        ),
        Case(
            name="own-answer-file",
            profile=_profile(
                "own-answers",
                answer_file="/files/mine.xml",
                machine={"ready": {"when": "power-off"}},
            ),
            install=install,
            edition=pro,
            drivers=driver_disc(),
            supplied=Supplied(
                answer_file=SuppliedFile(path=Path("/files/mine.xml"), data=GOOD.encode())
            ),
        ),
    )


def _applied() -> tuple[Case, ...]:
    """The image put on the disk by our own script."""
    data = {"use": "data", "label": "Data"}
    return (
        _windows_11("apply", drivers=True, install_by="apply"),
        _windows_11("apply-metal", install_by="apply",
                    metal={"disk": {"number": 1, "policy": "wipe"}}),
        _arm64("apply-arm64", drivers=True, install_by="apply", join={"blob": {"env": "BLOB"}}),
        _other(
            "apply-bios",
            edition("Professional", index=6, build=19045),
            profile=_profile(
                "win10",
                product="windows-10",
                install_by="apply",
                machine={
                    "firmware": "bios", "tpm": False, "disks": [{}, {"partitions": [data]}],
                },
            ),
        ),
    )  # fmt: skip


def _disks() -> tuple[Case, ...]:
    """Layouts that profiles ask for."""
    data = {
        "use": "data",
        "size": "20 GiB",
        "format": "ntfs",
        "label": "Data & more",
        "letter": "D",
    }
    return (
        _windows_11("recovery-first", recovery_place="first", recovery="750 MiB"),
        _windows_11(
            "partitions",
            machine={
                "disks": [
                    {
                        "size": "128 GiB",
                        "partitions": [
                            {"use": "recovery", "size": "700 MiB", "label": "WinRE"},
                            {"use": "efi", "size": "300 MiB"},
                            {"use": "msr"},
                            {"use": "windows", "label": "System disk", "letter": "C"},
                            data,
                        ],
                    },
                    {
                        "size": "2 TiB",
                        "partitions": [
                            {"use": "msr"},
                            {"use": "data", "size": "1 TiB", "letter": "E"},
                            {"use": "data", "size": "16 GiB", "format": "fat32", "label": "FAT"},
                        ],
                    },
                    {"size": "10 GiB"},
                    {"size": "10 GiB", "partitions": [{"use": "data", "letter": "F"}]},
                ]
            },
        ),
        _other(
            "bios-one-partition",
            edition("Professional", index=6, build=19045),
            profile=_profile(
                "win10",
                product="windows-10",
                machine={
                    "firmware": "bios",
                    "tpm": False,
                    "disks": [
                        {"partitions": [{"use": "windows", "size": "40 GiB"}]},
                        {"partitions": [{"use": "data"}]},
                    ],
                },
            ),
        ),
        _other(
            "bios-partitions",
            edition("Professional", index=6, build=19045),
            profile=_profile(
                "win10",
                product="windows-10",
                machine={
                    "firmware": "bios",
                    "tpm": False,
                    "disks": [
                        {
                            "size": "100 GiB",
                            "partitions": [
                                {"use": "system"},
                                {"use": "windows", "size": "60 GiB"},
                                {"use": "recovery"},
                                {"use": "data", "letter": "D"},
                            ],
                        }
                    ],
                },
            ),
        ),
        _windows_11("metal-wipe", metal={"disk": {"number": 1, "policy": "wipe"}}),
        _windows_11(
            "metal-wipe-partitions",
            metal={
                "disk": {
                    "number": 0,
                    "policy": "wipe",
                    "partitions": [
                        {"use": "efi"},
                        {"use": "msr"},
                        {"use": "windows", "size": "200 GiB"},
                        {"use": "recovery"},
                        {"use": "data", "letter": "D", "label": "Daten", "format": "fat32"},
                    ],
                }
            },
        ),
        _windows_11("metal-keep", metal={"disk": {"number": 0, "policy": "keep", "install_to": 3}}),
        _windows_11(
            "metal-keep-as-it-is",
            metal={"disk": {"number": 2, "policy": "keep", "install_to": 4, "format": False}},
        ),
        _arm64(
            "arm64-partitions",
            drivers=True,
            machine={
                "disks": [
                    {"partitions": [{"use": "efi"}, {"use": "msr"}, {"use": "windows"}]},
                    {"size": "5 GiB", "partitions": [data | {"size": "4 GiB"}]},
                ]
            },
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
        _on_disc("windows-10", windows_10, drivers=driver_disc()),
        _on_disc("windows-11-ltsc", ltsc),
        _on_disc("windows-11-ltsc", ltsc, drivers=driver_disc()),
        _on_disc("windows-11-ltsc", evaluation, variant="-evaluation"),
        _on_disc("windows-server-2025", server_disc(build=26100)),
        _on_disc("windows-server-2022", server_2022),
        _on_disc("windows-server-2022", server_2022, drivers=driver_disc()),
        _on_disc("windows-server-2019", server_2019),
        _on_disc("windows-server-2019", server_2019, drivers=driver_disc()),
        _on_disc("windows-server-2016", server_disc(build=14393)),
        _on_disc("windows-server-2016", server_disc(build=14393), drivers=driver_disc()),
        _on_disc("windows-10-ltsc", windows_10_ltsc()),
        _on_disc("windows-10-iot-ltsc", windows_10_ltsc()),
        _on_disc("windows-11-iot-ltsc", ltsc),
        *_old_profiles(),
        _on_disc("usb-laptop", install),
        _on_disc("demo", install, drivers=driver_disc(), variant=""),
    )


def _old_profiles() -> tuple[Case, ...]:
    """The profiles of Windows before 10, with drivers that their Windows still accepts."""
    return tuple(
        _on_disc(name, install, drivers=drivers)
        for name, install, folder, version in (
            ("windows-7", old_client(7601), "w7", "0.1.173"),
            ("windows-8.1", old_client(9600), "w8.1", "0.1.215"),
            ("windows-server-2008-r2", server_disc(build=7601), "2k8R2", "0.1.173"),
            ("windows-server-2012-r2", server_disc(build=9600), "2k12R2", "0.1.215"),
        )
        for drivers in (None, old_driver_disc(folder, version=version))
    )


def _on_disc(
    profile: str,
    install: MediaFacts,
    *,
    drivers: MediaFacts | None = None,
    variant: str | None = None,
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
        drivers=drivers,
    )


def _every_step() -> list[dict[str, Any]]:
    """Every kind of step, with every key at another value than its default."""
    run = {"exit_codes": [0, 3010], "timeout": "10 min", "retries": 2, "run_as": "system"}
    results = {"outputs": [{"name": "version", "file": "C:\\Tools\\version.txt"}]}
    everything = {**run, **results}
    return [
        {
            "name": "tools folder",
            "powershell": "New-Item C:\\Tools -ItemType Directory",
            "only_if": {"missing": "C:\\Tools"},
            **everything,
        },
        {
            "name": "hello",
            "cmd": "@echo off\necho hello",
            **everything,
            "exit_codes": [0, 4294967295],
            "only_if": {"powershell": "(Get-Service).Count -gt 3"},
        },
        {
            "name": "package",
            "msi": str(FILES / "tool.msi"),
            "arguments": ["INSTALLDIR=C:\\My Tools\\", "/lv*"],
            "only_if": {"exists": "C:\\100%\\"},
            **everything,
        },
        {
            "name": "runtime",
            "exe": str(FILES / "set up.exe"),
            "arguments": ["/install", "/log:C:\\my logs\\", "a&b", "50%"],
            "only_if": {"service": "Spooler"},
            **everything,
        },
        {"name": "restart if wanted", "reboot": {"when": "needed"}, "only_if": {"exists": "C:\\x"}},
        {
            "name": "one file",
            "copy": str(FILES / "tool.msi"),
            "to": "C:\\Tools\\",
            "only_if": {"exists": "C:\\x"},
            **everything,
        },
        {"name": "a folder", "copy": str(FILES / "folder"), "to": "C:\\"},
        {
            "name": "values",
            "registry": "HKEY_LOCAL_MACHINE\\SOFTWARE\\Example 100%\\Sub",
            "values": [
                {"data": "the default value"},
                {"name": "text", "data": "a & b ^ %PATH% | <x> ä\\"},
                {"name": "empty", "data": ""},
                {"name": "number", "data": 4294967295},
                {"name": "long", "type": "REG_QWORD", "data": 2**40},
                {"name": "expand", "type": "REG_EXPAND_SZ", "data": "%SystemRoot%\\x"},
                {"name": "list", "data": ["one", "two words", "C:\\"]},
                {"name": "bytes", "type": "REG_BINARY", "data": "00ffA0"},
            ],
            "only_if": {"exists": "C:\\x"},
            **everything,
        },
        {"name": "only a key", "registry": "HKCU\\Software\\Example"},
        {
            "name": "features",
            "feature": ["NetFx3", "TelnetClient"],
            "state": "disabled",
            "only_if": {"exists": "C:\\x"},
            **everything,
        },
        {"name": "feature", "feature": "TFTP"},
        {
            "name": "git",
            "winget": "Git.Git",
            "version": "2.50.0",
            "only_if": {"exists": "C:\\x"},
            **everything,
            "run_as": "user",
        },
        {
            "name": "seven zip",
            "choco": "7zip",
            "version": "24.9",
            "only_if": {"exists": "C:\\x"},
            **everything,
        },
        {"name": "choco", "choco": "git"},
        {"name": "pause", "wait": "90 s", "timeout": "2 min", "only_if": {"exists": "C:\\x"}},
        {"name": "service", "wait": {"service": "W32Time"}},
        {"name": "now", "reboot": {}},
    ]


def _every_field() -> Case:
    """Together with the others: every field of a profile at another value than its default."""
    return _windows_11(
        "every-field",
        drivers=True,
        description="All of it",
        media={
            "install": {
                "product": "windows-11",
                "build": ">=26100",
                "language": "en-US",
                "architecture": "amd64",
                "edition": "Professional",
                "evaluation": False,
            },
            "drivers": "/iso/virtio-win.iso",
        },
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
        steps=_every_step(),
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
            "ready": {"when": "serial", "within": "2 h", "probes": ["ssh", "rdp"]},
        },
    )
