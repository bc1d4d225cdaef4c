"""The libvirt door: `ports.Hypervisor` on libvirt-python, in every mode but kept embed roots.

No other module calls a domain. A domain without our metadata is listed and never touched.
"""

from __future__ import annotations

import ipaddress
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provisioner.errors import FailedError, GuestError, RefusedError
from provisioner.host.domain_xml import (
    disk_with_medium,
    display_in,
    domain_with_medium,
    drives_in,
    name_in,
    ownership_in,
    serial_port_in,
)
from provisioner.host.libvirt_errors import (
    INVALID_ARGUMENT,
    NO_DOMAIN,
    OPERATION_INVALID,
    code_of,
    libvirt_module,
    translated,
)
from provisioner.host.libvirt_events import Restarts, event_loop
from provisioner.host.libvirt_facts import look
from provisioner.host.libvirt_link import Link, create
from provisioner.host.storage import FolderStorage, MachineStorage
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
)

if TYPE_CHECKING:
    from provisioner.host.libvirt_storage import PoolStorage

KEY_MILLISECONDS = 50

STATES = {
    1: DomainState.RUNNING,
    2: DomainState.RUNNING,
    3: DomainState.PAUSED,
    4: DomainState.RUNNING,
    5: DomainState.OFF,
    6: DomainState.CRASHED,
    7: DomainState.PAUSED,
}
"""`virDomainState`: 2 is blocked, 4 being shut down, 7 suspended by the guest."""

SHUTOFF_CRASHED = 3
"""`virDomainShutoffReason`: the QEMU process died."""


