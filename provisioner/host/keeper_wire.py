"""What keeper and clients say to each other: one JSON object per line over a UNIX socket.

Request: `{"method": name, "arguments": {...}}`. Answer: `{"result": ...}`, or `{"error":
{"kind": class, "message": ..., "hint": ...}}`. A connection carries one request at a time.
"""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from provisioner import errors
from provisioner.errors import FailedError, ProvisionerError
from provisioner.host.files import os_error
from provisioner.ports import (
    Accelerator,
    BlockCounters,
    DomainRecord,
    DomainState,
    Drive,
    HostFacts,
    Medium,
    Mode,
    Ownership,
    Picture,
    Storage,
)

LOCK = "keeper.lock"
SOCKET = "keeper.sock"
LOG = "keeper.log"

LONGEST_LINE = 64 * 1024 * 1024
"""A screenshot in base64 is the longest answer by far."""


def connect(root: Path) -> socket.socket | None:
    """A connection to the keeper of this root; None where nobody listens."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(root / SOCKET))
    except (FileNotFoundError, ConnectionRefusedError, ConnectionResetError):
        connection.close()
        return None
    except OSError as err:
        connection.close()
        raise os_error(err, f"reach the process that holds {root}") from err
    return connection


def answers(root: Path) -> bool:
    """Whether a keeper listens."""
    connection = connect(root)
    if connection is None:
        return False
    connection.close()
    return True


class Line:
    """Sends and receives whole lines on one socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = bytearray()

    def send(self, message: Mapping[str, Any]) -> None:
        self._connection.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> dict[str, Any] | None:
        """The next message; None where the other side has closed. ValueError for anything else."""
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > LONGEST_LINE:
                raise ValueError("the line is too long")
            data = self._connection.recv(1 << 16)
            if not data:
                return None
            self._buffer += data
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        message = json.loads(line)
        if not isinstance(message, dict):
            raise ValueError("not an object")
        return message


def error_to_wire(err: ProvisionerError) -> dict[str, Any]:
    return {"kind": type(err).__name__, "message": err.message, "hint": err.hint}


def error_from_wire(members: Mapping[str, Any]) -> ProvisionerError:
    kind = getattr(errors, str(members.get("kind")), FailedError)
    if not (isinstance(kind, type) and issubclass(kind, ProvisionerError)):
        kind = FailedError
    error: ProvisionerError = kind(str(members.get("message")), hint=members.get("hint"))
    return error


def medium_to_wire(medium: Medium | None) -> dict[str, str] | None:
    return asdict(medium) if medium is not None else None


def medium_from_wire(members: Mapping[str, str] | None) -> Medium | None:
    return Medium(**members) if members is not None else None


def record_from_wire(members: Mapping[str, Any]) -> DomainRecord:
    owner = members["ownership"]
    return DomainRecord(
        name=members["name"],
        uuid=members["uuid"],
        state=DomainState(members["state"]),
        ownership=Ownership(**owner) if owner is not None else None,
    )


def drive_from_wire(members: Mapping[str, Any]) -> Drive:
    return Drive(target=members["target"], medium=medium_from_wire(members["medium"]))


def counters_from_wire(members: Mapping[str, int]) -> BlockCounters:
    return BlockCounters(**members)


def picture_to_wire(picture: Picture) -> dict[str, str]:
    return {
        "media_type": picture.media_type,
        "data": base64.b64encode(picture.data).decode("ascii"),
    }


def picture_from_wire(members: Mapping[str, str]) -> Picture:
    return Picture(media_type=members["media_type"], data=base64.b64decode(members["data"]))


def facts_to_wire(facts: HostFacts) -> dict[str, Any]:
    """Sets become sorted lists; the rest is what JSON has."""
    sets = ("firmwares", "disk_buses", "networks", "cpu_features")
    return {**asdict(facts), **{name: sorted(getattr(facts, name)) for name in sets}}


def facts_from_wire(members: Mapping[str, Any]) -> HostFacts:
    """What `facts_to_wire` made, as facts again."""
    user = members["qemu_user"]
    return HostFacts(
        uri=members["uri"],
        mode=Mode(members["mode"]),
        libvirt_version=_three(members["libvirt_version"]),
        qemu_version=_three(members["qemu_version"]),
        accelerator=Accelerator(**members["accelerator"]),
        firmwares=frozenset(members["firmwares"]),
        tpm=members["tpm"],
        tpm_reason=members["tpm_reason"],
        disk_buses=frozenset(members["disk_buses"]),
        networks=frozenset(members["networks"]),
        network_driver=members["network_driver"],
        storage=Storage(**members["storage"]),
        qemu_user=(user[0], user[1]) if user is not None else None,
        cpus=members["cpus"],
        cpu_features=frozenset(members["cpu_features"]),
        memory_bytes=members["memory_bytes"],
    )


def _three(numbers: list[int]) -> tuple[int, int, int]:
    return numbers[0], numbers[1], numbers[2]
