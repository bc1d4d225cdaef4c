"""A scratch folder with synthetic discs, where the commands of a page are really run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.docs.blocks import PROJECT, Command
from tests.unit.media.discs import CLIENT, PE, SERVER, WINDOWS_FILES, make_bridge, make_wim

RUN_HERE = frozenset(
    {
        "build",
        "check",
        "config",
        "inspect",
        "library",
        "lint",
        "list",
        "new",
        "plan",
        "render",
        "schema",
    }
)
"""Commands that are quick and need neither QEMU nor a daemon: libvirt's test driver stands in."""

NODE = """\
<node>
  <cpu><mhz>2000</mhz><model>x86_64</model><active>8</active><nodes>1</nodes><sockets>1</sockets>
    <cores>8</cores><threads>1</threads></cpu>
  <memory>33554432</memory>
</node>
"""
SIGNED_LOADER = Path("/usr/lib/shim/shimx64.efi.signed")
"""A loader with Microsoft's signature, as genuine discs have one; from Debian's shim-signed."""

DRIVERS = ("viostor", "NetKVM", "vioserial", "Balloon")
FOLDERS = ("w10", "w11", "2k19", "2k22", "2k25")
SERVER_2022 = (
    ("Windows Server 2022 SERVERSTANDARDCORE", "ServerStandardEval", "Server Core"),
    ("Windows Server 2022 SERVERSTANDARD", "ServerStandardEval", "Server"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Discs:
    """Images in the shape of the real ones, a few hundred kilobytes each."""

    folder: Path
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a command printed, as a terminal shows it, and its exit code."""

    output: str
    code: int


def make_discs(folder: Path) -> Discs:
    """The discs that the papers talk of."""
    pe = make_wim(folder / "boot.wim", PE)
    for name, images, build, label in (
        ("Win11.iso", CLIENT, 26100, "CCCOMA_X64FRE_EN-US_DV9"),
        ("Server2025.iso", SERVER, 26100, "SSS_X64FREE_EN-US_DV9"),
        ("Server2022.iso", SERVER_2022, 20348, "SSS_X64FREE_EN-US_DV9"),
    ):
        install = make_wim(folder / f"{name}.wim", images, build=build)
        files: dict[str, bytes | Path] = {
            **WINDOWS_FILES,
            "sources/install.wim": install,
            "sources/boot.wim": pe,
            "efi/boot/bootx64.efi": SIGNED_LOADER,
        }
        make_bridge(folder / name, files, label=label)
    drivers = {
        f"{driver}/{system}/amd64/{driver.lower()}.{suffix}": b"driver"
        for driver in DRIVERS
        for system in FOLDERS
        for suffix in ("cat", "inf", "sys")
    }
    drivers["guest-agent/qemu-ga-x86_64.msi"] = b"agent"
    make_bridge(folder / "virtio-win.iso", drivers, label="virtio-win-0.1.285", boot=())
    names = ("Win11.iso", "Server2025.iso", "Server2022.iso", "virtio-win.iso")
    return Discs(folder=folder, names=names)


class Sandbox:
    """A home, a working folder with the discs, and libvirt's test driver as the host."""

    def __init__(self, folder: Path, discs: Discs) -> None:
        self.home = folder / "home"
        self.cwd = self.home / "work"
        self.templates = self.home / ".config" / "provisioner" / "templates"
        self.cwd.mkdir(parents=True)
        (self.home / "iso").mkdir()
        (self.cwd / "keys").mkdir()
        (self.cwd / "keys" / "win11.txt").write_text("VK7JG-NPHTM-C97JM-9MPGT-3V66T\n")
        for name in discs.names:
            (self.cwd / name).symlink_to(discs.folder / name)
            (self.home / "iso" / name).symlink_to(discs.folder / name)
        self.node = folder / "node.xml"
        self.node.write_text(NODE)

    def environment(self) -> dict[str, str]:
        """What a command is started with; nothing of the person who runs the tests."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "LIBVIRT_DEFAULT_URI": f"test://{self.node}",
            "PYTHONPATH": str(PROJECT),
            "DEV_PASSWORD": "Correct-Horse-7",
            "OPS_PASSWORD": "Correct-Horse-8",
            "BUILD_PASSWORD": "Correct-Horse-9",
        }

    def run(self, command: Command) -> Done:
        """Runs one `provisioner` command line."""
        return self.provisioner(command.words[1:], dict(command.variables))

    def provisioner(self, arguments: tuple[str, ...], variables: Mapping[str, str]) -> Done:
        """Standard output and error in one, as a terminal shows them."""
        done = subprocess.run(
            [sys.executable, "-m", "provisioner", *arguments],
            cwd=self.cwd,
            env={**self.environment(), **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        return Done(output=done.stdout, code=done.returncode)


def matches(shown: str, printed: str) -> bool:
    """Whether a page's output fits: `…` stands for anything, on a line of its own for any lines."""
    pattern = ""
    for line in shown.rstrip("\n").splitlines():
        if line.strip() == "…":
            pattern += r"(?:.*\n)*"
        else:
            pattern += ".*".join(re.escape(part) for part in line.split("…")) + r"\n"
    return re.fullmatch(pattern, printed.rstrip("\n") + "\n") is not None
