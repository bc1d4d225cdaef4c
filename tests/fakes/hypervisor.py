"""A whole libvirt host in memory, with guests that do what the test says and failures on order."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar
from xml.etree import ElementTree

from provisioner.errors import FailedError, GuestError, RefusedError
from provisioner.host.domain_xml import (
    disk_targets,
    domain_with_medium,
    drives_in,
    name_in,
    ownership_in,
    uuid_in,
)
from provisioner.host.storage import plain_name
from provisioner.ports import (
    Accelerator,
    BlockCounters,
    DomainRecord,
    DomainState,
    Drive,
    HostFacts,
    Medium,
    Mode,
    Picture,
    Storage,
)
from tests.fakes.clock import FakeClock
from tests.fakes.guest import FakeGuest
from tests.fakes.serial import FakeSerialLog

T = TypeVar("T")

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c4944415408d763f8ffff3f0005fe02fea7d6059b0000000049454e44ae426082"
)

GOOD_FACTS = HostFacts(
    uri="fake:///",
    mode=Mode.EMBED,
    libvirt_version=(9, 0, 0),
    qemu_version=(7, 2, 0),
    accelerator=Accelerator(kvm=True),
    firmwares=frozenset({"bios", "uefi", "secure-boot"}),
    tpm=True,
    tpm_reason="",
    disk_buses=frozenset({"sata", "scsi", "usb", "virtio"}),
    networks=frozenset(),
    network_driver=False,
    storage=Storage(folder="/fake/storage", free_bytes=500 * 1024**3),
    qemu_user=None,
    cpus=8,
    cpu_features=frozenset({"popcnt", "sse4.2"}),
    memory_bytes=16 * 1024**3,
)


def good_facts(**members: Any) -> HostFacts:
    """Facts of a host on which everything works, with the members given instead."""
    return replace(GOOD_FACTS, **members)


@dataclass
class _Domain:
    name: str
    uuid: str
    stored: str
    live: str
    guest: FakeGuest


@dataclass
class _Order:
    """Raises `error` when its call comes; `after` lets the call take effect first."""

    method: str | None
    countdown: int
    error: BaseException
    after: bool


class FakeHypervisor:
    """Implements `ports.Hypervisor`. `calls` lists every call as `(method, argument, ...)`.

    `files` maps stored names to their bytes; a disk made by `create_disk` holds none.
    """

    def __init__(self, *, facts: HostFacts = GOOD_FACTS, clock: FakeClock | None = None) -> None:
        self.host = facts
        self.clock = clock or FakeClock()
        self.files: dict[str, bytes] = {}
        self.disks: dict[str, int] = {}
        self.calls: list[tuple[Any, ...]] = []
        self.closed = False
        self._domains: dict[str, _Domain] = {}
        self._scripts: dict[str, Callable[[FakeGuest], None]] = {}
        self._guests: dict[str, FakeGuest] = {}
        self._orders: list[_Order] = []

    # What tests call.

    def plays(self, name: str, script: Callable[[FakeGuest], None]) -> None:
        """From the next power-on the domain's guest follows this script."""
        self._scripts[name] = script

    def guest(self, name: str) -> FakeGuest:
        """The guest of a domain, which need not be defined yet."""
        if name not in self._guests:
            self._guests[name] = FakeGuest(name, self.clock, self.settle)
        return self._guests[name]

    def serial_log(self, name: str) -> FakeSerialLog:
        return self.guest(name).serial

    def add_foreign(self, xml: str) -> None:
        """A domain that somebody else defined."""
        name = name_in(xml)
        found = uuid_in(xml) or str(uuid.uuid4())
        self._domains[name] = _Domain(name, found, xml, "", self.guest(name))

    def fails(
        self, method: str | None, error: BaseException, *, on_call: int = 1, after: bool = False
    ) -> None:
        """Raises at the `on_call`th call of `method` (of any method when None), once.

        With `after` the call takes effect before it raises, as when we are killed in between.
        """
        self._orders.append(_Order(method, on_call, error, after))

    def settle(self) -> None:
        """Lets every guest catch up with the clock."""
        for domain in self._domains.values():
            domain.guest.settle()

    # ports.Hypervisor.

    def facts(self) -> HostFacts:
        return self._call(lambda: self.host, "facts")

    def domains(self) -> Sequence[DomainRecord]:
        return self._call(
            lambda: tuple(self._record(self._domains[name]) for name in sorted(self._domains)),
            "domains",
        )

    def domain(self, name: str) -> DomainRecord | None:
        return self._call(
            lambda: self._record(self._domains[name]) if name in self._domains else None,
            "domain",
            name,
        )

    def domain_xml(self, name: str) -> str:
        return self._call(lambda: self._known(name).stored, "domain_xml", name)

    def define(self, xml: str) -> None:
        self._call(lambda: self._define(xml), "define", name_in(xml))

    def rename(self, name: str, new_name: str) -> None:
        self._call(lambda: self._rename(name, new_name), "rename", name, new_name)

    def undefine(self, name: str) -> None:
        def act() -> None:
            self._off(name)
            del self._domains[name]
            self._guests.pop(name, None)

        self._call(act, "undefine", name)

    def start(self, name: str) -> None:
        self._call(lambda: self._start(name), "start", name)

    def shutdown(self, name: str) -> None:
        self._call(lambda: self._running(name).guest.on_shutdown(), "shutdown", name)

    def destroy(self, name: str) -> None:
        self._call(lambda: self._ours(name).guest.power_off(), "destroy", name)

    def drives(self, name: str) -> Sequence[Drive]:
        return self._call(lambda: drives_in(self._current(name)), "drives", name)

    def change_medium(self, name: str, target: str, medium: Medium | None, *, force: bool) -> None:
        self._call(
            lambda: self._change_medium(name, target, medium, force),
            "change_medium",
            name,
            target,
            medium,
            force,
        )

    def send_keys(self, name: str, keys: Sequence[int]) -> None:
        def act() -> None:
            guest = self._running(name).guest
            guest.keys.append(tuple(keys))
            if guest.on_keys is not None:
                guest.on_keys(keys)

        self._call(act, "send_keys", name, tuple(keys))

    def screenshot(self, name: str) -> Picture:
        def act() -> Picture:
            self._running(name)
            return Picture(media_type="image/png", data=PNG)

        return self._call(act, "screenshot", name)

    def block_counters(self, name: str, target: str) -> BlockCounters:
        def act() -> BlockCounters:
            domain = self._running(name)
            if target not in disk_targets(domain.live):
                raise FailedError(f"the machine {name} has no disk {target}")
            read, written = domain.guest.counters.get(target, (0, 0))
            return BlockCounters(read_bytes=read, written_bytes=written)

        return self._call(act, "block_counters", name, target)

    def restarts(self, name: str) -> int:
        return self._call(lambda: self.guest(name).restarts, "restarts", name)

    def agent(self, name: str, command: Mapping[str, Any], *, timeout: float) -> Any:
        return self._call(
            lambda: self._agent(name, command), "agent", name, command.get("execute", "")
        )

    def addresses(self, name: str) -> Sequence[str]:
        return self._call(lambda: self._running(name).guest.addresses, "addresses", name)

    def serial_port(self, name: str) -> str | None:
        def act() -> str | None:
            return "/dev/pts/7" if "<serial " in self._running(name).live else None

        return self._call(act, "serial_port", name)

    def display(self, name: str) -> str | None:
        def act() -> str | None:
            graphics = "<graphics " in self._running(name).live
            return "vnc://127.0.0.1:5900" if graphics else None

        return self._call(act, "display", name)

    def create_disk(self, file_name: str, size: int) -> str:
        def act() -> str:
            plain_name(file_name)
            if file_name in self.disks or file_name in self.files:
                raise FailedError(f"{self._path(file_name)} exists already")
            self.disks[file_name] = size
            return self._path(file_name)

        return self._call(act, "create_disk", file_name, size)

    def store_file(self, file_name: str, write: Callable[[Path], None]) -> str:
        def act() -> str:
            plain_name(file_name)
            with tempfile.TemporaryDirectory(prefix="fake-") as folder:
                path = Path(folder) / file_name
                write(path)
                self.files[file_name] = path.read_bytes()
            return self._path(file_name)

        return self._call(act, "store_file", file_name)

    def delete_file(self, file_name: str) -> None:
        def act() -> None:
            plain_name(file_name)
            self.files.pop(file_name, None)
            self.disks.pop(file_name, None)

        self._call(act, "delete_file", file_name)

    def stored_files(self) -> Mapping[str, int]:
        return self._call(
            lambda: {
                **{name: len(data) for name, data in self.files.items()},
                **dict.fromkeys(self.disks, 196_608),
            },
            "stored_files",
        )

    def close(self) -> None:
        self.closed = True

    # How it works.

    def _call(self, act: Callable[[], T], method: str, *arguments: Any) -> T:
        self.settle()
        self.calls.append((method, *arguments))
        due = []
        for order in list(self._orders):
            if order.method in (None, method):
                order.countdown -= 1
                if order.countdown == 0:
                    self._orders.remove(order)
                    due.append(order)
        for order in due:
            if not order.after:
                raise order.error
        result = act()
        for order in due:
            raise order.error
        return result

    def _path(self, file_name: str) -> str:
        return f"{self.host.storage.folder}/{file_name}"

    def _record(self, domain: _Domain) -> DomainRecord:
        return DomainRecord(
            name=domain.name,
            uuid=domain.uuid,
            state=domain.guest.state,
            ownership=ownership_in(domain.stored),
        )

    def _known(self, name: str) -> _Domain:
        try:
            return self._domains[name]
        except KeyError:
            raise FailedError(f"there is no machine {name} on this host") from None

    def _ours(self, name: str) -> _Domain:
        domain = self._known(name)
        if ownership_in(domain.stored) is None:
            raise RefusedError(f"the machine {name} was not made by provisioner")
        return domain

    def _off(self, name: str) -> _Domain:
        domain = self._ours(name)
        if domain.guest.state in (DomainState.RUNNING, DomainState.PAUSED):
            raise FailedError(f"the machine {name} is running")
        return domain

    def _running(self, name: str) -> _Domain:
        domain = self._ours(name)
        if domain.guest.state not in (DomainState.RUNNING, DomainState.PAUSED):
            raise FailedError(f"the machine {name} is off")
        return domain

    def _current(self, name: str) -> str:
        domain = self._known(name)
        running = domain.guest.state in (DomainState.RUNNING, DomainState.PAUSED)
        return domain.live if running else domain.stored

    def _define(self, xml: str) -> None:
        name = name_in(xml)
        if ownership_in(xml) is None:
            raise RefusedError(f"the XML of {name} does not carry our metadata")
        existing = self._domains.get(name)
        if existing is not None:
            self._ours(name)
            if uuid_in(xml) != existing.uuid:
                # Without a UUID libvirt makes a new one, and then complains in the same way.
                raise FailedError(f"a machine {name} exists with another UUID")
        found = uuid_in(xml) or str(uuid.uuid4())
        if any(other.uuid == found and other.name != name for other in self._domains.values()):
            raise FailedError(f"another machine has the UUID {found}")
        targets = disk_targets(xml)
        if len(set(targets)) != len(targets):
            raise FailedError(f"two disks of {name} have the same target")
        if existing is not None:
            existing.stored = xml
        else:
            self._domains[name] = _Domain(name, found, xml, "", self.guest(name))

    def _rename(self, name: str, new_name: str) -> None:
        domain = self._off(name)
        if new_name in self._domains:
            raise FailedError(f"a machine {new_name} exists already")
        domain.name = new_name
        domain.stored = domain.stored.replace(f"<name>{name}</name>", f"<name>{new_name}</name>")
        self._domains[new_name] = self._domains.pop(name)
        self._guests[new_name] = self._guests.pop(name)

    def _start(self, name: str) -> None:
        domain = self._off(name)
        folder = f"{self.host.storage.folder}/"
        for source in _disk_sources(domain.stored):
            stored = source.removeprefix(folder)
            if stored != source and stored not in self.files and stored not in self.disks:
                raise FailedError(f"cannot start {name}: {source} does not exist")
        domain.live = domain.stored
        domain.guest.power_on(self._scripts.get(name))

    def _change_medium(self, name: str, target: str, medium: Medium | None, force: bool) -> None:
        domain = self._ours(name)
        stored = domain_with_medium(domain.stored, target, medium)
        if domain.guest.state in (DomainState.RUNNING, DomainState.PAUSED):
            live = domain_with_medium(domain.live, target, medium)
            if target in domain.guest.locked and not force:
                raise FailedError(f"the guest has locked the tray of {target}")
            domain.guest.locked.discard(target)
            domain.live = live
        domain.stored = stored

    def _agent(self, name: str, command: Mapping[str, Any]) -> Any:
        answers = self._running(name).guest.agent_answers
        verb = command.get("execute", "")
        if answers is None:
            raise GuestError(f"no guest agent answers in {name}")
        if verb not in answers:
            raise GuestError(f"the guest agent of {name} does not know {verb}")
        answer = answers[verb]
        return answer(command.get("arguments", {})) if callable(answer) else answer


def _disk_sources(xml: str) -> list[str]:
    """Paths of all images in disks and drives; backing files are not among them."""
    sources = ElementTree.fromstring(xml).iterfind("./devices/disk/source")
    return [path for source in sources if (path := source.get("file"))]
