"""Windows discs for sticks, whose boot.wim has the programs Windows PE is believed to have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.unit.media.discs import CLIENT, PE, WINDOWS_FILES, make_bridge, make_wim, run

PLAIN = ("cmd.exe", "diskpart.exe", "drvload.exe", "wpeutil.exe")
SCRIPTING = ("cscript.exe", "vbscript.dll", "wbem/wbemdisp.dll", "wbem/cimwin32.dll")


def boot_wim(folder: Path, programs: Sequence[str]) -> Path:
    """Image 2 boots and has the programs."""
    path = make_wim(folder / "boot.wim", PE[:1])
    tree = folder / "pe"
    for name in programs:
        (tree / "Windows/System32" / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / "Windows/System32" / name).write_bytes(b"MZ")
    tree.mkdir(exist_ok=True)
    run(["wimlib-imagex", "append", tree, path, PE[1][0], "--boot"])
    return path


def windows_disc(
    folder: Path,
    *,
    programs: Sequence[str] = (*PLAIN, *SCRIPTING),
    install: Sequence[str] = (),
    more: Mapping[str, bytes | Path] | None = None,
    without: Sequence[str] = (),
) -> Path:
    """`Win11.iso`; `install` goes to wimlib, and `--solid` makes it an install.esd."""
    suffix = "esd" if "--solid" in install else "wim"
    files: dict[str, bytes | Path] = {
        **WINDOWS_FILES,
        "sources/boot.wim": boot_wim(folder, programs),
        f"sources/install.{suffix}": make_wim(
            folder / f"install.{suffix}", CLIENT, languages=("en-US", "de-DE"), extra=install
        ),
        **(more or {}),
    }
    for name in without:
        del files[name]
    return make_bridge(folder / "Win11.iso", files)
