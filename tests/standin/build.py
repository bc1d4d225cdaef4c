"""Builds the stand-in's discs and its direct-kernel guest: `python -m tests.standin.build OUTDIR`.

What is already there and made from the same inputs is left alone; everything is written under a
temporary name first. The download cache is OUTDIR/cache.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.standin import discs, drivers, initramfs, loaders, packages, wim

VARIANTS = ("unsigned", "prompt-only", "secure-boot", "drivers", "direct")
"""`unsigned` is the normal install disc; `drivers` the driver disc; `direct` kernel + ramdisk."""

LANG_INI = b"[Available UI Languages]\r\nen-US = 3\r\n\r\n[Fallback Languages]\r\nen-US = en-us\r\n"

WINDOWS_PE_FILES = (
    *("cmd.exe", "diskpart.exe", "drvload.exe", "wpeutil.exe", "reg.exe", "ping.exe"),
    *("cscript.exe", "vbscript.dll", "wbem/wbemdisp.dll", "wbem/cimwin32.dll"),
)
"""What Setup's Windows PE is believed to have; `docs/unproven.md` lists it."""

DUMMY = b"dummy of the stand-in for Windows Setup\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """Where everything is; a variant that was not asked for may not exist."""

    install: Path
    prompt_only: Path
    secure_boot: Path
    drivers: Path
    kernel: Path
    initrd: Path


def default_outdir() -> Path:
    """Where `make standin` builds; the environment variable STANDIN_MEDIA names another folder."""
    named = os.environ.get("STANDIN_MEDIA")
    return Path(named) if named else Path(__file__).parents[2] / "build/standin"


def media_paths(outdir: Path) -> Media:
    """The fixed names below OUTDIR."""
    return Media(
        install=outdir / "install.iso",
        prompt_only=outdir / "install-prompt-only.iso",
        secure_boot=outdir / "install-secure-boot.iso",
        drivers=outdir / "drivers.iso",
        kernel=outdir / "direct/vmlinuz",
        initrd=outdir / "direct/initrd.img",
    )


def build_media(outdir: Path, variants: Collection[str] = VARIANTS) -> Media:
    """Build what is missing or out of date and return the paths.

    Several processes may call it at once: the second waits for the first and then finds its work.
    """
    unknown = set(variants) - set(VARIANTS)
    if unknown:
        message = f"unknown variant {', '.join(sorted(unknown))}; there are {', '.join(VARIANTS)}"
        raise ValueError(message)
    outdir = outdir.resolve()
    outdir.mkdir(parents=True, exist_ok=True)
    media = media_paths(outdir)
    digest = inputs_digest()
    with _locked(outdir):
        stamps = _read_stamps(outdir)
        workshop = Workshop(outdir=outdir, media=media)
        for variant in VARIANTS:
            outputs = OUTPUTS[variant](media)
            current = stamps.get(variant) == digest and all(path.exists() for path in outputs)
            if variant not in variants or current:
                continue
            MAKERS[variant](workshop)
            stamps[variant] = digest
            partial = outdir / "stamps.json.partial"
            partial.write_text(json.dumps(stamps, indent=1, sort_keys=True) + "\n")
            partial.rename(outdir / "stamps.json")
    return media


def inputs_digest() -> str:
    """A hash over everything the outputs depend on: our sources and installed packages.

    Not the kernel apt would download today: a new one alone is no reason to build again.
    """
    digest = hashlib.sha256()
    here = Path(__file__).parent
    sources = [*here.glob("*.py"), *here.glob("setup/*.py"), *here.glob("setup/*.tsv")]
    for path in sorted(path for path in sources if not path.name.startswith("test_")):
        digest.update(f"{path.relative_to(here)}\0".encode() + path.read_bytes() + b"\0")
    versions = subprocess.run(
        ["dpkg-query", "-W", *packages.APT_PACKAGES], capture_output=True, text=True, check=False
    )
    if versions.returncode != 0:
        message = f"packages are missing; apt-get install {' '.join(packages.APT_PACKAGES)}"
        raise packages.PackageError(f"{message}\n{versions.stderr}")
    digest.update(versions.stdout.encode())
    return digest.hexdigest()


@dataclass(kw_only=True)
class Workshop:
    """The parts that several outputs share, each made once and only when needed."""

    outdir: Path
    media: Media

    @property
    def cache(self) -> Path:
        """Downloads and unpacked packages."""
        return self.outdir / "cache"

    @cached_property
    def kernel(self) -> packages.Kernel:
        """The unpacked kernel."""
        return packages.fetch_kernel(self.cache)

    @cached_property
    def kernel_image(self) -> bytes:
        """The signed bzImage."""
        return self.kernel.image.read_bytes()

    @cached_property
    def setup_ramdisk(self) -> bytes:
        """The ramdisk that plays Setup."""
        return initramfs.setup_ramdisk(self.kernel)

    @cached_property
    def installed_ramdisk(self) -> bytes:
        """The ramdisk of the installed system."""
        agent = packages.fetch(("qemu-guest-agent",), self.cache) / "usr/sbin/qemu-ga"
        return initramfs.installed_ramdisk(self.kernel, agent)

    @cached_property
    def boot_wim(self) -> bytes:
        """sources/boot.wim; its content is never used, only its names (facts §3.8, §10)."""
        names = ("standin.txt", *WINDOWS_PE_FILES)
        with self._tree({f"Windows/System32/{name}": DUMMY for name in names}) as tree:
            target = tree.with_name("boot.wim")
            wim.make_boot_wim(target, tree)
            return target.read_bytes()

    def install_wim(self, boot_files: Mapping[str, bytes]) -> bytes:
        """sources/install.wim with the given boot loaders inside."""
        files = {
            "Windows/System32/standin/vmlinuz": self.kernel_image,
            "Windows/System32/standin/initrd.img": self.installed_ramdisk,
            "Windows/System32/config/SOFTWARE": DUMMY,
            "Windows/Panther/setupact.log": b"",
            "Windows/Setup/Scripts/readme.txt": DUMMY,
            "Windows/Temp/readme.txt": DUMMY,
            "Users/Public/readme.txt": DUMMY,
            "Program Files/readme.txt": DUMMY,
            **boot_files,
        }
        with self._tree(files) as tree:
            target = tree.with_name("install.wim")
            wim.make_install_wim(target, tree)
            return target.read_bytes()

    @cached_property
    def unsigned_files(self) -> dict[str, bytes]:
        """The unsigned disc without its two UEFI boot images."""
        boot_files = {
            "Windows/Boot/EFI/bootmgfw.efi": loaders.efi_grub(loaders.disk_script()),
            "Windows/Boot/PCAT/core.img": loaders.bios_disk_grub(loaders.disk_script(bios=True)),
        }
        return {
            **self._common_files(),
            "efi/boot/bootx64.efi": loaders.efi_grub(loaders.disc_script(prompt="never")),
            "sources/install.wim": self.install_wim(boot_files),
            "standin/vmlinuz": self.kernel_image,
            "standin/setup.img": self.setup_ramdisk,
        }

    def make_unsigned(self) -> None:
        """install.iso: BIOS and UEFI, with and without the prompt."""
        prompting, quiet = loaders.efisys(prompt="always"), loaders.efisys(prompt="never")
        files = {
            **self.unsigned_files,
            discs.UEFI_LOADER: prompting,
            discs.UEFI_LOADER_NOPROMPT: quiet,
        }
        discs.write_install_disc(self.media.install, files)

    def make_prompt_only(self) -> None:
        """A disc without efisys_noprompt.bin: keys must be pressed."""
        files = {**self.unsigned_files, discs.UEFI_LOADER: loaders.efisys(prompt="always")}
        discs.write_install_disc(self.media.prompt_only, files)

    def make_secure_boot(self) -> None:
        """A disc, and an installed disk, that start under Secure Boot with Microsoft's keys."""
        disk_boot = {
            "Windows/Boot/EFI/bootmgfw.efi": loaders.SIGNED_SHIM.read_bytes(),
            "Windows/Boot/EFI/grubx64.efi": loaders.SIGNED_GRUB.read_bytes(),
            "Windows/Boot/ESP/boot/grub/grub.cfg": loaders.disk_script(secure_boot=True).encode(),
            "Windows/Boot/ESP/standin/vmlinuz": self.kernel_image,
            "Windows/Boot/ESP/standin/initrd.img": self.installed_ramdisk,
        }
        kernel, ramdisk = self.kernel_image, self.setup_ramdisk
        files = {
            **self._common_files(),
            "efi/boot/bootx64.efi": loaders.SIGNED_SHIM.read_bytes(),
            "sources/install.wim": self.install_wim(disk_boot),
        }
        for path, grub in (
            (discs.UEFI_LOADER, loaders.SIGNED_GRUB),
            (discs.UEFI_LOADER_NOPROMPT, loaders.SIGNED_GRUB_NOPROMPT),
        ):
            files[path] = loaders.signed_efisys(grub=grub, kernel=kernel, ramdisk=ramdisk)
        discs.write_install_disc(self.media.secure_boot, files, efi_partition=True)

    def make_drivers(self) -> None:
        """drivers.iso."""
        discs.write_joliet_disc(
            self.media.drivers, drivers.driver_disc_files(), label=drivers.LABEL
        )

    def make_direct(self) -> None:
        """direct/vmlinuz and direct/initrd.img."""
        self.media.kernel.parent.mkdir(exist_ok=True)
        for path, content in (
            (self.media.kernel, self.kernel_image),
            (self.media.initrd, self.installed_ramdisk),
        ):
            partial = path.with_name(path.name + ".partial")
            partial.write_bytes(content)
            partial.rename(path)

    def _common_files(self) -> dict[str, bytes]:
        """What both kinds of install disc hold beside loaders, kernel and install.wim."""
        bios = loaders.bios_disc_grub(loaders.disc_script(prompt="bootfix", bios=True))
        names = (
            *("autorun.inf", "bootmgr", "bootmgr.efi", "setup.exe", "boot/bootfix.bin", "boot/bcd"),
            *("boot/boot.sdi", "efi/microsoft/boot/cdboot.efi", "sources/setup.exe"),
            *("efi/microsoft/boot/cdboot_noprompt.efi", "support/readme.txt"),
        )
        return {
            **dict.fromkeys(names, DUMMY),
            discs.BIOS_LOADER: bios,
            "sources/boot.wim": self.boot_wim,
            "sources/lang.ini": LANG_INI,
        }

    @contextmanager
    def _tree(self, files: Mapping[str, bytes]) -> Iterator[Path]:
        """A folder with the given files, inside a scratch folder that is removed afterwards."""
        scratch = self.outdir / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        tree = scratch / "tree"
        try:
            for name, content in files.items():
                path = tree / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            yield tree
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


