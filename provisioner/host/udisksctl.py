"""Mounts disc images by the kernel without root, as file managers do: through udisks.

udisks chooses the folder. Words and options are those of udisksctl(1).
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from provisioner.errors import FailedError, HostError, ProvisionerError
from provisioner.host.process import run

_PROGRAM = "udisksctl"
_HINT = "apt install udisks2; or name an empty folder, and FUSE shows the files there"
_MAPPED = re.compile(r"Mapped file .* as (/dev/[^\s.]+)")
_MOUNTED = re.compile(r"Mounted /dev/\S+ at (/.+)")


def mount(image: Path, filesystem: str) -> Path:
    """Mounts an image read-only as one file system and no other; where it is.

    HostError where udisks is missing, not running, or does not let this session.
    """
    said = _ask("loop-setup", "--read-only", "--file", str(image))
    device = _found(_MAPPED, said)
    try:
        said = _ask(
            *("mount", "--block-device", device),
            *("--filesystem-type", filesystem, "--options", "ro,nosuid,nodev"),
        )
        return _folder(_found(_MOUNTED, said))
    except BaseException:
        _forget(device)
        raise


def unmount(device: str) -> None:
    """Unmounts a loop device that udisks mounted, and takes it away."""
    _ask("unmount", "--block-device", device)
    _forget(device)


def _forget(device: str) -> None:
    with suppress(ProvisionerError):  # newer ones take it away by themselves
        _ask("loop-delete", "--block-device", device)


def _ask(*arguments: str) -> str:
    verb, *rest = arguments
    try:
        data = run([_PROGRAM, verb, "--no-user-interaction", *rest], timeout=60, hint=_HINT)
    except FailedError as err:
        raise HostError(err.message, hint=_HINT) from err
    return data.decode("utf-8", "surrogateescape").strip()


def _found(pattern: re.Pattern[str], said: str) -> str:
    match = pattern.search(said)
    if match is None:
        raise HostError(f"{_PROGRAM} says what nobody understands: {said[:200]!r}", hint=_HINT)
    return match[1]


def _folder(text: str) -> Path:
    """Up to 2.8 the sentence ended in a full stop, which a label may too."""
    path = Path(text)
    return path if path.is_dir() or not text.endswith(".") else Path(text[:-1])
