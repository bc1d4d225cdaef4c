"""The other end of the elevated helper: a `Device` whose bytes go through two pipes."""

from __future__ import annotations

import errno
import json
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import IO, Any

from provisioner.errors import FailedError, HostError, ProvisionerError, RefusedError
from provisioner.host.disk import BLOCK, Identity
from provisioner.usb.devices import Chosen
from provisioner.usb.gates import GateError, Request


class HelperDevice:
    """A disk that another process has open. One request at a time; OSError as it came there."""

    def __init__(self, argv: Sequence[str], chosen: Chosen, request: Request) -> None:
        self._lock = threading.Lock()
        try:
            self._process = subprocess.Popen(
                list(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        except OSError as err:
            raise HostError(f"cannot run {argv[0]}: {err.strerror}") from err
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to: IO[bytes] = self._process.stdin
        self._from: IO[bytes] = self._process.stdout
        try:
            terms = {**asdict(request), "sources": [str(source) for source in request.sources]}
            self._ask({"op": "open", "chosen": asdict(chosen), "request": terms})
        except OSError as err:
            self.close()
            if err.errno == errno.EPIPE:
                raise HostError(
                    f"{argv[0]} did not start the helper that writes the stick",
                    hint="give the password it asks for, install udisks2, or run this as root",
                ) from err
            raise
        except BaseException:
            self.close()
            raise

    def identity(self) -> Identity:
        """As the helper's descriptor says it."""
        return Identity(**self._ask({"op": "identity"}))

    def read(self, offset: int, length: int) -> bytes:
        """In pieces that the helper takes."""
        parts = []
        while length > 0:
            count = min(length, BLOCK)
            part = self._ask({"op": "read", "offset": offset, "length": count}, answers=True)
            parts.append(part)
            offset += count
            length -= count
            if len(part) < count:
                break
        return b"".join(parts)

    def digest(self, offset: int, length: int) -> bytes:
        """Taken where the bytes are."""
        return bytes.fromhex(self._ask({"op": "digest", "offset": offset, "length": length}))

    def write(self, offset: int, data: bytes | memoryview) -> int:
        """At most a block."""
        data = memoryview(data)[:BLOCK]
        request = {"op": "write", "offset": offset, "length": len(data)}
        return int(self._ask(request, payload=data))

    def flush(self) -> None:
        """Waits for the stick."""
        self._ask({"op": "flush"})

    def forget(self) -> None:
        """As root, so that it really happens."""
        self._ask({"op": "forget"})

    def reread_table(self) -> None:
        """As root."""
        self._ask({"op": "reread"})

    def close(self) -> None:
        """The helper ends when nobody talks to it any more."""
        with suppress(OSError):  # it is gone already
            self._to.close()
        self._from.close()
        self._process.wait()

    def _ask(
        self,
        request: dict[str, object],
        payload: memoryview | None = None,
        *,
        answers: bool = False,
    ) -> Any:
        with self._lock:
            try:
                self._to.write(json.dumps(request).encode() + b"\n")
                if payload is not None:
                    self._to.write(payload)
                self._to.flush()
            except OSError as err:
                raise OSError(errno.EPIPE, "the helper is gone") from err
            line = self._from.readline()
            if not line.endswith(b"\n"):
                raise OSError(errno.EPIPE, "the helper is gone")
            answer = json.loads(line)
            if "error" in answer:
                raise _raised(answer["error"])
            return self._from.read(answer["ok"]["length"]) if answers else answer["ok"]


def _raised(error: dict[str, Any]) -> Exception:
    if "errno" in error:
        return OSError(error["errno"], error["message"])
    message, hint = error["message"], error["hint"]
    if error["rule"]:
        return GateError(message, rule=error["rule"], hint=hint)
    kind: type[ProvisionerError] = RefusedError if error["refused"] else FailedError
    return kind(message, hint=hint)
