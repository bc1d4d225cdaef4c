"""`ports.Hypervisor` on an embed root, through the keeper that holds it.

Files are made here, not by the keeper: same user, same host. Any number of clients, in any number
of terminals; whoever finds no keeper starts one.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from provisioner import __version__
from provisioner.errors import ConnectionLost, FailedError, HostError, ProvisionerError
from provisioner.host import embed, remembered
from provisioner.host import keeper_wire as wire
from provisioner.host.process import run
from provisioner.host.signals import held_back
from provisioner.host.storage import FolderStorage
from provisioner.ports import (
    Accelerator,
    BlockCounters,
    DomainRecord,
    Drive,
    HostFacts,
    Medium,
    Picture,
)

START_WAIT = 30.0
SOCKET_WAIT = 3.0
END_WAIT = 10.0
ANSWER_WAIT = 90.0
"""Seconds after which a call counts as lost; every call of the port is shorter."""


class KeptHypervisor:
    """Implements `ports.Hypervisor`. `folder` takes the machine's files, `cache` is shared by all
    roots of this user (what libvirt knows about QEMU).
    """

    def __init__(
        self, root: Path, *, folder: Path, cache: Path, probe: Callable[[], Accelerator]
    ) -> None:
        self._root = root
        self._cache = cache
        self._probe = probe
        self._storage = FolderStorage(folder)
        self._guard = threading.Lock()
        self._connection: socket.socket | None = None

    def facts(self) -> HostFacts:
        accelerator = self._probe()
        facts = remembered.recall(self._cache, accelerator)
        if facts is None:
            facts = wire.facts_from_wire(self._ask("facts", accelerator=asdict(accelerator)))
            remembered.remember(self._cache, facts)
        uri = f"qemu:///embed?root={self._root}"
        return replace(facts, uri=uri, storage=self._storage.record())

    def domains(self) -> Sequence[DomainRecord]:
        return tuple(wire.record_from_wire(record) for record in self._ask("domains"))

    def domain(self, name: str) -> DomainRecord | None:
        answer = self._ask("domain", name=name)
        return wire.record_from_wire(answer) if answer is not None else None

    def domain_xml(self, name: str) -> str:
        return str(self._ask("domain_xml", name=name))

    def define(self, xml: str) -> None:
        self._ask("define", xml=xml)

    def rename(self, name: str, new_name: str) -> None:
        self._ask("rename", name=name, new_name=new_name)

    def undefine(self, name: str) -> None:
        self._ask("undefine", name=name)

    def start(self, name: str) -> None:
        self._ask("start", name=name)

    def shutdown(self, name: str) -> None:
        self._ask("shutdown", name=name)

    def destroy(self, name: str) -> None:
        self._ask("destroy", name=name)

    def drives(self, name: str) -> Sequence[Drive]:
        return tuple(wire.drive_from_wire(drive) for drive in self._ask("drives", name=name))

    def change_medium(self, name: str, target: str, medium: Medium | None, *, force: bool) -> None:
        self._ask(
            "change_medium",
            name=name,
            target=target,
            medium=wire.medium_to_wire(medium),
            force=force,
        )

    def send_keys(self, name: str, keys: Sequence[int]) -> None:
        self._ask("send_keys", name=name, keys=list(keys))

    def screenshot(self, name: str) -> Picture:
        return wire.picture_from_wire(self._ask("screenshot", name=name))

    def block_counters(self, name: str, target: str) -> BlockCounters:
        return wire.counters_from_wire(self._ask("block_counters", name=name, target=target))

    def restarts(self, name: str) -> int:
        return int(self._ask("restarts", name=name))

    def agent(self, name: str, command: Mapping[str, Any], *, timeout: float) -> Any:
        return self._ask("agent", name=name, command=dict(command), timeout=timeout)

    def addresses(self, name: str) -> Sequence[str]:
        return tuple(self._ask("addresses", name=name))

    def serial_port(self, name: str) -> str | None:
        answer = self._ask("serial_port", name=name)
        return str(answer) if answer is not None else None

    def display(self, name: str) -> str | None:
        answer = self._ask("display", name=name)
        return str(answer) if answer is not None else None

    def create_disk(self, file_name: str, size: int) -> str:
        return self._storage.create_disk(file_name, size)

    def store_file(self, file_name: str, write: Callable[[Path], None]) -> str:
        return self._storage.store_file(file_name, write)

    def delete_file(self, file_name: str) -> None:
        self._storage.delete_file(file_name)

    def stored_files(self) -> Mapping[str, int]:
        return self._storage.stored_files()

    def close(self) -> None:
        with self._guard:
            self._hang_up()

    def remove_unused_root(self) -> None:
        """Deletes a root that was opened only to look around: no machine is defined in it."""
        if self._root.exists() and not self.domains():
            self.remove_root()

    def remove_root(self) -> tuple[str, ...]:
        """For `delete`, once the domain is undefined: lets go of the root and deletes it."""
        self.close()
        return remove_root(self._root)

    def _ask(self, method: str, **arguments: Any) -> Any:
        with self._guard:
            connection = self._connected()
            try:
                answer = self._exchange(connection, method, arguments)
            except BaseException:
                # An answer that still comes belongs to this call, not to the next one.
                self._hang_up()
                raise
        return _result(answer)

    def _exchange(
        self, connection: socket.socket, method: str, arguments: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        line = wire.Line(connection)
        try:
            # As in a direct connection, Ctrl-C takes effect when the call is over: undoing must not
            # overtake a start that is still under way.
            with held_back():
                line.send({"method": method, "arguments": arguments})
                answer = line.receive()
        except (OSError, ValueError) as err:
            raise ConnectionLost(
                f"the process that holds {self._root} did not answer {method}: {err}",
                hint=f"try again; its log is {self._root / wire.LOG}",
            ) from err
        if answer is None:
            raise ConnectionLost(
                f"the process that holds {self._root} ended during {method}",
                hint=f"try again: another one is started; its log is {self._root / wire.LOG}",
            )
        return answer

    def _connected(self) -> socket.socket:
        if self._connection is not None and _closed(self._connection):
            self._hang_up()
        deadline = time.monotonic() + START_WAIT
        while self._connection is None:
            self._connection = wire.connect(self._root)
            if self._connection is None:
                if time.monotonic() > deadline:
                    raise HostError(
                        f"the process that is to hold {self._root} does not start",
                        hint=f"its log: {self._root / wire.LOG}",
                    )
                self._start_keeper()
                self._wait_for_socket()
            elif not self._greeted(self._connection):
                self._hang_up()  # it was just ending
        return self._connection

    def _greeted(self, connection: socket.socket) -> bool:
        connection.settimeout(ANSWER_WAIT)
        line = wire.Line(connection)
        try:
            line.send({"method": "hello", "arguments": {"version": __version__}})
            answer = line.receive()
        except (OSError, ValueError):
            return False
        if answer is None:
            return False
        try:
            _result(answer)
        except ProvisionerError:
            self._hang_up()
            raise
        return True

    def _start_keeper(self) -> None:
        parent = str(Path(__file__).parents[2])
        known = os.environ.get("PYTHONPATH")
        environment = {
            **os.environ,
            "PYTHONPATH": f"{parent}{os.pathsep}{known}" if known else parent,
        }
        if os.getuid() == 0:
            # libvirt hands it on to swtpm_setup, which runs as another user and could not write
            # where only root may (libpam-tmpdir makes such folders).
            environment.pop("TMPDIR", None)
        run(
            (
                sys.executable,
                "-m",
                "provisioner.host.keeper",
                str(self._root),
                str(self._cache),
            ),
            timeout=START_WAIT,
            environment=environment,
        )

    def _wait_for_socket(self) -> None:
        """The keeper may have to wait for one that is ending."""
        deadline = time.monotonic() + SOCKET_WAIT
        while time.monotonic() < deadline:
            probe = wire.connect(self._root)
            if probe is not None:
                self._connection = probe
                if not self._greeted(probe):
                    self._hang_up()
                return
            time.sleep(0.005)

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def remove_root(root: Path) -> tuple[str, ...]:
    """For `delete`, once the domain is undefined and our own connection closed: ends the keeper
    and deletes the root. Returns what undefining had left behind (paths relative to the root).

    FailedError while another terminal uses the machine.
    """
    try:
        descriptor = os.open(root / wire.LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return embed.remove_root(root)
    try:
        deadline = time.monotonic() + END_WAIT
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return embed.remove_root(root)
            except BlockingIOError as err:
                if time.monotonic() > deadline:
                    raise FailedError(
                        "another terminal is using this machine",
                        hint="wait until it is done, or stop it with Ctrl-C there",
                    ) from err
            _ask_to_end(root)
            time.sleep(0.1)
    finally:
        os.close(descriptor)


def _ask_to_end(root: Path) -> None:
    connection = wire.connect(root)
    if connection is None:
        return
    with connection:
        connection.settimeout(5)
        line = wire.Line(connection)
        try:
            line.send({"method": "end", "arguments": {}})
            line.receive()
        except (OSError, ValueError):
            return


def _result(answer: Mapping[str, Any]) -> Any:
    if "error" in answer:
        raise wire.error_from_wire(answer["error"])
    return answer.get("result")


def _closed(connection: socket.socket) -> bool:
    """The other side has hung up, so nothing sent from now on would be done."""
    before = connection.gettimeout()
    connection.settimeout(0)
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        connection.settimeout(before)
