"""A disc of our own making, read by a Windows: names, depths, and a file of over 4 GiB."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from acceptance.desk import Desk
from acceptance.inside import Inside, powershell
from acceptance.trials import Verdict
from provisioner.errors import ProvisionerError

MARKER = "acceptance-disc.txt"
LARGE = 4 * 2**30 + 4096
"""Bytes; sparse on the host."""
LONG_NAME = "n" * 200 + ".txt"
HASHES = """\
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$drives = [System.IO.DriveInfo]::GetDrives().Name
$root = $drives | Where-Object { Test-Path -LiteralPath ($_ + 'MARKER') } | Select-Object -First 1
if (-not $root) { exit 2 }
$found = @{}
foreach ($file in Get-ChildItem -LiteralPath $root -Recurse -File -Force) {
    $name = $file.FullName.Substring($root.Length).Replace('\\', '/')
    $found[$name] = (Get-FileHash -LiteralPath $file.FullName -Algorithm SHA256).Hash
}
$json = ConvertTo-Json -InputObject $found -Compress
[regex]::Replace($json, '[^\\x20-\\x7e]', { '\\u{0:x4}' -f [int][char]$args[0].Value })
""".replace("MARKER", MARKER)  # fmt: skip


def fill(folder: Path, *, large: int = LARGE) -> Mapping[str, str]:
    """Makes the folder; SHA-256 by path, in capitals as Get-FileHash has it."""
    shutil.rmtree(folder, ignore_errors=True)
    deep = folder.joinpath(*(f"folder {number:02}" for number in range(8)))
    deep.mkdir(parents=True)
    (folder / MARKER).write_text("marker\n")
    (folder / "Grüße 三 😀.txt").write_text("not ASCII\n")
    (folder / LONG_NAME).write_text("a long name\n")
    (deep / "deep.txt").write_text("deep\n")
    with (folder / "large.bin").open("wb") as file:
        file.truncate(large - 4)
        file.seek(large - 4)
        file.write(b"end\n")
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                found[path.relative_to(folder).as_posix()] = (
                    hashlib.file_digest(file, "sha256").hexdigest().upper()
                )
    return found


def verdict(desk: Desk, machine: str, inside: Inside | None, *, timeout: float) -> Verdict:
    """Attaches the disc and compares hashes; only a Windows can settle it."""
    if inside is None or inside.system != "windows":
        return Verdict(holds=None, evidence="only a Windows can read it as Windows does")
    folder, image = desk.folder / "disc", desk.folder / "disc.iso"
    wanted = fill(folder)
    try:
        made = desk.run(
            "iso", "create", str(folder), str(image), "--shape", "windows", "--no-boot", "--force",
            timeout=timeout,
        )  # fmt: skip
        attached = desk.run("drive", "attach", machine, str(image), timeout=timeout)
        if made.code or attached.code:
            return Verdict(holds=None, evidence=made.last_line or attached.last_line)
        with desk.session() as session:
            text = powershell(desk.agent(session, machine), HASHES)
        return compared(wanted, text)
    except ProvisionerError as err:
        return Verdict(holds=None, evidence=err.message)
    finally:
        desk.run("drive", "eject", machine, "--force", timeout=timeout)
        shutil.rmtree(folder, ignore_errors=True)
        image.unlink(missing_ok=True)


def compared(wanted: Mapping[str, str], text: str) -> Verdict:
    """What Windows told, beside what is in the folder; the README of ISO 9660 does not count."""
    try:
        told = json.loads(text)
    except ValueError:
        return Verdict(holds=None, evidence=f"no JSON: {text[:100]!r}")
    missing = sorted(path for path in wanted if path not in told)
    different = sorted(path for path in wanted if path in told and told[path] != wanted[path])
    if missing or different:
        return Verdict(holds=False, evidence=f"missing {missing}, different {different}")
    return Verdict(holds=True, evidence=f"{len(wanted)} files, {LARGE} bytes the largest")
