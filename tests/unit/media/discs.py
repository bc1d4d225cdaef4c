"""Builds real images with other people's tools; a missing tool is a failure, never a skip."""

from __future__ import annotations

import io
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import pycdlib

from provisioner.media.facts import Edition, Fingerprint, MediaFacts, MediaKind

CLIENT = (
    ("Windows 11 Home", "Core", "Client"),
    ("Windows 11 Pro", "Professional", "Client"),
    ("Windows 11 Pro N", "ProfessionalN", "Client"),
)
SERVER = (
    ("Windows Server 2025 SERVERSTANDARDCORE", "ServerStandardEval", "Server Core"),
    ("Windows Server 2025 SERVERSTANDARD", "ServerStandardEval", "Server"),
    ("Windows Server 2025 SERVERDATACENTER", "ServerDatacenterEval", "Server"),
)
PE = (
    ("Microsoft Windows PE (amd64)", "WindowsPE", "WindowsPE"),
    ("Microsoft Windows Setup (amd64)", "WindowsPE", "WindowsPE"),
)
LANG_INI = (
    b"\r\n[Available UI Languages]\r\nen-us = 3\r\nde-de = 1\r\n"
    b"\r\n[Fallback Languages]\r\nen-US = en-us\r\n"
)
EFISYS, NOPROMPT = b"prompt".ljust(8192, b"P"), b"silent".ljust(8192, b"S")
WINDOWS_FILES: Mapping[str, bytes] = {
    "setup.exe": b"MZ" + bytes(510),
    "sources/lang.ini": LANG_INI,
    "sources/ei.cfg": b"[Channel]\r\nRetail\r\n[VL]\r\n0\r\n",
    "boot/etfsboot.com": b"E" * 4096,
    "efi/boot/bootx64.efi": b"MZ" + bytes(100),
    "efi/microsoft/boot/efisys.bin": EFISYS,
    "efi/microsoft/boot/efisys_noprompt.bin": NOPROMPT,
}


def run(arguments: Sequence[str | Path]) -> str:
    """Standard output of a tool that has to succeed."""
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{arguments[0]}: {done.stdout}\n{done.stderr}"
    return done.stdout


def make_wim(
    path: Path,
    images: Sequence[tuple[str, str, str]],
    *,
    build: int = 26100,
    architecture: int = 9,
    languages: Sequence[str] = ("en-US",),
    extra: Sequence[str] = (),
) -> Path:
    """A WIM by wimlib with these (name, edition id, installation type); `extra` goes to wimlib."""
    source = path.parent / f"{path.name}.tree"
    source.mkdir()
    (source / "file.txt").write_text("content" * 100)
    for number, (name, edition, kind) in enumerate(images):
        values = {
            "DISPLAYNAME": f"{name} shown",
            "DISPLAYDESCRIPTION": name,
            "WINDOWS/ARCH": architecture,
            "WINDOWS/EDITIONID": edition,
            "WINDOWS/INSTALLATIONTYPE": kind,
            "WINDOWS/LANGUAGES/DEFAULT": languages[0],
            "WINDOWS/VERSION/MAJOR": 10,
            "WINDOWS/VERSION/MINOR": 0,
            "WINDOWS/VERSION/BUILD": build,
            "WINDOWS/VERSION/SPBUILD": 1742,
        }
        values |= {f"WINDOWS/LANGUAGES/LANGUAGE[{n}]": tag for n, tag in enumerate(languages, 1)}
        properties = [f"--image-property={key}={value}" for key, value in values.items()]
        verb = "append" if number else "capture"
        options = [*extra] if not number else []
        run(["wimlib-imagex", verb, source, path, name, name, *properties, *options])
    return path


def make_bridge(
    path: Path,
    files: Mapping[str, bytes | Path],
    *,
    label: str = "CCCOMA_X64FRE_EN-US_DV9",
    boot: Sequence[tuple[str, int, int]] = (
        ("boot/etfsboot.com", 0x00, 8),
        ("efi/microsoft/boot/efisys.bin", 0xEF, 1),
    ),
) -> Path:
    """A disc in Microsoft's shape: all in UDF, one README in ISO 9660; `boot` is (file, platform,
    sectors)."""
    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, udf="2.60", vol_ident=label)
    readme = b"This disc contains a UDF file system.\r\n"
    iso.add_fp(io.BytesIO(readme), len(readme), "/README.TXT;1")
    folders = {p for name in files for p in Path(name).parents if p != Path()}
    for folder in sorted(folders, key=lambda f: (len(f.parts), str(f))):
        iso.add_directory(udf_path=f"/{folder.as_posix()}")
    loaders = {name: f"/BOOT{n}.;1" for n, (name, _, _) in enumerate(boot)}
    opened: list[BinaryIO] = []
    for name, content in files.items():
        if isinstance(content, Path):
            opened.append(content.open("rb"))
            size = content.stat().st_size
        else:
            opened.append(io.BytesIO(content))
            size = len(content)
        iso.add_fp(opened[-1], size, iso_path=loaders.get(name), udf_path=f"/{name}")
    for name, platform, sectors in boot:
        iso.add_eltorito(
            loaders[name], boot_load_size=sectors, platform_id=platform, efi=platform == 0xEF
        )
    for hidden_path in loaders.values():
        iso.rm_hard_link(iso_path=hidden_path)
    iso.write(str(path), blocksize=4 << 20)
    iso.close()
    for stream in opened:
        stream.close()
    return path


def make_tree(folder: Path, files: Mapping[str, bytes]) -> Path:
    """The files as a folder on the host."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def listed_by_7z(image: Path) -> dict[str, int]:
    """Sizes by path, as 7-Zip sees the richest side of an image."""
    found: dict[str, int] = {}
    for block in (
        run(["7z", "l", "-slt", "-sccUTF-8", image]).split("----------\n")[-1].split("\n\n")
    ):
        fields = dict(re.findall(r"^([\w ]+) = (.*)$", block, re.MULTILINE))
        if fields.get("Folder") == "-":
            found[fields["Path"]] = int(fields["Size"] or 0)
    return found


def make_facts(
    *editions: Edition, kind: MediaKind = MediaKind.WINDOWS_SETUP, **rest: object
) -> MediaFacts:
    """Facts without any bytes behind them."""
    base: dict[str, object] = {
        "path": Path("/media/win.iso"),
        "evidence": ("made up",),
        "fingerprint": Fingerprint(size=1, digest="00"),
        "label": "",
    }
    return MediaFacts(kind=kind, editions=editions, **(base | rest))  # type: ignore[arg-type]


def make_edition(
    index: int, name: str, edition_id: str, kind: str = "Client", **rest: object
) -> Edition:
    """An edition with the usual rest."""
    base: dict[str, object] = {
        "display_name": name,
        "description": name,
        "architecture": "amd64",
        "version": (10, 0, 26100, 1742),
        "languages": ("en-US",),
        "default_language": "en-US",
        "total_bytes": 1,
    }
    return Edition(
        index=index,
        name=name,
        edition_id=edition_id,
        installation_type=kind,
        **(base | rest),  # type: ignore[arg-type]
    )
