"""The state folder of one machine: what it is, how far it got, who works on it.

The folder is 0700. `state.json` holds no secret; `secrets.json`, written by `host.secrets`, is
the only file that may.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from provisioner.errors import FailedError, HostError
from provisioner.frozen import frozen
from provisioner.store.journal import Journal
from provisioner.store.timeline import FILE as TIMELINE
from provisioner.store.timeline import Timeline

FORMAT = 1


class MachineBusy(HostError):
    """Another process is changing this machine."""


def no_machine(name: str) -> FailedError:
    """What every command says of a name that no machine has."""
    return FailedError(f"there is no machine {name}", hint="`provisioner list` shows them all")


class Phase(StrEnum):
    """How far a machine got."""

    BUILDING = "building"
    INSTALLING = "installing"
    READY = "ready"
    FAILED = "failed"


@frozen
class Forward:
    """A loopback port of the host that leads to a port of the guest."""

    service: str
    guest_port: int
    host_port: int


@frozen
class Generation:
    """One incarnation of a machine: `up --replace` makes the next.

    `intent` is the plan without secrets, flattened, so that a later `up` can say what differs.
    """

    number: int
    domain: str
    digest: str
    files: tuple[str, ...] = ()
    answer_drive: str | None = None
    answer_file: str | None = None
    forwards: tuple[Forward, ...] = ()
    intent: Mapping[str, str] = field(default_factory=dict)


@frozen
class MachineState:
    """What `state.json` says. `previous` is kept by `--replace` until the new one is ready."""

    name: str
    uri: str
    phase: Phase
    profile: str
    current: Generation
    previous: Generation | None = None
    started: float | None = None
    finished: float | None = None
    reason: str | None = None
    """Why the phase is `failed`."""
    failed_step: int | None = None
    """The number of the profile's step that failed, where that was the reason."""
    outputs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Texts that the profile's steps handed over: by step, by name."""
    users: tuple[str, ...] = ()


class MachineStore:
    """One machine's folder. Reading needs no lock; changing does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        self.journal = Journal(folder / "journal.jsonl")
        self.secrets_file = folder / "secrets.json"
        self.serial_log = folder / "serial.log"
        self.timeline = Timeline(folder / TIMELINE)
        self.stopped_note = folder / "stopped"
        """Says that `down` turned the machine off, and not the guest itself."""
        self.promised_note = folder / "promised"
        """Says that the generated secrets are on a disc or in a folder that a person has."""

    def exists(self) -> bool:
        """Whether anything is remembered of this machine."""
        return (self.folder / "state.json").exists() or bool(self.journal.entries())

    def load(self) -> MachineState | None:
        """The state, or None where the machine never came to be."""
        try:
            raw = json.loads((self.folder / "state.json").read_bytes())
            return _state(raw)
        except FileNotFoundError:
            return None
        except PermissionError as err:
            raise HostError(
                f"{self.folder}: this machine's state belongs to another user", hint="use sudo"
            ) from err
        except (ValueError, KeyError, TypeError) as err:
            raise FailedError(
                f"{self.folder / 'state.json'} is damaged: {err}",
                hint="`provisioner delete` removes what it can find of this machine",
            ) from err

    def save(self, state: MachineState) -> None:
        """Replaces the state atomically."""
        self.prepare()
        temporary = self.folder / ".state.json.new"
        with temporary.open("w") as file:
            json.dump({"format": FORMAT, **asdict(state)}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.folder / "state.json")

    def update(self, **changes: Any) -> MachineState:
        """Loads, changes and saves; the new state."""
        state = self.load()
        if state is None:
            raise FailedError(f"{self.name} has no state to change")
        state = replace(state, **changes)
        self.save(state)
        return state

    @property
    def timeline_file(self) -> Path:
        """Where the timeline lies."""
        return self.folder / TIMELINE

    def screens(self) -> tuple[Path, ...]:
        """The filmstrip: one picture per change of stage, in their order."""
        return tuple(sorted(self.folder.glob("screen-*.png")))

    def forget_story(self) -> None:
        """A new generation begins: timeline and filmstrip of the old one go."""
        self.timeline.clear()
        for path in self.screens():
            path.unlink(missing_ok=True)

    def holder(self) -> int | None:
        """The process that works on this machine now, as the lock names it; None where none does.

        Takes no lock itself, not for a moment: that could make a starting `up` fail.
        """
        try:
            pid = int((self.folder.parent / f".{self.name}.lock").read_text() or 0)
        except (OSError, ValueError):
            return None
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            return pid
        return pid or None

    def prepare(self) -> None:
        """Makes the folder, for its owner only, and the log that libvirt appends to.

        A log that is there already, 0644, with `append='on'`, stays readable for us wherever
        libvirt's own would be root's (docs/facts/standin.md §2).
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.serial_log.exists():
            self.serial_log.touch(mode=0o644)

    def clear(self) -> None:
        """Forgets a run that came to nothing, but not the passwords on a disc made before."""
        if not self.promised_note.exists():
            self.remove()
            return
        for path in self.folder.iterdir():
            if path not in (self.secrets_file, self.promised_note):
                path.unlink()

    def remove(self) -> None:
        """Forgets the machine. Its domain and files must be gone already."""
        shutil.rmtree(self.folder, ignore_errors=False)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps other processes from changing this machine; MachineBusy where one does already."""
        self.folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder.parent / f".{self.name}.lock"
        descriptor = self._take(path)
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            path.unlink(missing_ok=True)
            os.close(descriptor)

    def _take(self, path: Path) -> int:
        """A descriptor that holds the lock on the file which is at `path` now.

        The holder unlinks the file, so a lock taken on one that has just gone is worth nothing.
        """
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as err:
                holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
                os.close(descriptor)
                raise MachineBusy(
                    f"another provisioner works on {self.name} (process {holder or 'unknown'})",
                    hint=f"wait for it, or look with `provisioner status {self.name}`",
                ) from err
            try:
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    return descriptor
            except FileNotFoundError:
                pass
            os.close(descriptor)


class Machines:
    """All machines of one user."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def store(self, name: str) -> MachineStore:
        """The folder of one machine, whether it exists or not."""
        return MachineStore(self.folder / name)

    def all(self) -> tuple[MachineStore, ...]:
        """Every machine that is remembered, in name order."""
        if not self.folder.is_dir():
            return ()
        stores = (MachineStore(path) for path in sorted(self.folder.iterdir()) if path.is_dir())
        return tuple(store for store in stores if store.exists())

    def ports(self) -> set[int]:
        """The loopback ports that machines have been given."""
        ports: set[int] = set()
        for store in self.all():
            with suppress(FailedError):  # a damaged state is told by whoever asks for that machine
                state = store.load()
                ports |= {each.host_port for each in state.current.forwards} if state else set()
        return ports


def _state(raw: dict[str, Any]) -> MachineState:
    if raw.pop("format") != FORMAT:
        raise ValueError("written by another version of provisioner")
    return MachineState(
        **{
            **raw,
            "phase": Phase(raw["phase"]),
            "users": tuple(raw["users"]),
            "current": _generation(raw["current"]),
            "previous": _generation(raw["previous"]) if raw["previous"] else None,
        }
    )


def _generation(raw: dict[str, Any]) -> Generation:
    return Generation(
        **{
            **raw,
            "files": tuple(raw["files"]),
            "forwards": tuple(Forward(**forward) for forward in raw["forwards"]),
        }
    )
