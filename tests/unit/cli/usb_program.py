"""`provisioner usb ...` on a machine with sticks in memory: `usb_program SCENE ARGUMENT...`.

SCENE is JSON: `faults` of the first stick, `disk` what sysfs says of it, `dump`: where its bytes
go at the end; `bytes`: how many both have.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from provisioner.cli.config import given_settings, read_config
from provisioner.cli.console import TerminalConsole
from provisioner.cli.environment import read_environment
from provisioner.cli.main import build_parser
from provisioner.cli.session import Session
from provisioner.errors import ProvisionerError
from provisioner.usb.devices import Transport, Use, UseKind
from provisioner.usb.machine import Machine
from provisioner.usb.spans import MIB
from tests.fakes.stick import FakeMachine, FakeStick, stick_disk

SIZE = 80 * MIB


def scene_of(scene: dict[str, object]) -> tuple[FakeMachine, FakeStick]:
    """Two sticks, the first as described."""
    real = int(scene.get("bytes", SIZE))  # type: ignore[call-overload] # from JSON
    first, second = FakeStick(real, seed=1), FakeStick(real, seed=2)
    for name, value in dict(scene.get("faults", {})).items():  # type: ignore[call-overload]
        setattr(first.faults, name, value)
    changes = dict(scene.get("disk", {}))  # type: ignore[call-overload]
    if "mounted" in changes:
        where = changes.pop("mounted")
        changes["uses"] = (Use(kind=UseKind.MOUNT, chain=("sdc", "sdc1"), where=where),)
    size = changes.pop("size", real)
    if "transport" in changes:
        changes["transport"] = Transport(changes["transport"])
    other = stick_disk(
        real, name="sdd", node="/dev/sdd", number="8:48", serial="20060413AA", diskseq=8,
        vendor="Kingston", model="DataTraveler", ids=("usb-Kingston_DataTraveler_20060413AA",),
        partitions=(),
    )  # fmt: skip
    return FakeMachine((stick_disk(size, **changes), first), (other, second)), first


def run(argv: list[str], machine: Machine) -> int:
    """As cli.main, with another machine."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    environment = read_environment()
    console = TerminalConsole(
        out=sys.stdout,
        err=sys.stderr,
        as_json="--json" in argv,
        allowed=environment.colour,
        moving=environment.variables.get("TERM") != "dumb",
    )
    try:
        arguments = build_parser().parse_args(argv)
        config = read_config(environment, given_settings(arguments))
        with Session(environment, console, config) as session:
            return int(arguments.run_verb(arguments, session, machine))
    except ProvisionerError as err:
        console.error(err)
        return err.exit_code


def main() -> int:
    """On the sticks of the scene."""
    scene = json.loads(sys.argv[1])
    machine, stick = scene_of(scene)
    try:
        return run(sys.argv[2:], machine)
    finally:
        if "dump" in scene:
            Path(scene["dump"]).write_bytes(stick.peek(0, stick.size))


if __name__ == "__main__":
    os._exit(main())
