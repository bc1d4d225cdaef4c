"""A person's terminal joined to a serial port: two pseudo-terminals, and what passes between."""

from __future__ import annotations

import os
import pty
import select
import termios
import threading
import tty
from pathlib import Path

import pytest

from provisioner.errors import HostError
from provisioner.host.terminal import DETACH, attach, openable


def take(descriptor: int, length: int) -> bytes:
    """That many bytes, which have to come within seconds."""
    data = b""
    while len(data) < length:
        assert select.select([descriptor], [], [], 10)[0], data
        data += os.read(descriptor, length - len(data))
    return data


class Person:
    """Someone at a terminal that is attached to a port in a thread."""

    def __init__(self, device: Path) -> None:
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.ended: list[bool] = []
        self.thread = threading.Thread(target=self._attach, args=(device,))
        self.thread.start()

    def _attach(self, device: Path) -> None:
        self.ended.append(attach(device, keyboard=self.slave, screen=self.slave))

    def leave(self) -> bool:
        """Whether it ended by the detach key; its terminal is as it was."""
        self.thread.join(10)
        assert not self.thread.is_alive()
        assert termios.tcgetattr(self.slave) == self.before
        os.close(self.master)
        os.close(self.slave)
        return self.ended[0]


def port() -> tuple[int, Path]:
    """A guest's end, raw as QEMU makes it, and the device for people."""

    master, slave = pty.openpty()
    tty.setraw(slave)
    device = Path(os.ttyname(slave))
    os.close(slave)
    return master, device


def test_both_ways_until_the_key() -> None:
    guest, device = port()
    assert openable(str(device))
    person = Person(device)
    os.write(guest, b"login: \x1b[1m")
    assert take(person.master, 11) == b"login: \x1b[1m"
    os.write(person.master, b"root\r\x03")
    assert take(guest, 6) == b"root\r\x03", "Ctrl-C is the guest's"
    os.write(person.master, b"x" + DETACH + b"never sent")
    assert take(guest, 1) == b"x"
    assert person.leave() is True
    os.close(guest)


def test_a_machine_that_is_turned_off() -> None:
    guest, device = port()
    person = Person(device)
    os.write(guest, b"bye")
    assert take(person.master, 3) == b"bye"
    os.close(guest)
    assert person.leave() is False


def test_a_port_that_cannot_be_opened(tmp_path: Path) -> None:
    assert not openable(None)
    assert not openable(str(tmp_path / "gone"))
    with pytest.raises(HostError, match="cannot open the serial port") as caught:
        attach(tmp_path / "gone", keyboard=0, screen=1)
    assert "--read-only" in (caught.value.hint or "")
