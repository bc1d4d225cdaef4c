"""The serial line as a hostile guest may write it, into everything that hears it."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from provisioner.cli.layout import cells, wrapped
from provisioner.cli.story import Story
from provisioner.guest.listener import KEPT_FRAMES, KEPT_LINES, Listener
from provisioner.guest.protocol import encode
from provisioner.run.recorder import Recorder
from provisioner.run.watching import Watch
from provisioner.run.world import World
from provisioner.store.machine import MachineStore
from provisioner.store.timings import lesson
from tests.fakes.clock import FakeClock
from tests.fakes.console import RecordingConsole
from tests.fakes.handshakes import FakeHandshakes
from tests.fakes.hypervisor import FakeHypervisor
from tests.fakes.secrets import FakeSecretStore
from tests.fakes.serial import FakeSerialLog

SEEDS = [
    (
        b'BdsDxe: starting Boot0001 "UEFI QEMU DVD-ROM QM00003 " from PciRoot(0x0)\r\n'
        b"\x1b[2J\x1b[01;01HPress any key to boot from CD or DVD...\r\n"
        + encode(1, {"event": "stage", "stage": "setup"})
        + encode(2, {"event": "detail", "stage": "answers", "path": "E:\\Autounattend.xml"})
        + b"VBLK noise\r"
        + encode(3, {"event": "progress", "stage": "image", "done": 5, "total": 100})
        + encode(4, {"event": "failed", "stage": "image", "message": "no"})
    ),
    (
        b'{"event":"stage","stage":"image"}\n'
        b'{"event":"step","name":"a","state":"start","timeout":9}\n'
        b'{"event":"step","name":"a","state":"end","exit_code":0,"attempt":2}\n'
        b'{"event":"detail","disks":[{"disk_id":0,"bus":"sata","size_mib":65536}],"drivers":["a.inf"]}\n'
        b'{"event":"progress","done":1,"total":2,"rate":3}\n{"event":"output","step":"a","text":"x"}\n'
        b'{"event":"warning","message":"w"}\n{"event":"ready"}\n'
    ),
]


def hear(data: bytes) -> None:
    """The bytes as they are, and then each line of them as the payload of a sound frame."""
    log = FakeSerialLog()
    listener = Listener(log)
    for start in range(0, len(data), 1000):
        log.write(data[start : start + 1000])
        listener.hear()
    heard = listener.heard
    assert len(heard.frames) <= KEPT_FRAMES and len(heard.last_lines) <= KEPT_LINES
    lines = data.split(b"\n")[:200]
    _watch(b"".join(_signed(number, line) for number, line in enumerate(lines, start=1)))


def _signed(number: int, body: bytes) -> bytes:
    crc = zlib.crc32(b"%d %s" % (number, body))
    return b"PROVISIONER/1 %d %08x %s\n" % (number, crc, body)


def _watch(data: bytes) -> None:
    """Through the watcher into the record, and from there onto terminals."""
    store = MachineStore(_folder())
    store.forget_story()
    log, clock = FakeSerialLog(), FakeClock()
    world = World(
        hypervisor=FakeHypervisor(clock=clock),
        clock=clock,
        secrets=FakeSecretStore(),
        serial=log,
        handshakes=FakeHandshakes(),
        console=RecordingConsole(),
        store=store,
    )
    recorder = Recorder(store=store, clock=clock, console=world.console, began=0)
    watch = Watch(world, "fuzz", recorder)
    log.write(data)
    watch.look()
    watch.stall()
    moments, _ = store.timeline.read()
    lesson(moments)
    for width in (20, 80, None):
        story = Story(live=width is not None)
        for moment in moments:
            members: Mapping[str, Any] = {**moment.members, "origin": moment.origin.value}
            for line in story.take(moment.event, members, width):
                wrapped(line, width or 80)
            assert cells(story.live(100, 19)) <= 19
    Watch(world, "fuzz", recorder).resume()
    for line in store.timeline_file.read_bytes().splitlines() if store.timeline.size() else ():
        assert len(line) < 60_000
        json.loads(line)


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
