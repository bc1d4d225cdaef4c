"""Protocols of everything outside, and the plain records that cross them.

Each port has a real implementation in `host` and a fake in `tests/fakes`; both pass the same
contract tests. Every method raises only `ProvisionerError`s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from provisioner.frozen import frozen
from provisioner.secret import Secret, SecretRef


class Mode(StrEnum):
    """How libvirt is reached; decides where files live and what may be relabelled."""

    SYSTEM = "system"
    SESSION = "session"
    EMBED = "embed"
    TEST = "test"


class DomainState(StrEnum):
    """The states we tell apart."""

    RUNNING = "running"
    PAUSED = "paused"
    OFF = "off"
    CRASHED = "crashed"


@frozen
class Ownership:
    """Our `<metadata>` element: only domains that carry it are ever touched."""

    profile: str
    digest: str
    version: str


@frozen
class DomainRecord:
    """One domain as the hypervisor lists it. `ownership` is None where it is not ours."""

    name: str
    uuid: str
    state: DomainState
    ownership: Ownership | None


@frozen
class Accelerator:
    """Whether KVM works here, by a short probe; `reason` says why not, for people."""

    kvm: bool
    reason: str = ""


@frozen
class Storage:
    """Where a machine's files go, as the hypervisor sees them.

    `pool` names a libvirt pool (system mode); without one the folder is ours to write.
    """

    folder: str
    pool: str | None = None
    free_bytes: int | None = None


@frozen
class HostFacts:
    """What libvirt, QEMU and this host can do, looked at once."""

    uri: str
    mode: Mode
    libvirt_version: tuple[int, int, int]
    qemu_version: tuple[int, int, int]
    accelerator: Accelerator
    firmwares: frozenset[str]
    """Out of `bios`, `uefi`, `secure-boot`: what firmware descriptors offer for q35."""
    tpm: bool
    """An emulated TPM 2.0 can be had (domain capabilities list it and swtpm runs)."""
    tpm_reason: str
    """Why not, for people; empty when `tpm`."""
    disk_buses: frozenset[str]
    networks: frozenset[str]
    """Active libvirt networks; empty where this connection has none."""
    network_driver: bool
    """False where the connection cannot have networks at all (session, embed)."""
    storage: Storage
    qemu_user: tuple[int, int] | None
    """uid and gid QEMU runs as where that is not our own user (system mode), otherwise None."""
    cpus: int
    cpu_features: frozenset[str]
    """What the processor can do, in libvirt's words (`sse4.2`, `popcnt`); empty where libvirt
    does not know."""
    memory_bytes: int


@frozen
class Medium:
    """What lies in a CD-ROM tray: an image and its format (`raw` or `qcow2`)."""

    path: str
    format: str = "raw"


@frozen
class Drive:
    """A CD-ROM drive of a domain: its target (`sda`) and what is in the tray."""

    target: str
    medium: Medium | None


@frozen
class BlockCounters:
    """Bytes moved since the domain was started."""

    read_bytes: int
    written_bytes: int


@frozen
class Picture:
    """A screenshot. `media_type` as the hypervisor says: image/png or image/x-portable-pixmap."""

    media_type: str
    data: bytes


class Hypervisor(Protocol):
    """One libvirt connection. Names are domain names; all calls may block, none for over 30 s."""

    def facts(self) -> HostFacts:
        """Looks at the host; called once per command."""

    def domains(self) -> Sequence[DomainRecord]:
        """All domains, ours and others', in name order."""

    def domain(self, name: str) -> DomainRecord | None:
        """One domain, or None."""

    def domain_xml(self, name: str) -> str:
        """The stored (inactive) XML, secrets of libvirt's own left out."""

    def define(self, xml: str) -> None:
        """Defines or redefines a domain; the XML is validated against libvirt's schema."""

    def rename(self, name: str, new_name: str) -> None:
        """Renames a domain that is off."""

    def undefine(self, name: str) -> None:
        """Removes a domain that is off, with its NVRAM and its TPM state."""

    def start(self, name: str) -> None:
        """Powers a domain on."""

    def shutdown(self, name: str) -> None:
        """Asks the guest to turn off; returns at once."""

    def destroy(self, name: str) -> None:
        """Pulls the plug; no error where it is off already."""

    def drives(self, name: str) -> Sequence[Drive]:
        """The CD-ROM drives, in target order."""

    def change_medium(self, name: str, target: str, medium: Medium | None, *, force: bool) -> None:
        """Puts a medium into a drive, or empties it: live when running, and in the stored XML.

        A tray that the guest has locked raises FailedError unless `force`.
        """

    def send_keys(self, name: str, keys: Sequence[int]) -> None:
        """Presses keys together for 50 ms; Linux input event codes (57 is the space bar)."""

    def screenshot(self, name: str) -> Picture:
        """The first display of a running domain."""

    def block_counters(self, name: str, target: str) -> BlockCounters:
        """Counters of one disk or drive of a running domain."""

    def restarts(self, name: str) -> int:
        """How often the guest was restarted, counted from some moment before the first question
        on; the count may begin anew. Turning it off and on again is no restart."""

    def agent(self, name: str, command: Mapping[str, Any], *, timeout: float) -> Any:
        """One guest-agent command, its `return` member; GuestError where no agent answers."""

    def addresses(self, name: str) -> Sequence[str]:
        """IPv4 and IPv6 addresses of the guest (agent, then leases), without loopback."""

    def serial_port(self, name: str) -> str | None:
        """The terminal device at the other end of a running domain's first serial port."""

    def display(self, name: str) -> str | None:
        """Where a viewer finds the display of a running domain, as `vnc://127.0.0.1:5900`."""

    def create_disk(self, file_name: str, size: int) -> str:
        """Makes an empty qcow2 of `size` bytes in the storage; its path. An existing one fails."""

    def store_file(self, file_name: str, write: Callable[[Path], None]) -> str:
        """Stores what `write` puts at the path it is given (0600); the stored path.

        In a folder the file appears under its name only when complete; into a pool it is uploaded.
        """

    def delete_file(self, file_name: str) -> None:
        """Deletes a stored file; no error where it is gone already."""

    def stored_files(self) -> Mapping[str, int]:
        """Names and sizes in bytes (allocated) of the files in the storage."""

    def close(self) -> None:
        """Lets go of the connection; machines keep running."""


