"""Makes the boot loaders: GRUB images for disc and disk, and the FAT images of the UEFI boot entry.

The unsigned disc has GRUBs of our own making, which read UDF. The Secure Boot disc has Debian's
signed shim and GRUB; that GRUB has no udf module and loads none, so kernel, ramdisk and grub.cfg
lie inside the FAT image.
"""

from __future__ import annotations

import io
import string
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

FLOPPY_SIZE = 1_474_560
"""Microsoft's efisys.bin is the image of a 1.44 MB floppy (docs/facts/iso-usb.md §2.1)."""

_SIGNED = Path("/usr/lib/grub/x86_64-efi-signed")
SIGNED_GRUB = _SIGNED / "gcdx64.efi.signed"
"""The build for discs. When its own /boot/grub is missing, its built-in script looks for
/.disk/info on every device. The same file serves the disk, where /boot/grub is beside it."""
SIGNED_GRUB_NOPROMPT = _SIGNED / "grubx64.efi.signed"
"""The build for disks, with the same built-in script. GRUB cannot see from which El Torito image
it came, so the two images' loaders must differ: only this one has the module
pgp, which sets the variable `check_signatures`."""
SIGNED_SHIM = Path("/usr/lib/shim/shimx64.efi.signed")

PROMPT = "Press any key to boot from CD or DVD..."
"""The words people know from Microsoft's media (docs/facts/windows-setup.md §2.3)."""
PROMPT_SECONDS = 5

DISC_FILE = "/sources/boot.wim"
"""On a disc and on a stick, where install.wim may be split."""
DISK_FOLDER = "/Windows/System32/standin"

COMMAND_LINE = (
    "console=tty0 console=ttyS0,115200n8 quiet loglevel=3 fbcon=font:TER16x32 panic=5 "
    "mitigations=off random.trust_cpu=on usb_storage.delay_use=0 cryptomgr.notests"
)

# No iso9660: with it GRUB takes the disc for ISO 9660, which shows only the README
# (docs/facts/standin.md, the trap under "Loaders").
_COMMON_MODULES = (
    *("normal", "linux", "serial", "terminal", "echo", "search", "search_fs_file", "udf", "fat"),
    *("part_gpt", "part_msdos", "ntfs", "sleep", "reboot", "halt", "boot", "test", "memdisk"),
    *("tar", "chain", "configfile", "true"),
)
_EFI_MODULES = ("all_video", "efi_gop")
_BIOS_MODULES = ("biosdisk", "vbe", "vga_text")


class LoaderError(RuntimeError):
    """grub-mkimage or mtools refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscBoot:
    """Where a disc's GRUB finds kernel and ramdisk: a marker file and the folder beside it."""

    marker: str
    kernel: str
    ramdisk: str


UDF_BOOT = DiscBoot(marker=DISC_FILE, kernel="/standin/vmlinuz", ramdisk="/standin/setup.img")


def disc_script(*, prompt: str, boot: DiscBoot = UDF_BOOT, bios: bool = False) -> str:
    """The grub.cfg of a disc.

    `prompt` is `always`, `never`, `bootfix`: as Microsoft's BIOS loader does, ask only if
    boot/bootfix.bin is on the disc, or `loader`: ask unless it is `SIGNED_GRUB_NOPROMPT` that runs.

    Any key: in a GRUB menu Enter runs the default entry, which a timeout does as well, but only a
    key press removes the variable `fallback`. Printable keys are hotkeys. Cursor keys alone do
    not count: GRUB moves its highlight.
    """
    output = "console serial" if bios else "console"
    # Without a key Microsoft's loader returns an error and the firmware tries the next entry.
    # GRUB 2.06 can only return success, at which OVMF opens its boot menu; so an installed disk
    # is started from here.
    give_up = (
        "exit"
        if bios
        else (
            "search --no-floppy --set=disk --file /EFI/Microsoft/Boot/bootmgfw.efi\n"
            '  if [ -n "$disk" ]; then\n'
            "    chainloader ($disk)/EFI/Microsoft/Boot/bootmgfw.efi\n"
            "    boot\n"
            "  fi\n"
            "  exit"
        )
    )
    lines = [
        "serial --unit=0 --speed=115200" if bios else "true",
        f"terminal_output {output}",
        f"terminal_input {output}",
        f"search --no-floppy --set=root --file {boot.marker}",
        "function start_setup {",
        '  echo "stand-in for Windows Setup: loading"',
        f"  linux ($root){boot.kernel} {COMMAND_LINE} standin.phase=setup standin.prompted=$1",
        f"  initrd ($root){boot.ramdisk}",
        "  boot",
        "}",
        "function give_up {",
        '  echo "no key was pressed"',
        f"  {give_up}",
        "}",
    ]
    menu = [
        f'echo "{PROMPT}"',
        f"set timeout={PROMPT_SECONDS}",
        "set timeout_style=menu",
        "set default=0",
        "set fallback=999",
        f'menuentry "{PROMPT}" {{ if [ -z "$fallback" ]; then start_setup yes; else give_up; fi }}',
        f"for key in {' '.join(string.ascii_lowercase + string.digits)} backspace tab delete; do",
        '  menuentry " " --hotkey=$key { start_setup yes }',
        "done",
        'menuentry " " --hotkey=" " { start_setup yes }',
    ]
    match prompt:
        case "always":
            lines += menu
        case "never":
            lines.append("start_setup no")
        case "bootfix":
            lines += ["if [ -f ($root)/boot/bootfix.bin ]; then", *menu]
            lines += ["else", "start_setup no", "fi"]
        case "loader":
            lines += ['if [ -n "$check_signatures" ]; then', "start_setup no", "else", *menu, "fi"]
        case _:
            message = f"prompt must be always, never, bootfix or loader, not {prompt!r}"
            raise ValueError(message)
    return "\n".join(lines) + "\n"


