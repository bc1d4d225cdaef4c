"""Opens a machine's first serial port: its output, and the keyboard where that is possible.

Ctrl-] ends it. Without a terminal, with --json or with --read-only, and where QEMU runs as somebody
else, the log of the port is followed instead. The display is another thing: `connect` opens it, and
with its option --print tells the command line of virt-viewer.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.cli.options import connect_option, machine_name

if TYPE_CHECKING:
    from provisioner.cli.session import Session
    from provisioner.run.world import World


TAIL = 4096
"""Bytes of the log that are shown at first."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `console`."""
    machine_name(parser)
    connect_option(parser)
    parser.add_argument(
        "--read-only", action="store_true", help="follow what the machine writes, and type nothing"
    )


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Joins both ends, or follows the log until the machine is off."""
    from provisioner.cli.environment import is_terminal
    from provisioner.errors import FailedError
    from provisioner.host.terminal import attach, openable
    from provisioner.ports import DomainState
    from provisioner.store.machine import no_machine

    name, console = arguments.name, session.console
    session.store(name)
    world = session.world(name, arguments.connect)
    record = world.hypervisor.domain(name)
    if record is None or record.ownership is None:
        raise no_machine(name)
    if record.state is not DomainState.RUNNING:
        raise FailedError(f"{name} is {record.state.value}", hint="`provisioner up` starts it")
    port = world.hypervisor.serial_port(name)
    typed = is_terminal(sys.stdin) and is_terminal(sys.stdout) and not console.as_json
    if arguments.read_only or not typed or not openable(port):
        if typed and not arguments.read_only:
            console.say(f"its serial port {port or ''} is not open to you: reading its log")
        return _follow(world, session)
    console.say(f"the serial port of {name}; Ctrl-] ends it")
    assert port is not None
    detached = attach(Path(port), keyboard=sys.stdin.fileno(), screen=sys.stdout.fileno())
    console.say("" if detached else f"\n{name} is off")
    return 0


def _follow(world: World, session: Session) -> int:
    """Prints whole lines, without anything that could move a terminal's cursor."""
    from provisioner.guest.protocol import Decoder, Noise
    from provisioner.host.serial import FileSerialLog
    from provisioner.ports import DomainState
    from provisioner.run.waiting import POLL

    path, console = world.store.serial_log, session.console
    size = path.stat().st_size if path.exists() else 0
    log, decoder = FileSerialLog(path, offset=max(0, size - TAIL)), Decoder()
    while True:
        record = world.hypervisor.domain(world.store.name)
        while data := log.read_new():
            for item in decoder.feed(data):
                text = item.text if isinstance(item, Noise) else str(dict(item.payload))
                console.result(text)
                console.event("serial", {"text": text})
        if record is None or record.state in (DomainState.OFF, DomainState.CRASHED):
            console.say(f"{world.store.name} is off")
            return 0
        world.clock.sleep(POLL)