class Clock(Protocol):
    """Time, so that tests need not wait."""

    def now(self) -> float:
        """Seconds since 1970."""

    def monotonic(self) -> float:
        """Seconds of a clock that never jumps."""

    def sleep(self, seconds: float) -> None:
        """Waits."""


class SecretStore(Protocol):
    """Resolves references; generated secrets are made once per machine and kept."""

    def resolve(self, name: str, reference: SecretRef) -> Secret:
        """The value. HostError where the variable, file, command or keyring entry fails."""

    def fingerprint(self, secret: Secret) -> str:
        """HMAC-SHA256 under the machine's own key, hexadecimal: tells change without the value."""

    def begin_rotation(self, name: str, *, generation: int, length: int) -> Secret:
        """A new password for one generation of the machine, durable before it is returned.

        The same again until the machine is deleted, so that a run that was killed goes on.
        """

    def end_rotation(self, name: str, *, generation: int) -> None:
        """Notes, durably, that the machine has the new password."""


@frozen
class SerialPosition:
    """A place in a serial log: which file (its inode; a rotated log is another), and the offset."""

    file: int
    offset: int


class SerialLog(Protocol):
    """What the guest wrote to its first serial port, as it grows."""

    def read_new(self) -> bytes:
        """What came since the last call, a bounded piece of it; empty when nothing is new."""

    def position(self) -> SerialPosition:
        """Where the next call reads on."""

    def resume(self, position: SerialPosition) -> str | None:
        """Reads on from where another reader stopped; why something is lost, None if nothing is."""


class Handshakes(Protocol):
    """The beginning of a conversation with a service of the guest."""

    def shake(self, service: str, host: str, port: int, *, timeout: float) -> None:
        """Speaks with `rdp`, `winrm` (HTTPS) or `ssh`; GuestError where something else answers, or
        nobody within `timeout` seconds."""


class Console(Protocol):
    """Tells a person, or a program, what happens. Results go to stdout elsewhere."""

    def say(self, line: str) -> None:
        """A line of the story."""

    def warn(self, line: str) -> None:
        """A line that must not be missed."""

    def progress(self, label: str, done: int, total: int | None) -> None:
        """`done` of `total` bytes; callers may call often."""

    def event(self, name: str, members: Mapping[str, Any]) -> None:
        """The same for programs (`--json`)."""

    def moment(self, event: str, members: Mapping[str, Any]) -> None:
        """One moment of an installation's timeline (`store.timeline`), for both.

        `members` has `elapsed` (seconds since the start) and `origin` besides the event's own.
        """

    def pulse(self, elapsed: float) -> None:
        """Time goes on: whoever shows a running stage may draw it anew."""
