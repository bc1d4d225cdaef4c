"""The text of a new profile: every line with a comment that a beginner understands. Pure."""

from __future__ import annotations

from provisioner.cli.config_file import yaml_text
from provisioner.frozen import frozen


@frozen
class Wanted:
    """What a person wants. Paths as they are to stand in the file."""

    name: str
    product: str
    edition: str | int | None
    editions: str = ""
    """What else the disc holds, in one line."""
    architecture: str = "amd64"
    install: str | None = None
    drivers: str | None = None
    language: str | None = None
    """Only where the disc holds several."""
    format: str | None = None
    """Only where it differs from the language."""
    timezone: str = "UTC"
    user: str | None = None
    computer_name: str | None = None
    firmware: str = "secure-boot"

    @property
    def server(self) -> bool:
        """Whether the built-in Administrator is the account one works with."""
        return self.product.startswith("windows-server")


def profile_text(wanted: Wanted) -> str:
    """The file. Its first line makes editors complete and check it."""
    lines = [
        "# yaml-language-server: $schema=./provisioner.schema.json",
        "# (`provisioner schema -o provisioner.schema.json` writes that file; editors with YAML",
        "# support then complete and explain every key.)",
        "#",
        "# Written by `provisioner new`. It is yours: change what you like, then",
        "#   provisioner check FILE   finds mistakes",
        "#   provisioner plan FILE    shows what would be done",
        "#   provisioner up FILE      makes the machine",
        "",
        "kind: machine",
        "",
        "# The machine's name, here and in libvirt.",
        f"name: {_text(wanted.name)}",
        "",
        *_media(wanted),
        "",
        *_windows(wanted),
        "",
        *_machine(wanted),
    ]
    return "\n".join(lines) + "\n"


def _media(wanted: Wanted) -> list[str]:
    lines = ["# The discs. They are only read, never changed."]
    if wanted.install is None and wanted.drivers is None:
        return [*lines, "media: {} # or give them each time: --media install=FILE"]
    lines.append("media:")
    if wanted.install is not None:
        lines.append(f"  install: {_text(wanted.install)}")
    else:
        lines.append("  # install: ~/iso/Windows.iso # or each time: --media install=FILE")
    if wanted.drivers is not None:
        lines += [
            "  # Drivers for the fast virtual disk and network, and the agent through which",
            "  # Windows says that it is ready.",
            f"  drivers: {_text(wanted.drivers)}",
        ]
    else:
        lines += [
            "  # The virtio-win ISO makes disk and network faster. Windows works without it.",
            "  # drivers: ~/iso/virtio-win.iso",
        ]
    return lines


def _windows(wanted: Wanted) -> list[str]:
    lines = [
        "windows:",
        "  # Compared with what is really on the disc, so that a wrong ISO is found at once.",
        f"  product: {wanted.product}",
    ]
    if wanted.architecture != "amd64":
        lines += ["", f"  architecture: {wanted.architecture}"]
    if wanted.edition is not None:
        shown = wanted.edition if isinstance(wanted.edition, int) else _text(wanted.edition)
        lines += ["", "  # Which of the editions on the disc."]
        lines += [f"  # There: {wanted.editions}"] if wanted.editions else []
        lines += [f"  edition: {shown}"]
    lines.append("")
    if wanted.computer_name is not None:
        lines += [
            "  # The name in the network, at most 15 characters.",
            f"  computer_name: {_text(wanted.computer_name)}",
        ]
    else:
        lines += [
            "  # The name in the network, at most 15 characters. Without it: `name` in capitals.",
            f"  # computer_name: {wanted.name.upper()}",
        ]
    lines += [
        "",
        "  # Only to activate Windows. Without it, one of Microsoft's public keys, which install",
        "  # and do not activate, is used where the disc needs one.",
        "  # product_key: {file: key.txt}",
        "",
        "  locale:",
    ]
    if wanted.language is not None:
        lines += ["    # Windows' own language; it must be on the disc.",
                  f"    language: {wanted.language}"]  # fmt: skip
    if wanted.format is not None:
        lines += [
            "    # How dates and numbers look, and which keyboard lies before you.",
            f"    format: {wanted.format}",
            f"    keyboard: {wanted.format}",
        ]
    lines += ["    # As Europe/Berlin, or \"W. Europe Standard Time\".",
              f"    timezone: {_text(wanted.timezone)}"]  # fmt: skip
    lines += _accounts(wanted)
    lines += [
        "",
        f"  # Remote Desktop, for `provisioner connect {wanted.name}`.",
        "  remote:",
        "    rdp: true",
    ]
    if wanted.product == "windows-11" and wanted.firmware != "secure-boot":
        lines += [
            "",
            "  # Windows 11 refuses a machine without Secure Boot, unless its checks are off.",
            "  hardware_checks: bypass",
        ]
    return lines


def _accounts(wanted: Wanted) -> list[str]:
    lines = []
    if wanted.server:
        lines += [
            "",
            "  # The account one works with on a server. `generate` makes up a password of that",
            f"  # length; `provisioner secret {wanted.name} Administrator` prints it.",
            "  administrator:",
            "    password: {generate: 20}",
        ]
    if wanted.user is not None:
        lines += [
            "",
            "  # Who may log on. `generate` makes up a password of that length;",
            f"  # `provisioner secret {wanted.name} {wanted.user}` prints it.",
            "  # {env: NAME}, {file: PATH} and {keyring: SERVICE/USER} take one that you have.",
            "  users:",
            f"    - name: {_text(wanted.user)}",
            "      groups: [Administrators] # [Users] for one who may not change the system",
            "      password: {generate: 20}",
        ]
    return lines


def _machine(wanted: Wanted) -> list[str]:
    return [
        "# The virtual machine.",
        "machine:",
        "  cpus: 2",
        "  memory: 4 GiB"
        + (" # the least that Windows 11 accepts" if wanted.product == "windows-11" else ""),
        "",
        "  # secure-boot is what a new PC has; uefi is the same without signatures; bios is for",
        "  # what is older.",
        f"  firmware: {wanted.firmware}",
        "",
        "  # A security chip, as Windows 11 and BitLocker want it.",
        f"  tpm: {'false' if wanted.firmware == 'bios' else 'true'}",
        "",
        "  disks:",
        "    - size: 64 GiB # the file on your disk grows with use",
        "",
        "  networks:",
        "    - {} # libvirt's `default` network where there is one; {network: NAME} for another",
        "",
        "  ready:",
        "    within: 90 min # a host without KVM may need far more: 8 h",
    ]


def _text(text: str) -> str:
    return yaml_text(text)
