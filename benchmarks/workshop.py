"""Discs, profiles and a home of our own to measure with; everything is removed at the end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pycdlib

BLOCK = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """A folder with its own home, state and cache."""

    folder: Path
    standin: Path
    """The stand-in's install disc, which every other disc is padded from."""

    @property
    def environment(self) -> dict[str, str]:
        """For our own commands: nothing outside the folder is touched."""
        return {
            "HOME": str(self.folder / "home"),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "PROVISIONER_EMBED_BASE": str(self.folder / "e"),
            "PYTHONDONTWRITEBYTECODE": "",
        }

    def ours(self, *arguments: str) -> list[str]:
        """A command line of provisioner."""
        return [str(Path(sys.executable).with_name("provisioner")), *arguments]

    def run(self, *arguments: str) -> None:
        """Runs one of our commands, which must succeed."""
        subprocess.run(
            self.ours(*arguments),
            env={**os.environ, **self.environment},
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def disc(self, size: int) -> Path:
        """An install disc of about `size` bytes: the stand-in's tree and one big sparse file."""
        path = self.folder / f"install-{size // 10**6}MB.iso"
        if path.exists():
            return path
        tree = self.folder / "tree"
        if not tree.exists():
            subprocess.run(
                ["7z", "x", "-bso0", "-bsp0", f"-o{tree}", str(self.standin)], check=True
            )
        filler = self.folder / "filler"
        with filler.open("wb") as file:
            file.truncate(max(BLOCK, size - self.standin.stat().st_size))
        disc = pycdlib.PyCdlib()
        disc.open(str(self.standin))
        disc.add_file(str(filler), udf_path="/sources/filler.bin")
        disc.write(str(path), blocksize=4 * 2**20)
        disc.close()
        filler.unlink()
        return path

    def tree(self) -> Path:
        """The stand-in's files in a folder, for tools that rebuild."""
        self.disc(10**8)
        return self.folder / "tree"

    def profile(self, name: str, lines: Sequence[str] = ()) -> Path:
        """A profile without a driver disc."""
        path = self.folder / f"{name}.yaml"
        text = [
            "kind: machine",
            f"name: {name}",
            "extends: windows-11",
            "windows:",
            "  hardware_checks: bypass",
            f"  computer_name: {name.upper()[:15]}",
            "machine:",
            "  memory: 1 GiB",
            "  firmware: uefi",
            "  ready: {when: serial}",
            *lines,
        ]
        path.write_text("\n".join(text) + "\n")
        return path


@contextmanager
def opened(standin: Path) -> Iterator[Workshop]:
    """A workshop in a short path: sockets below it must fit into 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="pb"))
    try:
        folder.chmod(0o711)  # swtpm runs as a user of its own
        (folder / "home").mkdir()
        yield Workshop(folder=folder, standin=standin)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def machine_names(workshop: Workshop) -> list[str]:
    """Names of all machines in the workshop."""
    done = subprocess.run(
        workshop.ours("list", "--json"),
        env={**os.environ, **workshop.environment},
        check=True,
        capture_output=True,
        text=True,
    )
    return [json.loads(line)["name"] for line in done.stdout.splitlines() if line.strip()]
