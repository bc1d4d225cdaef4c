"""The elevated helper: `python -m provisioner.usb.helper`, started by sudo or pkexec.

It opens one stick, reads and writes it, and nothing else. Requests are lines of JSON on its
standard input (a `write` is followed by so many bytes), answers lines of JSON on its standard
output (a `read` likewise). It believes nobody: before it opens the stick it looks at the machine
itself and goes through all gates, on its own descriptor too.
"""

from __future__ import annotations

import errno
import json
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from provisioner.errors import FailedError, ProvisionerError, RefusedError
from provisioner.host.disk import BLOCK
from provisioner.usb.device import Device
from provisioner.usb.devices import Chosen
from provisioner.usb.gates import GateError, Request
from provisioner.usb.machine import Machine
from provisioner.usb.opened import open_checked

LINE = 64 * 1024
"""Longest request."""


def serve(requests: BinaryIO, answers: BinaryIO, machine: Machine) -> None:
    """Answers until the other side goes away; then the stick is closed."""
    server = _Server(requests, machine)
    try:
        while line := requests.readline(LINE):
            payload = b""
            try:
                found = server.answer(json.loads(line))
                if isinstance(found, bytes):
                    payload, found = found, {"length": len(found)}
                answer: dict[str, Any] = {"ok": found}
            except (OSError, ProvisionerError) as err:
                answer = {"error": _told(err)}
            except (ValueError, KeyError, TypeError) as err:
                answer = {"error": _told(FailedError(f"not a request: {err}"))}
            answers.write(json.dumps(answer).encode() + b"\n" + payload)
            answers.flush()
    finally:
        server.close()


class _Server:
    def __init__(self, requests: BinaryIO, machine: Machine) -> None:
        self._requests = requests
        self._machine = machine
        self._device: Device | None = None
        self._sector = 512

    def answer(self, request: dict[str, Any]) -> Any:
        """What a request comes to; bytes are sent after the line."""
        match request["op"]:
            case "open":
                return self._open(request)
            case "identity":
                return _identity(self._opened())
            case "read":
                return self._opened().read(*_span(request))
            case "digest":
                return self._opened().digest(*_span(request)).hex()
            case "write":
                offset, length = _span(request)
                data = self._requests.read(length)
                if len(data) != length:
                    raise OSError(errno.EPIPE, "the bytes to write did not come")
                return self._opened().write(offset, data)
            case "flush":
                return self._opened().flush()
            case "forget":
                return self._opened().forget()
            case "reread":
                return self._opened().reread_table()
            case "close":
                return self.close()
            case other:
                raise ValueError(f"no such request: {other!r}")

    def _open(self, request: dict[str, Any]) -> None:
        if self._device is not None:
            raise FailedError("a stick is open already")
        wanted = request["chosen"]
        meant = Chosen(
            node=str(wanted["node"]),
            name=str(wanted["name"]),
            number=str(wanted["number"]),
            serial=str(wanted["serial"]),
            size=int(wanted["size"]),
            diskseq=None if wanted["diskseq"] is None else int(wanted["diskseq"]),
        )
        terms = request["request"]
        size = terms["confirmed_size"]
        asked = Request(
            needed=None if terms["needed"] is None else int(terms["needed"]),
            sources=tuple(Path(str(source)) for source in terms["sources"]),
            unmount=bool(terms["unmount"]),
            fixed=bool(terms["fixed"]),
            confirmed_size=None if size is None else int(size),
            reading=bool(terms["reading"]),
        )
        disk = self._machine.disk_of_number(meant.number)
        if disk is None or disk.node != meant.node:
            raise GateError(
                f"{meant.node} is not the disk that was chosen: it is gone",
                rule="usb.swapped",
                hint="look at `provisioner usb list` again",
            )
        self._device = open_checked(self._machine, disk, meant, asked)

    def _opened(self) -> Device:
        if self._device is None:
            raise FailedError("no stick is open")
        return self._device

    def close(self) -> None:
        """Gives the stick up."""
        if self._device is not None:
            self._device.close()
            self._device = None


def _span(request: dict[str, Any]) -> tuple[int, int]:
    offset, length = int(request["offset"]), int(request["length"])
    if offset < 0 or not 0 < length <= BLOCK or offset % 512 or length % 512:
        raise ValueError("a run of bytes that makes no sense")
    return offset, length


def _identity(device: Device) -> dict[str, object]:
    found = device.identity()
    return {
        "number": found.number,
        "diskseq": found.diskseq,
        "size": found.size,
        "sector": found.sector,
        "read_only": found.read_only,
    }


def _told(err: OSError | ProvisionerError) -> dict[str, object]:
    if isinstance(err, OSError):
        return {"errno": err.errno or errno.EIO, "message": err.strerror or str(err)}
    return {
        "refused": isinstance(err, RefusedError),
        "rule": getattr(err, "rule", ""),
        "message": err.message,
        "hint": err.hint,
    }


def main(machine: Machine) -> None:
    """On the standard streams, for whoever started it."""
    # Ctrl-C in the terminal goes to the whole group, and so does its end; who decides what they
    # mean is the other side, and when that is gone the requests end.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    with suppress(BrokenPipeError):  # nobody is there to hear the last answer
        serve(sys.stdin.buffer, sys.stdout.buffer, machine)


if __name__ == "__main__":
    from provisioner.usb.local import LocalMachine

    main(LocalMachine(elevate=()))
