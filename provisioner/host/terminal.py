"""Joins a person's terminal to a guest's serial port, as `virsh console` does."""

from __future__ import annotations

import errno
import os
import select
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from provisioner.errors import HostError

DETACH = b"\x1d"
"""Ctrl-], as in telnet and `virsh console`."""

PIECE = 4096


def openable(device: str | None) -> bool:
    """Whether we may speak through this device: QEMU may run as somebody else."""
    return device is not None and os.access(device, os.R_OK | os.W_OK)


def attach(device: Path, *, keyboard: int, screen: int) -> bool:
    """Passes bytes both ways until the detach key is pressed (True) or the machine is off (False).

    `keyboard` is the descriptor of a terminal; its mode is put back at the end.
    """
    try:
        port = os.open(device, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as err:
        raise HostError(
            f"cannot open the serial port {device}: {err.strerror}",
            hint="`provisioner console --read-only` reads its log",
        ) from err
    try:
        with _raw(keyboard):
            return _pass_on(port, keyboard=keyboard, screen=screen)
    finally:
        os.close(port)


def _pass_on(port: int, *, keyboard: int, screen: int) -> bool:
    while True:
        readable, _, _ = select.select([keyboard, port], [], [])
        if port in readable:
            try:
                data = os.read(port, PIECE)
            except OSError as err:
                if err.errno == errno.EIO:  # the other end of the pseudo-terminal is closed
                    return False
                raise
            if not data:
                return False
            _write(screen, data)
        if keyboard in readable:
            typed = os.read(keyboard, PIECE)
            before, detach, _ = typed.partition(DETACH)
            if before:
                _write(port, before)
            if detach or not typed:
                return True


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


@contextmanager
def _raw(terminal: int) -> Iterator[None]:
    before = termios.tcgetattr(terminal)
    try:
        tty.setraw(terminal, termios.TCSANOW)  # what was typed ahead is not thrown away
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
