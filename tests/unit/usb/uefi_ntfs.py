"""UEFI:NTFS images of our own: FAT volumes made by mkfs.fat and mtools. The genuine one is not
ours to ship; GRUB, which has an NTFS driver too, plays its part where something has to start."""

from __future__ import annotations

from pathlib import Path

from tests.unit.usb.readers import run

SIGNED = Path("/usr/lib/shim/shimx64.efi.signed")
"""By Microsoft's third-party certificate of 2011, as UEFI:NTFS is."""
UNSIGNED = Path("/usr/lib/shim/fbx64.efi")

SCRIPT = """\
serial --unit=0
terminal_output serial
echo played by GRUB: reading NTFS
search --no-floppy --set=root --file /sources/boot.wim
echo found it on $root
chainloader /efi/boot/bootx64.efi
boot
"""
MODULES = "ntfs fat part_gpt part_msdos chain search search_fs_file serial terminal echo boot"


def uefi_ntfs(
    image: Path, loader: Path = UNSIGNED, *, name: str = "bootx64.efi", size: int = 1 << 20
) -> Path:
    """A FAT volume with this loader at `/EFI/Boot/NAME`."""
    with image.open("wb") as target:
        target.truncate(max(size, loader.stat().st_size + (1 << 20) & -1024))
    run("mkfs.fat", "-n", "UEFI_NTFS", image)
    run("mmd", "-i", image, "::/EFI", "::/EFI/Boot")
    run("mcopy", "-i", image, loader, f"::/EFI/Boot/{name}")
    return image


def grub(folder: Path) -> Path:
    """A loader that says so, finds the NTFS volume of its stick, and starts what is on it."""
    script, loader = folder / "grub.cfg", folder / "grubx64.efi"
    script.write_text(SCRIPT)
    options = ("-O", "x86_64-efi", "-p", "/", "-c", str(script), "-o", str(loader))
    run("grub-mkimage", *options, *MODULES.split())
    return loader
