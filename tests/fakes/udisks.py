"""udisks, played by a service on a private bus: it answers as its D-Bus reference says."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jeepney import MessageFlag, MessageType, new_error, new_method_return
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import open_dbus_connection

NAME = "org.freedesktop.UDisks2"
LOOP = "/org/freedesktop/UDisks2/block_devices/loop7"


class Service:
    """Plays udisks for one stick, a file, and for images. `fails` gives a method an error: name and
    words, as often as `times` says; `folder` is where everything is mounted."""

    def __init__(self, address: str, file: Path) -> None:
        self.file = file
        self.folder = file.parent
        self.images: list[str] = []
        self.fails: dict[str, tuple[str, str]] = {}
        self.times: dict[str, int] = {}
        self.calls: list[tuple[str, str, tuple[Any, ...]]] = []
        self.interactive: list[bool] = []
        self._connection = open_dbus_connection(address, enable_fds=True)
        self._connection.send_and_get_reply(message_bus.RequestName(NAME))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._connection.close()

    def _serve(self) -> None:
        while True:
            try:
                message = self._connection.receive()
            except (OSError, EOFError):
                return
            if message.header.message_type is not MessageType.method_call:
                continue
            fields = {field.name: value for field, value in message.header.fields.items()}
            member = fields["member"]
            self.calls.append((fields["path"], f"{fields['interface']}.{member}", message.body))
            self.interactive.append(
                bool(message.header.flags & MessageFlag.allow_interactive_authorization)
            )
            if member in self.fails and self.times.get(member, 1):
                if member in self.times:
                    self.times[member] -= 1
                name, words = self.fails[member]
                self._connection.send(new_error(message, name, "s", (words,)))
            elif member == "ResolveDevice":
                node = message.body[0]["path"][1]
                paths = [f"/org/freedesktop/UDisks2/block_devices/{Path(node).name}"]
                found = paths if "sdc" in node or "loop" in node else []
                self._connection.send(new_method_return(message, "ao", (found,)))
            elif member == "OpenDevice":
                write = message.body[0] == "rw"
                opened = os.open(self.file, os.O_RDWR if write else os.O_RDONLY)
                self._connection.send(new_method_return(message, "h", (opened,)))
                os.close(opened)
            elif member == "LoopSetup":
                with message.body[0].to_file("rb") as image:
                    self.images.append(str(Path(f"/proc/self/fd/{image.fileno()}").readlink()))
                self._connection.send(new_method_return(message, "o", (LOOP,)))
            elif member == "Mount":
                self._connection.send(new_method_return(message, "s", (str(self.folder),)))
            else:
                self._connection.send(new_method_return(message))

    def methods(self) -> list[str]:
        """What was called, in order."""
        return [method.removeprefix(f"{NAME}.") for _, method, _ in self.calls]


@contextmanager
def private_bus(tmp_path: Path) -> Iterator[str]:
    """A bus of our own; its address."""
    config = tmp_path / "bus.conf"
    config.write_text(
        "<!DOCTYPE busconfig PUBLIC '-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN' "
        "'http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd'><busconfig>"
        f"<listen>unix:path={tmp_path}/bus</listen><auth>EXTERNAL</auth>"
        "<policy context='default'><allow send_destination='*' eavesdrop='true'/>"
        "<allow eavesdrop='true'/><allow own='*'/></policy></busconfig>"
    )
    daemon = subprocess.Popen(
        ["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert daemon.stdout is not None
    yield daemon.stdout.readline().strip()
    daemon.terminate()
    daemon.wait()
    daemon.stdout.close()
