"""The one process that opens an embed root, and serves its `ports.Hypervisor` calls to others.

libvirt allows one root per process and one process per root (`docs/facts/libvirt.md` §3.4); guests
survive either end. Started by `keeper_client`, it ends when its last client has been gone for a
while or its root is deleted. Killing it harms nothing: the next client starts another.

    python -m provisioner.host.keeper ROOT CACHE
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from provisioner import __version__
from provisioner.errors import FailedError, HostError, ProvisionerError
from provisioner.host import keeper_wire as wire
from provisioner.host.embed import keep_capabilities, prepare_root
from provisioner.host.libvirt import LibvirtHypervisor
from provisioner.ports import Accelerator, Mode

LINGER = 3.0
"""Seconds without a client before the keeper ends; a new one costs about half a second."""

LOCK_WAIT = 30.0
"""How long a new keeper waits for one that is ending."""

TICK = 0.25

CHANGING = {"define", "rename", "undefine", "start", "shutdown", "destroy", "change_medium"}
"""Done one after the other: what a client asked for before it was killed is completed before the
next one, who cleans up after it, changes anything."""

Answers = Mapping[str, Callable[[Mapping[str, Any]], Any]]


def answers(hypervisor: LibvirtHypervisor) -> Answers:
    """Every method that can be asked for, arguments and results as JSON."""

    def domain(a: Mapping[str, Any]) -> dict[str, Any] | None:
        record = hypervisor.domain(a["name"])
        return asdict(record) if record is not None else None

    return {
        "facts": lambda a: wire.facts_to_wire(
            hypervisor.facts_with(Accelerator(**a["accelerator"]))
        ),
        "domains": lambda a: [asdict(record) for record in hypervisor.domains()],
        "domain": domain,
        "domain_xml": lambda a: hypervisor.domain_xml(a["name"]),
        "define": lambda a: hypervisor.define(a["xml"]),
        "rename": lambda a: hypervisor.rename(a["name"], a["new_name"]),
        "undefine": lambda a: hypervisor.undefine(a["name"]),
        "start": lambda a: hypervisor.start(a["name"]),
        "shutdown": lambda a: hypervisor.shutdown(a["name"]),
        "destroy": lambda a: hypervisor.destroy(a["name"]),
        "drives": lambda a: [asdict(drive) for drive in hypervisor.drives(a["name"])],
        "change_medium": lambda a: hypervisor.change_medium(
            a["name"], a["target"], wire.medium_from_wire(a["medium"]), force=a["force"]
        ),
        "send_keys": lambda a: hypervisor.send_keys(a["name"], a["keys"]),
        "screenshot": lambda a: wire.picture_to_wire(hypervisor.screenshot(a["name"])),
        "block_counters": lambda a: asdict(hypervisor.block_counters(a["name"], a["target"])),
        "restarts": lambda a: hypervisor.restarts(a["name"]),
        "agent": lambda a: hypervisor.agent(a["name"], a["command"], timeout=a["timeout"]),
        "addresses": lambda a: list(hypervisor.addresses(a["name"])),
        "serial_port": lambda a: hypervisor.serial_port(a["name"]),
        "display": lambda a: hypervisor.display(a["name"]),
    }


class Keeper:
    """Serves one root, whose lock (`descriptor`) this process holds."""

    def __init__(self, root: Path, cache: Path | None, descriptor: int) -> None:
        self._root = root
        self._cache = cache
        self._lock_file = descriptor
        self._guard = threading.Lock()
        self._changes = threading.Lock()
        self._clients = 0
        self._last_seen = time.monotonic()
        self._ending = False
        self._broken = False
        self._hypervisor: LibvirtHypervisor | None = None
        self._answers: Answers = {}

    def serve(self) -> None:
        """Until nobody needs it any more."""
        path = self._root / wire.SOCKET
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            path.unlink(missing_ok=True)  # of a keeper that was killed: its lock is ours now
            before = os.umask(0o177)
            try:
                listener.bind(str(path))
            finally:
                os.umask(before)
            listener.listen(16)
            listener.settimeout(TICK)
            while not self._over():
                self._accept(listener)
            path.unlink(missing_ok=True)
            # Whoever connected before the name was gone is in the queue: still serve it.
            listener.settimeout(0)
            while self._accept(listener):
                pass
        while self._busy():
            time.sleep(TICK)

    def _accept(self, listener: socket.socket) -> bool:
        try:
            connection, _address = listener.accept()
        except (TimeoutError, BlockingIOError):
            return False
        with self._guard:
            self._clients += 1
        threading.Thread(target=self._talk, args=(connection,), daemon=True).start()
        return True

    def _over(self) -> bool:
        if not self._holds_root():
            return True
        with self._guard:
            if self._ending or self._broken:
                return True
            if self._clients:
                self._last_seen = time.monotonic()
                return False
            return time.monotonic() - self._last_seen > LINGER

    def _busy(self) -> bool:
        """Clients that are left when the root was deleted wait for nothing."""
        with self._guard:
            return self._clients > 0 and self._holds_root() and not self._broken

    def _holds_root(self) -> bool:
        return same_file(self._root / wire.LOCK, self._lock_file)

    def _talk(self, connection: socket.socket) -> None:
        try:
            # Whatever a broken client does ends its own connection and nothing else.
            with connection, contextlib.suppress(OSError, ValueError):
                line = wire.Line(connection)
                while not self._broken and (request := line.receive()) is not None:
                    line.send(self._answer(request))
        finally:
            with self._guard:
                self._clients -= 1
                self._last_seen = time.monotonic()

    def _answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        method = str(request.get("method"))
        arguments = request.get("arguments", {})
        try:
            match method:
                case "hello":
                    return {"result": _greet(arguments)}
                case "end":
                    with self._guard:
                        self._ending = self._ending or self._clients == 1
                    return {"result": self._ending}
                case _:
                    known = self._open()
                    if method not in known:
                        raise FailedError(f"the keeper does not know the method {method}")
                    with self._changes if method in CHANGING else contextlib.nullcontext():
                        result = known[method](arguments)
                    if method in ("facts", "define") and self._cache is not None:
                        keep_capabilities(self._root, self._cache)
                    return {"result": result}
        except ProvisionerError as err:
            return {"error": wire.error_to_wire(err)}
        except (KeyError, TypeError) as err:
            return {"error": wire.error_to_wire(FailedError(f"bad request {method}: {err!r}"))}

    def _open(self) -> Answers:
        """Opens the root when first needed, so that a failure reaches the client that asked.

        After a failure libvirt 9.0 opens nothing more in this process ("qemu state driver is not
        active"), so the keeper ends and the next request is for another.
        """
        with self._guard:
            if self._hypervisor is None:
                try:
                    self._hypervisor = LibvirtHypervisor(
                        f"qemu:///embed?root={self._root}",
                        mode=Mode.EMBED,
                        machine="-",
                        folder=self._root,
                        probe=lambda: Accelerator(kvm=False, reason="not looked at"),
                    )
                except ProvisionerError:
                    self._broken = True
                    raise
                self._answers = answers(self._hypervisor)
        return self._answers


def same_file(path: Path, descriptor: int) -> bool:
    """Whether the name still stands for the file that was opened."""
    mine = os.fstat(descriptor)
    try:
        there = path.stat()
    except OSError:
        return False
    return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)


def keep(root: Path, cache: Path | None) -> None:
    """Waits for the root's lock and serves; returns at once when another keeper answers."""
    prepare_root(root, uid=os.getuid(), cache=cache)
    descriptor = os.open(root / wire.LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + LOCK_WAIT
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if wire.answers(root) or time.monotonic() > deadline:
                return
            time.sleep(0.05)
    if same_file(root / wire.LOCK, descriptor):
        Keeper(root, cache, descriptor).serve()


def main(argv: list[str]) -> NoReturn:
    """Goes to the background as soon as it can: whoever starts it need not wait for its end."""
    root = Path(argv[0])
    cache = Path(argv[1]) if len(argv) > 1 else None
    prepare_root(root, uid=os.getuid(), cache=None)
    if os.fork():
        os._exit(0)  # somebody waits for it
    os.setsid()
    log = os.open(root / wire.LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.chdir("/")
    code = 0
    try:
        keep(root, cache)
    except (ProvisionerError, OSError) as err:
        print(f"keeper: {err}", file=sys.stderr, flush=True)
        code = 3
    # The connection is not closed: libvirt, while it still finds its running guests again after
    # an opening, kills the one it is just looking at when the connection is closed (measured:
    # "shutting down, reason=daemon"). Guests survive the sudden end of their driver's process.
    os._exit(code)


def _greet(arguments: Mapping[str, Any]) -> str:
    if arguments.get("version") != __version__:
        raise HostError(
            f"this machine is in use by provisioner {__version__} in another terminal",
            hint="wait until that one is done",
        )
    return __version__


if __name__ == "__main__":
    main(sys.argv[1:])
