"""What watching costs: our CPU seconds per hour and machine, and the delay of a guest's line.

Real machines on a libvirtd of their own, in namespaces; each has a `watch` at a terminal of 80
columns, which records it, as `up` does. The machines run their BIOS and nothing else, so that what
is measured is ours: serial line, byte counters, pictures, agent, drawing.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import select
import signal
import statistics
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from typing import TypeVar

from benchmarks.measure import Row, seconds
from benchmarks.workshop import Workshop
from tests.integration.home import Home, discard, short_folder
from tests.integration.places import HOST, Place, system_daemon
from tests.integration.processes import processes_mentioning
from tests.standin.build import media_paths
from tests.standin.setup.serial_report import frame

T = TypeVar("T")

COUNTS = (1, 10, 50)
WINDOW = 120.0
"""Seconds over which CPU time is taken."""
SETTLE = 10.0
LINES = 9

IDLE = """\
{% extends "shipped/libvirt/domain.xml.j2" %}
{% block os %}
  <os><type arch="x86_64" machine="q35">hvm</type></os>
{% endblock %}
{% block devices %}
    {% for disk in disks %}
    <disk type="file" device="disk"><driver name="qemu" type="qcow2"/>
      <source file="{{ disk.path }}"/><target dev="{{ disk.target }}" bus="{{ disk.bus }}"/></disk>
    {% endfor %}
    {% for drive in drives %}
    <disk type="file" device="cdrom"><driver name="qemu" type="{{ drive.format }}"/>
      {% if drive.path and not drive.base %}<source file="{{ drive.path }}"/>{% endif %}
      <target dev="{{ drive.target }}" bus="{{ drive.bus }}"/><readonly/></disk>
    {% endfor %}
    <serial type="pty"><log file="{{ serial_log }}" append="on"/><target port="0"/></serial>
    <channel type="unix"><target type="virtio" name="org.qemu.guest_agent.0"/></channel>
    <graphics type="vnc" autoport="yes" listen="127.0.0.1"/>
    <video><model type="vga"/></video>
    <memballoon model="none"/>
{% endblock %}
"""
"""The machine without anything it could boot: it halts in its BIOS, with a picture and counters."""


def rows(workshop: Workshop, counts: Sequence[int] = COUNTS) -> Iterator[Row]:
    """The delay, then one row for each number of machines, which only grows; beside a single one an
    embedded one."""
    with ExitStack() as stack:
        home = _home(stack, workshop, stack.enter_context(system_daemon()))
        made = 0
        for count in counts:
            _each(range(made, count), partial(_machine, home))
            made = count
            with _watched(home, count) as watches, ExitStack() as beside:
                if count == counts[0]:
                    yield _delay(home, watches[0])
                groups = {"": [watch.process.pid for watch in watches]}
                if count == 1:
                    groups |= _embedded(beside, workshop)
                yield from _costs(count, groups)
        _delete(home)


def _embedded(stack: ExitStack, workshop: Workshop) -> dict[str, list[int]]:
    """One machine where libvirt runs in our own keeper: its processes, the keeper included."""
    home = _home(stack, workshop, HOST)
    stack.callback(_delete, home)
    _each(range(1), partial(_machine, home))
    (watch,) = stack.enter_context(_watched(home, 1))
    mentioning = processes_mentioning(f"{home.folder}/").items()
    keepers = [pid for pid, line in mentioning if "provisioner.host.keeper" in line]
    return {", libvirt in our own keeper and counted": [watch.process.pid, *keepers]}


def _home(stack: ExitStack, workshop: Workshop, place: Place) -> Home:
    folder = short_folder()
    stack.callback(discard, folder)
    home = Home(folder=folder, media=media_paths(workshop.standin.parent), place=place)
    home.environment["PROVISIONER_STALL_AFTER"] = "0"
    (home.templates / "domain.xml.j2").write_text(IDLE)
    return home


def _costs(count: int, groups: Mapping[str, Sequence[int]]) -> Iterator[Row]:
    """All groups of processes over the same window."""
    time.sleep(SETTLE)
    before = {more: _cpu(pids) for more, pids in groups.items()}
    time.sleep(WINDOW)
    for more, pids in groups.items():
        hourly = (_cpu(pids) - before[more]) * 3600 / WINDOW / count
        yield Row(
            what=f"{count} machine{'s' if count > 1 else ''} watched for {WINDOW:.0f} s{more}",
            ours=f"{hourly:.1f} CPU seconds per hour and machine",
            theirs="",
            wanted="at most 20, screenshots included",
        )


class Watched:
    """A `watch` at a terminal, whose output somebody reads."""

    def __init__(self, home: Home, name: str) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = subprocess.Popen(
            home.argv("watch", name), stdin=slave, stdout=slave, stderr=slave
        )
        os.close(slave)
        self.text = b""
        self.more = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def wait_for(self, words: bytes, *, within: float = 120) -> float:
        """When these words were on the terminal."""
        deadline = time.monotonic() + within
        with self.more:
            while words not in self.text:
                if not self.more.wait(deadline - time.monotonic()):
                    raise RuntimeError(f"{words!r} never came: {self.text[-2000:]!r}")
            return time.monotonic()

    def end(self) -> None:
        """Ends it, and not only what it was started by."""
        for pid in reversed(_family(self.process.pid)):
            os.kill(pid, signal.SIGTERM)
        self.process.wait(30)
        self.reader.join(10)
        os.close(self.master)

    def _read(self) -> None:
        while True:
            select.select([self.master], [], [])
            try:
                data = os.read(self.master, 65536)
            except OSError:
                return
            with self.more:
                self.text = (self.text + data)[-100_000:]
                self.more.notify_all()


def _machine(home: Home, number: int) -> None:
    profile = home.work / f"m{number}.yaml"
    profile.write_text(
        f"extends: windows-11\nname: w{number}\nmedia: {{install: {home.media.install}}}\n"
        f"windows: {{edition: Professional, hardware_checks: bypass, computer_name: W{number},\n"
        "  users: [{name: dev, groups: [Administrators], password: {generate: 20}}]}\n"
        "machine: {cpus: 2, memory: 512 MiB, firmware: uefi, tpm: false, ready: {when: serial}}\n"
    )
    home.run("up", str(profile), "--detach")


def _delete(home: Home) -> None:
    folders = (folder for folder in home.state.iterdir() if (folder / "state.json").exists())
    names = [folder.name for folder in folders]
    _each(names, lambda name: home.run("delete", name, "--yes"))


def _each(items: Iterable[T], act: Callable[[T], object]) -> None:
    """A few at a time, and without what a test would show when it fails."""
    with redirect_stdout(io.StringIO()), ThreadPoolExecutor(4) as pool:
        list(pool.map(act, items))


@contextmanager
def _watched(home: Home, count: int) -> Iterator[Sequence[Watched]]:
    watches = [Watched(home, f"w{number}") for number in range(count)]
    try:
        for watch in watches:
            watch.wait_for(b"recording it here")
        yield watches
    finally:
        for watch in watches:
            watch.end()


def _delay(home: Home, watch: Watched) -> Row:
    """From a line in the serial log to the terminal."""
    taken = []
    for number in range(LINES):
        line = frame(number + 1, {"event": "warning", "message": f"line {number}."})
        with (home.state / "w0" / "serial.log").open("ab") as log:
            log.write(f"{line}\r\n".encode())
        begun = time.monotonic()
        taken.append(watch.wait_for(f"line {number}.".encode()) - begun)
        time.sleep(0.37)
    return Row(
        what=f"a guest's line on the screen, median of {LINES}",
        ours=f"{seconds(statistics.median(taken))}, at most {seconds(max(taken))}",
        theirs="",
        wanted="at most 0.5 s",
    )


def _cpu(pids: Sequence[int]) -> float:
    """CPU seconds of the processes so far, and of what they started."""
    ticks = 0
    for first in pids:
        for pid in _family(first):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _family(pid: int) -> list[int]:
    """A process and everything it started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in _family(int(child)))]