class LibvirtHypervisor:
    """Implements `ports.Hypervisor` on one open connection.

    `folder` is the machine's own (files in folder modes, scratch space otherwise); `machine` and
    a hyphen begin the names of its volumes in a shared pool. `probe` says whether KVM works; only
    `facts` asks it.
    """

    def __init__(
        self,
        uri: str,
        *,
        mode: Mode,
        machine: str,
        folder: Path,
        probe: Callable[[], Accelerator],
        pool: str | None = None,
    ) -> None:
        libvirt = libvirt_module()
        self._libvirt = libvirt
        self._mode = mode
        self._probe = probe
        self._facts: HostFacts | None = None
        if mode is Mode.EMBED:
            # `An event loop implementation must be registered` (docs/facts/libvirt.md §3.4).
            event_loop()
        self._link = Link(uri)
        self._restarts = Restarts(uri, self._link if mode is Mode.EMBED else None)
        self._pool: PoolStorage | None = None
        self._storage: MachineStorage = FolderStorage(folder)
        if mode is Mode.SYSTEM:
            from provisioner.host.libvirt_storage import PoolStorage

            self._pool = PoolStorage(self._link, machine, scratch=folder, pool=pool)
            self._storage = self._pool

    @property
    def _connection(self) -> Any:
        return self._link.connection()

    def facts(self) -> HostFacts:
        # A command asks several times; only the free space changes while it runs.
        if self._facts is None:
            self._facts = self.facts_with(self._probe())
        return replace(self._facts, storage=self._storage.record())

    def facts_with(self, accelerator: Accelerator) -> HostFacts:
        """The same where somebody else has probed for KVM."""
        return look(
            self._connection,
            mode=self._mode,
            accelerator=accelerator,
            storage=self._storage.record(),
        )

    def domains(self) -> Sequence[DomainRecord]:
        with translated("list the machines"):
            records = []
            for domain in self._connection.listAllDomains(0):
                try:
                    records.append(self._record(domain))
                except self._libvirt.libvirtError as err:
                    if code_of(err) != NO_DOMAIN:  # undefined since it was listed
                        raise
            return tuple(sorted(records, key=lambda record: record.name))

    def domain(self, name: str) -> DomainRecord | None:
        with translated(f"look up the machine {name}"):
            domain = self._lookup(name)
            return self._record(domain) if domain is not None else None

    def domain_xml(self, name: str) -> str:
        with translated(f"read the XML of {name}"):
            return self._stored_xml(self._known(name))

    def define(self, xml: str) -> None:
        name = name_in(xml)
        if ownership_in(xml) is None:
            raise RefusedError(
                f"the XML of the machine {name} does not carry provisioner's metadata",
                hint="a domain template of your own has to keep the <metadata> element",
            )
        with translated(f"define the machine {name}"):
            if self._lookup(name) is not None:
                self._ours(name)
            self._connection.defineXMLFlags(xml, self._libvirt.VIR_DOMAIN_DEFINE_VALIDATE)

    def rename(self, name: str, new_name: str) -> None:
        with translated(f"rename the machine {name}"):
            self._off(name).rename(new_name, 0)

    def undefine(self, name: str) -> None:
        libvirt = self._libvirt
        everything = (
            libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
            | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
            | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
            | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
        )
        with translated(f"undefine the machine {name}"):
            domain = self._off(name)
            # Older daemons do not know the TPM flag, the test driver knows neither of the two.
            for flags in (
                everything | getattr(libvirt, "VIR_DOMAIN_UNDEFINE_TPM", 0),
                everything,
                0,
            ):
                try:
                    domain.undefineFlags(flags)
                    return
                except libvirt.libvirtError as err:
                    if code_of(err) != INVALID_ARGUMENT or not flags:
                        raise

    def start(self, name: str) -> None:
        with translated(f"start the machine {name}"):
            create(self._off(name))

    def shutdown(self, name: str) -> None:
        with translated(f"shut the machine {name} down"):
            self._running(name).shutdown()

    def destroy(self, name: str) -> None:
        with translated(f"turn the machine {name} off"):
            domain = self._ours(name)
            try:
                domain.destroy()
            except self._libvirt.libvirtError as err:
                if code_of(err) != OPERATION_INVALID or domain.isActive():
                    raise

    def drives(self, name: str) -> Sequence[Drive]:
        with translated(f"read the drives of {name}"):
            return drives_in(self._known(name).XMLDesc(0))

    def change_medium(self, name: str, target: str, medium: Medium | None, *, force: bool) -> None:
        doing = f"change the disc in drive {target} of {name}"
        with translated(doing):
            domain = self._ours(name)
            if self._mode is Mode.TEST and not domain.isActive():
                # No device changes in the test driver; redefining amounts to the same.
                xml = domain_with_medium(self._stored_xml(domain), target, medium)
                self._connection.defineXMLFlags(xml, 0)
                return
            if domain.isActive():
                self._change_live(domain, target, medium, force=force)
            flags = self._libvirt.VIR_DOMAIN_AFFECT_CONFIG
            xml = self._disk_xml(self._stored_xml(domain), target, medium)
            domain.updateDeviceFlags(xml, flags)

    def send_keys(self, name: str, keys: Sequence[int]) -> None:
        with translated(f"press keys in {name}"):
            self._running(name).sendKey(
                self._libvirt.VIR_KEYCODE_SET_LINUX, KEY_MILLISECONDS, list(keys), len(keys), 0
            )

    def screenshot(self, name: str) -> Picture:
        chunks: list[bytes] = []
        with translated(f"take a picture of the screen of {name}"):
            stream = self._connection.newStream(0)
            media_type = self._running(name).screenshot(stream, 0, 0)
            try:
                stream.recvAll(lambda _stream, data, into: into.append(data), chunks)
            except BaseException:
                stream.abort()
                raise
            stream.finish()
        return Picture(media_type=str(media_type), data=b"".join(chunks))

    def block_counters(self, name: str, target: str) -> BlockCounters:
        with translated(f"read the counters of {target} in {name}"):
            numbers = self._running(name).blockStats(target)
        return BlockCounters(read_bytes=max(0, numbers[1]), written_bytes=max(0, numbers[3]))

    def restarts(self, name: str) -> int:
        return self._restarts.of(name)

    def agent(self, name: str, command: Mapping[str, Any], *, timeout: float) -> Any:
        import libvirt_qemu

        verb = command.get("execute", "?")
        with translated(f"ask the guest agent of {name} ({verb})"):
            domain = self._running(name)
            answer = libvirt_qemu.qemuAgentCommand(
                domain, json.dumps(command), max(1, math.ceil(timeout)), 0
            )
        try:
            return json.loads(answer)["return"]
        except (ValueError, KeyError, TypeError) as err:
            raise GuestError(
                f"the guest agent of {name} gave no sensible answer to {verb}"
            ) from err

    def addresses(self, name: str) -> Sequence[str]:
        libvirt = self._libvirt
        found: set[ipaddress.IPv4Address | ipaddress.IPv6Address] = set()
        with translated(f"ask for the addresses of {name}"):
            domain = self._running(name)
            for source in (
                libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT,
                libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE,
            ):
                try:
                    interfaces = domain.interfaceAddresses(source, 0)
                except libvirt.libvirtError:
                    continue  # no agent yet, or no libvirt network: the other source may know
                for interface in interfaces.values():
                    for entry in interface["addrs"] or ():
                        found.add(ipaddress.ip_address(entry["addr"]))
                if found:
                    break
        useful = (address for address in found if not address.is_loopback)
        return tuple(str(a) for a in sorted(useful, key=lambda a: (a.is_link_local, a.version, a)))

    def serial_port(self, name: str) -> str | None:
        with translated(f"ask for the serial port of {name}"):
            return serial_port_in(str(self._running(name).XMLDesc(0)))

    def display(self, name: str) -> str | None:
        with translated(f"ask for the display of {name}"):
            return display_in(str(self._running(name).XMLDesc(0)))

    def create_disk(self, file_name: str, size: int) -> str:
        return self._storage.create_disk(file_name, size)

    def store_file(self, file_name: str, write: Callable[[Path], None]) -> str:
        return self._storage.store_file(file_name, write)

    def delete_file(self, file_name: str) -> None:
        self._storage.delete_file(file_name)

    def stored_files(self) -> Mapping[str, int]:
        return self._storage.stored_files()

    def close(self) -> None:
        with translated("close the connection"):
            self._restarts.close()
            self._link.close()

    def _record(self, domain: Any) -> DomainRecord:
        number, reason = domain.state(0)
        state = STATES.get(number, DomainState.OFF)
        if state is DomainState.OFF and reason == SHUTOFF_CRASHED:
            state = DomainState.CRASHED
        return DomainRecord(
            name=domain.name(),
            uuid=domain.UUIDString(),
            state=state,
            ownership=ownership_in(self._stored_xml(domain)),
        )

    def _stored_xml(self, domain: Any) -> str:
        return str(domain.XMLDesc(self._libvirt.VIR_DOMAIN_XML_INACTIVE))

    def _lookup(self, name: str) -> Any | None:
        try:
            return self._connection.lookupByName(name)
        except self._libvirt.libvirtError as err:
            if code_of(err) == NO_DOMAIN:
                return None
            raise

    def _known(self, name: str) -> Any:
        domain = self._lookup(name)
        if domain is None:
            raise FailedError(
                f"there is no machine {name} on this host", hint="provisioner list shows them"
            )
        return domain

    def _ours(self, name: str) -> Any:
        domain = self._known(name)
        if ownership_in(self._stored_xml(domain)) is None:
            raise RefusedError(
                f"the machine {name} was not made by provisioner",
                hint="give yours another name, or remove that one with virsh",
            )
        return domain

    def _off(self, name: str) -> Any:
        domain = self._ours(name)
        if domain.isActive():
            raise FailedError(f"the machine {name} is running", hint=f"provisioner down {name}")
        return domain

    def _running(self, name: str) -> Any:
        domain = self._ours(name)
        if not domain.isActive():
            raise FailedError(f"the machine {name} is off", hint=f"provisioner up {name}")
        return domain

    def _change_live(self, domain: Any, target: str, medium: Medium | None, *, force: bool) -> None:
        flags = self._libvirt.VIR_DOMAIN_AFFECT_LIVE
        if force:
            flags |= self._libvirt.VIR_DOMAIN_DEVICE_MODIFY_FORCE
        xml = domain.XMLDesc(0)
        present = {drive.target: drive.medium for drive in drives_in(xml)}.get(target)
        if medium is not None and present is not None and present.path == medium.path:
            # libvirt takes the path it knows for no change, even when the guest has opened the
            # tray or the file was replaced since (docs/facts/libvirt.md §0, trap 8).
            domain.updateDeviceFlags(self._disk_xml(xml, target, None), flags)
            xml = domain.XMLDesc(0)
        domain.updateDeviceFlags(self._disk_xml(xml, target, medium), flags)

    def _disk_xml(self, xml: str, target: str, medium: Medium | None) -> str:
        """Only the system daemon changes owners, and only it accepts being told not to."""
        if self._pool is None or medium is None:
            return disk_with_medium(xml, target, medium, backing=None, relabel=True)
        holds = self._pool.holds(medium.path)
        backing = self._pool.backing_of(medium.path) if holds else None
        return disk_with_medium(
            xml, target, medium, backing=backing, relabel=holds and backing is None
        )