def disk_script(*, bios: bool = False, secure_boot: bool = False) -> str:
    """The grub.cfg of an installed disk; under Secure Boot the kernel is on the ESP."""
    output = "console serial" if bios else "console"
    folder = "/standin" if secure_boot else DISK_FOLDER
    return "\n".join(
        [
            "serial --unit=0 --speed=115200" if bios else "true",
            f"terminal_output {output}",
            f"search --no-floppy --set=root --file {folder}/vmlinuz",
            'echo "stand-in for Windows Setup: starting the installed system"',
            f"linux ($root){folder}/vmlinuz {COMMAND_LINE} standin.phase=installed",
            f"initrd ($root){folder}/initrd.img",
            "boot",
            "",
        ]
    )


def efi_grub(script: str) -> bytes:
    """A GRUB for UEFI with its script inside."""
    return _grub("x86_64-efi", (*_COMMON_MODULES, *_EFI_MODULES), script)


def bios_disc_grub(script: str) -> bytes:
    """A GRUB for El Torito BIOS boot. It loads its rest itself, from the place that the boot
    information table names, so the boot catalog's load size can stay at Microsoft's 8 sectors."""
    return _grub("i386-pc-eltorito", (*_COMMON_MODULES, *_BIOS_MODULES), script)


def bios_disk_grub(script: str) -> bytes:
    """A GRUB core.img for the gap behind the MBR: boot.img loads it from sector 1 by default."""
    return _grub("i386-pc", (*_COMMON_MODULES, *_BIOS_MODULES), script)


def fat_image(files: dict[str, bytes], *, size: int, label: str = "EFISYS") -> bytes:
    """A FAT image with the given files: FAT12 for a floppy, above that what mformat chooses."""
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder, "fat.img")
        with image.open("wb") as stream:
            stream.truncate(size)
        geometry = ["-f", "1440"] if size == FLOPPY_SIZE else ["-T", str(size // 512), "-h", "64"]
        if size != FLOPPY_SIZE:
            geometry += ["-s", "32"]
        _run(["mformat", "-i", str(image), "-N", "53544e44", "-v", label, *geometry, "::"])
        made: set[str] = set()
        for name, content in sorted(files.items()):
            parts = name.split("/")
            for end in range(1, len(parts)):
                parent = "/".join(parts[:end])
                if parent not in made:
                    _run(["mmd", "-i", str(image), f"::/{parent}"])
                    made.add(parent)
            source = Path(folder, "content")
            source.write_bytes(content)
            _run(["mcopy", "-i", str(image), str(source), f"::/{name}"])
        return image.read_bytes()


def efisys(*, prompt: str) -> bytes:
    """The floppy-sized FAT image of the unsigned disc's UEFI boot entry."""
    grub = efi_grub(disc_script(prompt=prompt))
    return fat_image({"EFI/BOOT/BOOTX64.EFI": grub}, size=FLOPPY_SIZE)


def signed_efisys(*, grub: Path, kernel: bytes, ramdisk: bytes) -> bytes:
    """The FAT image of the Secure Boot disc, with everything inside.

    Which image GRUB reads from is decided by the disc's one partition, whatever image the
    firmware took: their files beside the loader are the same.
    """
    boot = DiscBoot(marker="/.disk/info", kernel="/standin/vmlinuz", ramdisk="/standin/setup.img")
    files = {
        "EFI/BOOT/BOOTX64.EFI": SIGNED_SHIM.read_bytes(),
        "EFI/BOOT/grubx64.efi": grub.read_bytes(),
        ".disk/info": b"stand-in for Windows Setup\n",
        "boot/grub/grub.cfg": disc_script(prompt="loader", boot=boot).encode(),
        "standin/vmlinuz": kernel,
        "standin/setup.img": ramdisk,
    }
    # The same size for both builds of GRUB: only then can an overlay swap the images.
    mebibytes = (len(kernel) + len(ramdisk)) // 2**20 + 12
    return fat_image(files, size=mebibytes * 2**20)


def _grub(target: str, modules: tuple[str, ...], script: str) -> bytes:
    """Run grub-mkimage with the script in a memdisk: a script given with -c alone knows no menu."""
    with tempfile.TemporaryDirectory() as folder:
        content = script.encode()
        member = tarfile.TarInfo("grub.cfg")
        member.size = len(content)
        with tarfile.open(Path(folder, "memdisk.tar"), "w", format=tarfile.USTAR_FORMAT) as tar:
            tar.addfile(member, io.BytesIO(content))
        Path(folder, "early.cfg").write_text("normal (memdisk)/grub.cfg\n")
        inputs = ["-c", f"{folder}/early.cfg", "-m", f"{folder}/memdisk.tar"]
        options = ["-O", target, "-p", "(memdisk)", "-o", f"{folder}/out", *inputs]
        _run(["grub-mkimage", *options, *modules])
        return Path(folder, "out").read_bytes()


def _run(argv: list[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        message = f"{' '.join(argv)} failed:\n{done.stdout}{done.stderr}"
        raise LoaderError(message)
