"""Turns libvirt's exceptions into ours: the one place where `libvirtError` is understood.

The numbers are `virErrorNumber` (https://libvirt.org/html/libvirt-virterror.html); which of them
comes when was measured: `libvirt.md` §2, §3, §5. libvirt's own text is quoted at the end of
a message, never alone: it is for the person who reports a bug.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from provisioner.errors import ConnectionLost, FailedError, GuestError, HostError, ProvisionerError
from provisioner.pattern import pattern

NO_SUPPORT = 3
INVALID_ARGUMENT = 8
NO_DOMAIN = 42
OPERATION_INVALID = 55
NO_POOL = 49
NO_VOLUME = 50
AGENT_UNRESPONSIVE = 86


@dataclass(frozen=True, slots=True)
class _Meaning:
    kind: type[ProvisionerError]
    means: str
    hint: str | None = None


BY_CODE = {
    3: _Meaning(HostError, "this libvirt driver cannot do that", "use a connection to QEMU"),
    5: _Meaning(HostError, "libvirt does not answer", "provisioner doctor says what to start"),
    9: _Meaning(FailedError, "QEMU or libvirt could not do it"),
    27: _Meaning(FailedError, "libvirt does not accept the domain's XML"),
    29: _Meaning(HostError, "libvirt does not allow it", "join the group libvirt, log in again"),
    38: _Meaning(HostError, "the host refused a file or a socket"),
    42: _Meaning(FailedError, "there is no such machine on this host"),
    45: _Meaning(HostError, "libvirt does not let you in", "join the group libvirt, log in again"),
    55: _Meaning(FailedError, "the machine is not in a state for that"),
    67: _Meaning(HostError, "this libvirt or QEMU lacks what the machine needs"),
    68: _Meaning(FailedError, "it took too long", "another operation may hold the machine"),
    84: _Meaning(HostError, "this libvirt or QEMU cannot do that"),
    86: _Meaning(GuestError, "the guest agent does not answer"),
    88: _Meaning(HostError, "libvirt does not allow it", "join the group libvirt, log in again"),
    90: _Meaning(FailedError, "a volume of that name exists already"),
    92: _Meaning(FailedError, "the domain's XML does not fit libvirt's schema"),
    94: _Meaning(HostError, "libvirt cannot ask who you are", "join the group libvirt"),
    97: _Meaning(GuestError, "the guest agent lost its place", "try again"),
}

BY_TEXT: tuple[tuple[re.Pattern[str], _Meaning], ...] = tuple(
    (pattern(text, re.IGNORECASE), meaning)
    for text, meaning in (
        (
            # First: what the guest says may hold any other text of this table.
            r"unable to execute QEMU agent command",
            _Meaning(GuestError, "the guest agent refused it"),
        ),
        (
            r"Cannot (recv|write) data|End of file while reading|client socket is closed",
            _Meaning(
                ConnectionLost,
                "libvirt went away in the middle of it",
                "its daemon was stopped or started anew; try again",
            ),
        ),
        (
            r"virtlogd-sock",
            _Meaning(
                HostError,
                "libvirt's log daemon virtlogd is not running",
                "systemctl start virtlogd.socket, or without systemd: virtlogd -d",
            ),
        ),
        (
            r"timed out waiting to open tray",
            _Meaning(
                FailedError,
                "the guest has locked the tray, because it uses the disc",
                "eject it inside the guest first, or force it",
            ),
        ),
        (
            r"UNIX socket path '.*' too long",
            _Meaning(
                HostError,
                "the folder libvirt uses is too deep: a UNIX socket's path has 107 bytes at most",
                "choose a shorter folder or machine name",
            ),
        ),
        (
            r"Failed to acquire pid file|already open with path",
            _Meaning(
                HostError,
                "another process holds this machine's libvirt root",
                "end the other program that has opened qemu:///embed on it",
            ),
        ),
        (
            r"Cannot access (backing file|storage file)|Could not open '.*'.*(Permission|No such)",
            _Meaning(
                HostError,
                "QEMU cannot read one of the machine's files",
                "is it still there, and may QEMU's user reach it? `provisioner doctor` looks",
            ),
        ),
        (
            r"No space left on device",
            _Meaning(HostError, "no space is left on the disk", "free some space, then try again"),
        ),
        (
            r"system bus connection|authentication unavailable|polkit|access denied by policy",
            _Meaning(
                HostError,
                "libvirt's system daemon does not let this user in",
                "join the group libvirt and log in again, or use --connect qemu:///session",
            ),
        ),
        (
            r"Failed to connect socket to '.*(libvirt|virtqemud).*Permission denied",
            _Meaning(
                HostError,
                "libvirt's daemon does not let this user in",
                "join the group libvirt and log in again, or use --connect qemu:///session",
            ),
        ),
        (
            r"Failed to connect socket to '.*(libvirt|virtqemud)",
            _Meaning(
                HostError,
                "libvirt's daemon is not running",
                "systemctl start libvirtd, or without systemd: virtlogd -d && libvirtd -d",
            ),
        ),
        (
            r"Failed to find an available port",
            _Meaning(
                HostError,
                "another program has the port of the machine's display",
                "end that program, or leave the port out of the domain's XML: libvirt finds one",
            ),
        ),
        (
            r"swtpm",
            _Meaning(
                HostError,
                "the TPM emulator swtpm could not be started",
                "install swtpm and swtpm-tools; `provisioner doctor` says how",
            ),
        ),
        (
            r"unable to find any (master var store|firmware)|Unable to find .*firmware",
            _Meaning(
                HostError,
                "no installed UEFI firmware has the features the machine asks for",
                "install OVMF (Debian: ovmf, Fedora: edk2-ovmf, Arch: edk2-ovmf)",
            ),
        ),
        (
            r"initialize kvm|Could not access KVM|KVM is not available|kernel doesn't allow",
            _Meaning(
                HostError,
                "KVM does not work on this host",
                "say `accelerator: tcg` under machine: in the profile",
            ),
        ),
        (
            r"Cannot set up guest memory|cannot allocate memory",
            _Meaning(HostError, "the host has too little free memory for this machine"),
        ),
    )
)


@cache
def libvirt_module() -> Any:
    """The binding, imported when first needed; HostError says how to get it.

    Without an error handler of ours it prints every error on stderr as well.
    """
    try:
        libvirt: Any = importlib.import_module("libvirt")
    except ImportError as err:
        raise HostError(
            "the Python module libvirt is not installed",
            hint="pip install 'provisioner[libvirt]' (needs a C compiler, pkg-config and"
            " libvirt's headers: Debian libvirt-dev, Fedora libvirt-devel, Arch libvirt)",
        ) from err
    libvirt.registerErrorHandler(_silent, None)
    return libvirt


def _silent(_context: Any, _error: Any) -> None:
    return None


def code_of(err: Exception) -> int:
    """libvirt's error number; 0 where it has none."""
    return int(getattr(err, "get_error_code", lambda: 0)() or 0)


def translate(err: Exception, doing: str) -> ProvisionerError:
    """`doing` completes "cannot ..." and names the machine."""
    code = code_of(err)
    text = " ".join(str(err).split())
    meaning = next((meaning for found, meaning in BY_TEXT if found.search(text)), None)
    if meaning is None or code in (NO_SUPPORT, AGENT_UNRESPONSIVE):
        meaning = BY_CODE.get(code, _Meaning(FailedError, "libvirt reports an error"))
    return meaning.kind(
        f"cannot {doing}: {meaning.means} (libvirt error {code}: {text})", hint=meaning.hint
    )


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Everything libvirt raises inside the block leaves it as one of our errors."""
    libvirt = libvirt_module()
    try:
        yield
    except libvirt.libvirtError as err:
        raise translate(err, doing) from err
