"""The known traps of the field, and the rules that see them before anything boots.

One row for each row of facts `peers.md`, "Known traps to turn into checks". `docs/traps.md` is made
from this, with the messages of the failing cases.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Trap:
    """What a person sees and why; the rules that tell it before, or how it is avoided."""

    sees: str
    cause: str
    rules: tuple[str, ...] = ()
    avoided: str = ""
    """Where no rule can know it before boot: what is done instead."""


TRAPS = (
    Trap(
        sees="Setup shows the language page",
        cause="invalid XML, a UI language that is not on the medium, or no locale in windowsPE",
        rules=(
            "lint.before-declaration",
            "lint.not-xml",
            "lint.encoding",
            "lint.setup-language",
            "media.setup-language",
            "windows.setup-language",
        ),
        avoided="the answer disc is read back, every name and byte of it; `inspect` tells of "
        "names that another disc has cut",
    ),
    Trap(
        sees='"Select image" or the key page',
        cause="an empty key, an image that is not on the medium, the key of another edition",
        rules=(
            "lint.empty-key",
            "lint.image-selection",
            "media.edition",
            "windows.product-key-edition",
        ),
        avoided="the image is chosen by the index computed from the ISO; no empty key is written",
    ),
    Trap(
        sees='"No images are available"',
        cause="the key does not match the edition",
        rules=("windows.product-key-edition", "windows.product-key", "lint.product-key"),
    ),
    Trap(
        sees='"Could not locate disk 0", no disks',
        cause="no driver for the disk's bus",
        rules=("machine.virtio-drivers", "machine.disk-driver", "media.driver-missing"),
    ),
    Trap(
        sees="The missing-driver page on 24H2 and Server 2025",
        cause="a CD-ROM on virtio-scsi, or old drivers",
        rules=("machine.cdrom-bus", "media.driver-age", "media.driver-signature"),
    ),
    Trap(
        sees="Windows cannot be installed to this disk (MBR, GPT)",
        cause="the layout does not match the firmware",
        rules=("lint.firmware",),
        avoided="the layout is computed from the firmware",
    ),
    Trap(
        sees="It works on one host only",
        cause="drive letters follow the order of the drives",
        rules=("windows.step-drive-letter", "lint.driver-letter"),
        avoided="drivers lie in $WinPEDriver$, scripts find their disc by a marker file",
    ),
    Trap(
        sees="The wrong disk is wiped",
        cause="an extra FAT or USB medium shifts disk numbers",
        rules=("machine.usb-disk", "machine.disks"),
        avoided="answers come on a CD-ROM, which shifts nothing",
    ),
    Trap(
        sees="The answer file is ignored under UEFI",
        cause="it is on a floppy",
        rules=("machine.floppy",),
    ),
    Trap(
        sees="The firmware file is refused",
        cause="distributions ship qcow2 firmware, in other places",
        rules=("machine.firmware-path", "host.firmware"),
        avoided="libvirt chooses firmware by its features",
    ),
    Trap(
        sees="TPM set-up fails in a user session",
        cause="swtpm is not set up for the user",
        rules=("host.tpm",),
    ),
    Trap(
        sees="The first-logon chain stops",
        cause="an MSI called directly, one failing command, a restart",
        rules=(
            "windows.step-msi",
            "windows.step-reboot",
            "lint.first-logon-commands",
            "lint.command",
        ),
        avoided="one command starts one runner, which records every exit code",
    ),
    Trap(
        sees="The installer of the guest tools hangs on 24H2",
        cause="the bundle EXE",
        rules=("windows.step-guest-tools", "lint.command-guest-tools"),
        avoided="drivers and agent are installed one by one, with time limits",
    ),
    Trap(
        sees="winget does nothing at the first logon",
        cause="store components are not ready",
        rules=("windows.step-winget", "lint.command-winget"),
    ),
    Trap(
        sees="Joining the domain fails after cloning",
        cause="the same SID twice",
        avoided="not known before boot: clones have to be made of generalised images",
    ),
    Trap(
        sees="Sysprep fails",
        cause="a per-user AppX package",
        avoided="not known before boot: Sysprep's log names the package",
    ),
    Trap(
        sees="A clone asks first-run questions",
        cause="the answers for generalised images are missing",
        avoided="not known before boot: clones need answers of their own",
    ),
    Trap(
        sees="Sysprep takes the wrong answers",
        cause="the answer disc is still attached, or a cached copy is there",
        rules=("windows.step-sysprep", "lint.cached-copy"),
        avoided="the answer disc is ejected and cached answers are removed when Windows is ready",
    ),
    Trap(
        sees="One machine breaks another's boot",
        cause="a shared file of UEFI variables",
        rules=("machine.nvram-shared",),
        avoided="each generation of a machine has a file of its own",
    ),
    Trap(
        sees="Setup follows somebody else's answers",
        cause="two media with answer files (windows-setup.md §2.1)",
        rules=("media.answer-file",),
    ),
    Trap(
        sees="Windows 11 refuses the machine",
        cause="no TPM, no Secure Boot, too little memory, disk or processor",
        rules=(
            "machine.windows-11",
            "machine.hardware-checks",
            "machine.cpu-features",
            "host.cpu-features",
        ),
    ),
    Trap(
        sees="OOBE of a server asks for another password",
        cause="the password policy (windows-setup.md §5.2)",
        rules=("windows.weak-password", "windows.unseen-password", "lint.weak-password"),
    ),
    Trap(
        sees="A pass fails on an older Windows",
        cause="settings, time zones and names it does not know (windows-setup.md §5.1, §13)",
        rules=(
            "lint.version",
            "lint.time-zone",
            "windows.timezone-version",
            "lint.unknown-setting",
            "lint.computer-name",
        ),
    ),
    Trap(
        sees="Nothing boots",
        cause="a rebuilt disc has lost its boot entries or signatures",
        rules=("media.not-bootable", "media.unsigned-loader"),
    ),
    Trap(
        sees="The disk is full, or the recovery partition is missing",
        cause="image, boot and recovery partitions do not fit",
        rules=("machine.disk-size", "windows.recovery"),
    ),
    Trap(
        sees="A command is cut off or refused",
        cause="nested quoting over 259 characters (windows-setup.md §3.8)",
        rules=("lint.length", "lint.command-length"),
    ),
)