OUTPUTS: Mapping[str, Callable[[Media], tuple[Path, ...]]] = {
    "unsigned": lambda media: (media.install,),
    "prompt-only": lambda media: (media.prompt_only,),
    "secure-boot": lambda media: (media.secure_boot,),
    "drivers": lambda media: (media.drivers,),
    "direct": lambda media: (media.kernel, media.initrd),
}

MAKERS: Mapping[str, Callable[[Workshop], None]] = {
    "unsigned": Workshop.make_unsigned,
    "prompt-only": Workshop.make_prompt_only,
    "secure-boot": Workshop.make_secure_boot,
    "drivers": Workshop.make_drivers,
    "direct": Workshop.make_direct,
}


def _read_stamps(outdir: Path) -> dict[str, str]:
    path = outdir / "stamps.json"
    if not path.exists():
        return {}
    return dict(json.loads(path.read_text()))


@contextmanager
def _locked(outdir: Path) -> Iterator[None]:
    with (outdir / ".lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def main(arguments: list[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.standin.build", description=__doc__)
    parser.add_argument("outdir", type=Path, metavar="OUTDIR", nargs="?", default=default_outdir())
    parser.add_argument(
        "--variant",
        action="append",
        choices=VARIANTS,
        help="build only this (may be repeated); default: everything",
    )
    options = parser.parse_args(arguments)
    media = build_media(options.outdir, options.variant or VARIANTS)
    for variant in options.variant or VARIANTS:
        for path in OUTPUTS[variant](media):
            print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
