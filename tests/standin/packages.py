"""The Debian/Ubuntu packages the stand-in is made of, and how the ones it only unpacks are fetched.

Kernel and guest agent are downloaded and unpacked, never installed: a machine that builds the
stand-in must not get a new kernel or a running agent (docs/facts/standin.md, ramdisks).
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

APT_PACKAGES = (
    "busybox-static",  # the guest's shell and small tools
    "dosfstools",  # mkfs.fat, here and in the guest
    "gcc",  # the empty ICU data library that stands in for 31 MB
    "libc6-dev",
    "gdisk",  # sgdisk in the guest
    "grub-common",  # grub-mkimage
    "grub-efi-amd64-bin",
    "grub-efi-amd64-signed",
    "grub-pc-bin",
    "kmod",  # modprobe --show-depends, depmod
    "mtools",  # fills the FAT images
    "ntfs-3g",  # mkntfs, ntfscp, ntfscat in the guest
    "python3",  # the guest runs this interpreter
    "shim-signed",
    "wimtools",  # wimlib-imagex, here and in the guest
)
"""What `apt-get install` must have brought before `build` runs."""

TEST_PACKAGES = (
    "ovmf",
    "p7zip-full",
    "qemu-system-x86",
    "qemu-utils",
    "sbsigntool",
    "udftools",
    "xorriso",
)
"""What the stand-in's own tests need on top: independent readers, and the machine to boot it."""

KERNEL_META_PACKAGES = ("linux-image-amd64", "linux-image-generic")
"""Debian's and Ubuntu's names. The generic kernel: the cloud one has no AHCI driver and so cannot
see SATA CD-ROMs (docs/facts/libvirt.md §10). Both are signed, which Secure Boot needs."""


SEARCH_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


class PackageError(RuntimeError):
    """A package could not be found, fetched or unpacked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """An unpacked kernel: `image` is the signed bzImage, `modules_root` is for modprobe -d."""

    release: str
    image: Path
    modules_root: Path


def kernel_package_names() -> tuple[str, ...]:
    """Resolve the meta package to the packages with the image and, on Ubuntu, the modules."""
    for meta in KERNEL_META_PACKAGES:
        images = [name for name in _depends(meta) if re.match(r"linux-image-\d", name)]
        if images:
            modules = [name for name in _depends(images[0]) if re.match(r"linux-modules-\d", name)]
            return (images[0], *modules)
    message = f"apt knows none of {', '.join(KERNEL_META_PACKAGES)}; run `apt-get update` first"
    raise PackageError(message)


def fetch(names: tuple[str, ...], cache: Path) -> Path:
    """Download the packages into `cache` and unpack them there; returns the tree.

    A tree that is already there is used as it is: its name holds the packages' names and versions.
    """
    identity = "_".join(f"{name}={candidate_version(name)}" for name in names)
    tree = cache / re.sub(r"[^A-Za-z0-9.+=_-]", "-", identity)
    if tree.is_dir():
        return tree
    downloads = cache / "deb"
    downloads.mkdir(parents=True, exist_ok=True)
    _run(["apt-get", "-qq", "download", *names], folder=downloads)
    unpacked = tree.with_name(tree.name + ".partial")
    for name in names:
        for archive in sorted(downloads.glob(f"{name}_*.deb")):
            _run(["dpkg-deb", "-x", str(archive), str(unpacked)], folder=downloads)
            archive.unlink()
    unpacked.rename(tree)
    return tree


def fetch_kernel(cache: Path) -> Kernel:
    """Fetch the kernel and make its module index, which only an installation would have made."""
    root = fetch(kernel_package_names(), cache)
    images = sorted((root / "boot").glob("vmlinuz-*"))
    if not images:
        message = f"no boot/vmlinuz-* in {root}"
        raise PackageError(message)
    release = images[-1].name.removeprefix("vmlinuz-")
    if not (root / "lib/modules" / release / "modules.dep").exists():
        usr_modules = root / "usr/lib/modules"
        if not (root / "lib/modules").exists() and usr_modules.is_dir():
            (root / "lib").symlink_to("usr/lib")
        _run([str(which("depmod")), "-b", str(root), release], folder=root)
    return Kernel(release=release, image=images[-1], modules_root=root)


def which(name: str) -> Path:
    """Find a tool where packages put it, also when /usr/sbin is not on the caller's PATH."""
    for folder in SEARCH_PATH.split(":"):
        candidate = Path(folder, name)
        if candidate.exists():
            return candidate
    message = f"{name} not found in {SEARCH_PATH}; install {' '.join(APT_PACKAGES)}"
    raise PackageError(message)


def candidate_version(name: str) -> str:
    """The version apt would download."""
    policy = _run(["apt-cache", "policy", name])
    found = re.search(r"^\s*Candidate:\s*(\S+)", policy, re.MULTILINE)
    if found is None or found[1] == "(none)":
        message = f"apt has no package {name}; run `apt-get update` first"
        raise PackageError(message)
    return found[1]


def _depends(name: str) -> list[str]:
    listing = subprocess.run(
        ["apt-cache", "depends", name], capture_output=True, text=True, check=False
    )
    return re.findall(r"^\s*\|?Depends:\s*(\S+)", listing.stdout, re.MULTILINE)


def _run(argv: list[str], folder: Path | None = None) -> str:
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        message = f"{' '.join(argv)} failed:\n{done.stdout}{done.stderr}"
        raise PackageError(message)
    return done.stdout
