"""Loaders signed by certificates of our own making that bear other people's names."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from tests.unit.media.discs import run

UNSIGNED = Path("/usr/lib/shim/shimx64.efi")
SIGNED = Path("/usr/lib/shim/shimx64.efi.signed")
GRUB = Path("/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed")
WINDOWS_2011 = "Microsoft Windows Production PCA 2011"
WINDOWS_2023 = "Windows UEFI CA 2023"


@cache
def _key(folder: Path) -> Path:
    path = folder / "key.pem"
    if not path.exists():
        run(["openssl", "genrsa", "-out", path, "2048"])
    return path


def make_certificate(folder: Path, issuer: str, subject: str = "Microsoft Windows") -> Path:
    """A certificate for `subject` that `issuer` gave out, PEM; the key is `key.pem` beside it."""
    key = _key(folder)
    authority, request, made = (
        folder / f"{issuer}.{kind}".replace(" ", "-") for kind in ("ca", "csr", "pem")
    )
    words = f"openssl req -x509 -new -utf8 -days 3650 -key {key} -out {authority} -subj"
    run([*words.split(), f"/C=US/O=Test/CN={issuer}"])
    run([*f"openssl req -new -key {key} -out {request} -subj".split(), f"/CN={subject}"])
    run(
        f"openssl x509 -req -in {request} -CA {authority} -CAkey {key} -set_serial 7"
        f" -days 3650 -out {made}".split()
    )
    return made


def make_loader(folder: Path, issuer: str, source: Path = UNSIGNED) -> Path:
    """An EFI program signed so that its chain ends at `issuer`."""
    folder.mkdir(exist_ok=True)
    target = folder / f"{issuer}.efi".replace(" ", "-")
    if not target.exists():
        certificate = make_certificate(folder, issuer)
        run(["sbsign", "--key", _key(folder), "--cert", certificate, "--output", target, source])
    return target
