"""QEMU's guest agent, command by command: programs, files, passwords. Trusts no answer.

Protocol: QEMU, docs/interop/qemu-ga-ref. On Windows the agent is LocalSystem.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from provisioner.errors import GuestError
from provisioner.frozen import frozen
from provisioner.ports import Clock, Hypervisor

ANSWER_TIMEOUT = 10.0
"""Seconds for one answer; only a program of the guest may take longer."""
POLL = 0.2
BLOCK = 48 * 1024
"""Bytes asked for at once; libvirt takes answers of a few MiB."""
LARGEST_OUTPUT = 1024 * 1024
"""Characters of base64 that are looked at; a guest may send more."""


@frozen
class Ended:
    """A program of the guest that came to its end."""

    exit_code: int
    output: bytes
    errors: bytes


@frozen
class Agent:
    """The agent of one running domain. Every method raises GuestError where it does not help."""

    hypervisor: Hypervisor
    clock: Clock
    name: str

    def run(self, program: str, arguments: Sequence[str], *, timeout: float = 60.0) -> Ended:
        """Runs a program and waits for its end."""
        started = self._ask(
            "guest-exec",
            {"path": program, "arg": list(arguments), "capture-output": True},
        )
        process = _member(started, "pid", int, "guest-exec")
        deadline = self.clock.monotonic() + timeout
        while True:
            status = self._ask("guest-exec-status", {"pid": process})
            if _member(status, "exited", bool, "guest-exec-status"):
                break
            if self.clock.monotonic() > deadline:
                raise GuestError(f"{program} did not end within {timeout:.0f} s in {self.name}")
            self.clock.sleep(POLL)
        if "exitcode" not in status:
            raise GuestError(f"{program} was ended by a signal in {self.name}")
        return Ended(
            exit_code=_member(status, "exitcode", int, "guest-exec-status"),
            output=_bytes(status.get("out-data", "")),
            errors=_bytes(status.get("err-data", "")),
        )

    def read_file(self, path: str, *, most: int) -> bytes:
        """The beginning of a file, at most `most` bytes."""
        handle = self._ask("guest-file-open", {"path": path, "mode": "rb"})
        if not isinstance(handle, int) or isinstance(handle, bool):
            raise _nonsense("guest-file-open")
        found = b""
        try:
            while len(found) < most:
                count = min(BLOCK, most - len(found))
                answer = self._ask("guest-file-read", {"handle": handle, "count": count})
                block = _bytes(answer.get("buf-b64", "")) if isinstance(answer, Mapping) else b""
                found += block[:count]
                if not block or answer.get("eof") is True:
                    break
        finally:
            self._ask("guest-file-close", {"handle": handle})
        return found

    def set_password(self, user: str, password: str) -> None:
        """Gives a user another password. The password is in no message."""
        encoded = base64.b64encode(password.encode()).decode("ascii")
        self._ask(
            "guest-set-user-password", {"username": user, "password": encoded, "crypted": False}
        )

    def _ask(self, verb: str, arguments: Mapping[str, Any]) -> Any:
        command = {"execute": verb, "arguments": dict(arguments)}
        return self.hypervisor.agent(self.name, command, timeout=ANSWER_TIMEOUT)


def _member(answer: Any, name: str, kind: type, verb: str) -> Any:
    value = answer.get(name) if isinstance(answer, Mapping) else None
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise _nonsense(verb)
    return value


def _bytes(text: Any) -> bytes:
    if not isinstance(text, str):
        return b""
    try:
        return base64.b64decode(text[:LARGEST_OUTPUT], validate=True)
    except (binascii.Error, ValueError):
        return b""


def _nonsense(verb: str) -> GuestError:
    return GuestError(f"the guest agent gave no sensible answer to {verb}")
