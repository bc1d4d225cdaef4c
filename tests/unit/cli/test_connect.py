"""`connect`: which program, which command line, and never a password on it."""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.cli import clients
from provisioner.cli.commands import connect
from provisioner.cli.config import read_config
from provisioner.cli.console import TerminalConsole
from provisioner.cli.environment import Environment
from provisioner.cli.session import Session
from provisioner.cli.standing import ways_in
from provisioner.errors import FailedError, HostError
from provisioner.host.domain_xml import display_in
from provisioner.run.world import World
from provisioner.store.machine import Forward, Generation, MachineState, MachineStore, Phase
from tests.contract.domains import domain_xml
from tests.fakes.clock import FakeClock
from tests.fakes.handshakes import FakeHandshakes
from tests.fakes.hypervisor import FakeHypervisor
from tests.fakes.secrets import FakeSecretStore
from tests.fakes.serial import FakeSerialLog
from tests.unit.cli.program import Home

RDP = Forward(service="rdp", guest_port=3389, host_port=20001)
SSH = Forward(service="ssh", guest_port=22, host_port=20003)


# Command lines.


FREERDP = "/v:127.0.0.1:20001 /u:jane doe /from-stdin:force /cert:ignore"


@pytest.mark.parametrize(
    ("installed", "argv"),
    [
        ({"xfreerdp", "remmina"}, f"xfreerdp {FREERDP}"),
        ({"xfreerdp", "xfreerdp3"}, f"xfreerdp3 {FREERDP}"),
        ({"remmina"}, "remmina -c rdp://jane doe@127.0.0.1:20001"),
        (set(), f"xfreerdp3 {FREERDP}"),
    ],
)
def test_remote_desktop(installed: set[str], argv: str) -> None:
    command = clients.rdp("127.0.0.1", 20001, user="jane doe", find=lambda p: p in installed)
    assert " ".join(command.argv) == argv
    assert command.installed is bool(installed)


def test_a_guest_elsewhere_is_remembered() -> None:
    for host, place in (("192.168.122.5", "192.168.122.5:3389"), ("fd00::5", "[fd00::5]:3389")):
        argv = clients.rdp(host, 3389, user=None, find=lambda p: True).argv
        assert argv == ("xfreerdp3", f"/v:{place}", "/from-stdin:force", "/cert:tofu")


def test_viewers() -> None:
    uri = "vnc://127.0.0.1:5901"
    assert clients.viewer(uri, lambda p: True).argv == ("remote-viewer", uri)
    assert clients.viewer(uri, lambda p: p == "vncviewer").argv == ("vncviewer", "127.0.0.1::5901")
    spice = clients.viewer("spice://127.0.0.1:5901", lambda p: p == "vncviewer")
    assert (spice.argv[0], spice.installed) == ("remote-viewer", False)


def test_ssh() -> None:
    argv = clients.ssh("127.0.0.1", 20003, user="jane", machine="dev", find=lambda p: True).argv
    assert argv == ("ssh", "-p", "20003", "-o", "HostKeyAlias=provisioner-dev", "jane@127.0.0.1")


@pytest.mark.parametrize(
    ("graphics", "uri"),
    [
        ("<graphics type='vnc' port='5900' listen='127.0.0.1'/>", "vnc://127.0.0.1:5900"),
        ("<graphics type='vnc' port='-1' autoport='yes'/>", None),
        ("<graphics type='spice' port='5901'><listen type='address' address='::1'/></graphics>",
         "spice://[::1]:5901"),
        ("<graphics type='vnc' port='5902' listen='0.0.0.0'/>", "vnc://127.0.0.1:5902"),
        ("<graphics type='vnc' socket='/x'/><graphics type='spice' port='5903'/>",
         "spice://127.0.0.1:5903"),
        ("<graphics type='egl-headless'/>", None),
        ("", None),
    ],
)  # fmt: skip
def test_displays(graphics: str, uri: str | None) -> None:
    assert display_in(f"<domain><devices>{graphics}</devices></domain>") == uri


# The command, on a fake host.


class FakeSession(Session):
    """A session whose machines live on a fake host."""

    def __init__(self, folder: Path, hypervisor: FakeHypervisor, console: TerminalConsole) -> None:
        environment = Environment(
            variables={"PATH": str(folder / "bin")},
            home=folder,
            cwd=folder,
            uid=1000,
            config=folder / "config",
            state=folder / "state",
            cache=folder / "cache",
        )
        super().__init__(environment, console, read_config(environment))
        self._hypervisor = hypervisor

    def world(self, name: str, uri: str | None, *, pool: str | None = None) -> World:
        return World(
            hypervisor=self._hypervisor,
            clock=FakeClock(),
            secrets=FakeSecretStore(),
            serial=FakeSerialLog(),
            handshakes=FakeHandshakes(),
            console=self.console,
            store=self.machines.store(name),
        )


@dataclass
class Desk:
    folder: Path
    hypervisor: FakeHypervisor = field(default_factory=FakeHypervisor)
    as_json: bool = False

    def __post_init__(self) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()
        (self.folder / "bin").mkdir()
        self.store = MachineStore(self.folder / "state/dev")
        self.remember()
        self.hypervisor.define(domain_xml("dev"))
        self.hypervisor.start("dev")

    def remember(self, *, forwards: tuple[Forward, ...] = (), rdp: bool = True,
                 **changes: Any) -> None:  # fmt: skip
        state = MachineState(
            name="dev",
            uri="fake:///",
            phase=Phase.READY,
            profile="dev.yaml",
            users=("jane",),
            current=Generation(
                number=1,
                domain="dev",
                digest="0",
                forwards=forwards,
                intent={"windows.remote.rdp": str(rdp)},
            ),
        )
        self.store.save(replace(state, **changes))

    def install(self, *programs: str) -> None:
        for name in programs:
            path = self.folder / "bin" / name
            path.write_text("#!/bin/sh\n")
            path.chmod(0o755)

    def connect(self, *, name: str = "dev", way: str | None = None) -> str:
        return self.run("--print", *(("--with", way) if way else ()), name=name)

    def run(self, *argv: str, name: str = "dev") -> str:
        console = TerminalConsole(out=self.out, err=self.err, as_json=self.as_json)
        parser = argparse.ArgumentParser()
        connect.configure(parser)
        with FakeSession(self.folder, self.hypervisor, console) as session:
            assert connect.run(parser.parse_args([name, *argv]), session) == 0
        return self.out.getvalue().strip()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_rdp_where_windows_offers_it_and_it_can_be_reached(desk: Desk) -> None:
    desk.install("xfreerdp")
    desk.remember(forwards=(RDP,))
    assert desk.connect().startswith("xfreerdp /v:127.0.0.1:20001 /u:jane ")


def test_rdp_at_the_guests_own_address(desk: Desk) -> None:
    desk.hypervisor.guest("dev").addresses = ("192.168.122.7", "fd00::7")
    assert "/v:192.168.122.7:3389" in desk.connect()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"forwards": (RDP,), "rdp": False},
        {"forwards": (RDP,), "phase": Phase.INSTALLING},
    ],
    ids=["no-way", "not-offered", "still-installing"],
)
def test_otherwise_the_display(desk: Desk, changes: Mapping[str, Any]) -> None:
    desk.remember(**changes)
    assert desk.connect() == "remote-viewer vnc://127.0.0.1:5900"


def test_what_is_asked_for(desk: Desk) -> None:
    desk.remember(forwards=(RDP, SSH))
    assert desk.connect(way="viewer").startswith("remote-viewer")
    assert "ssh -p 20003" in desk.connect(way="ssh")


def test_rdp_that_the_profile_does_not_turn_on(desk: Desk) -> None:
    desk.remember(forwards=(RDP,), rdp=False)
    assert "xfreerdp3" in desk.connect(way="rdp")
    assert "the profile does not turn this on (windows.remote.rdp)" in desk.err.getvalue()


def test_ssh_that_the_profile_does_not_turn_on(desk: Desk) -> None:
    desk.remember(forwards=(SSH,))
    assert desk.connect(way="ssh").startswith("ssh ")
    assert "the profile does not turn this on (windows.remote.ssh)" in desk.err.getvalue()


def test_the_password_is_told_about_and_not_shown(desk: Desk) -> None:
    desk.remember(forwards=(RDP,))
    desk.connect()
    assert "password of jane: where the profile says" in desk.err.getvalue()
    kept = {"version": 1, "key": "00", "generated": {"users.jane/20": "CANARY-4711"}}
    desk.store.secrets_file.write_text(json.dumps(kept))
    desk.connect()
    assert "password of jane: provisioner secret dev jane" in desk.err.getvalue()
    assert "CANARY" not in desk.err.getvalue() + desk.out.getvalue()


def test_as_json(desk: Desk) -> None:
    desk.as_json = True
    desk.install("remote-viewer")
    assert json.loads(desk.connect()) == {
        "event": "connect",
        "name": "dev",
        "with": "viewer",
        "command": ["remote-viewer", "vnc://127.0.0.1:5900"],
        "installed": True,
        "user": "jane",
    }


def test_what_cannot_be_reached(desk: Desk) -> None:
    with pytest.raises(FailedError, match="no address of dev") as caught:
        desk.connect(way="rdp")
    assert "--with viewer" in (caught.value.hint or "")
    with pytest.raises(FailedError, match="no machine nobody"):
        desk.connect(name="nobody")
    desk.hypervisor.destroy("dev")
    with pytest.raises(FailedError, match="dev is off") as caught:
        desk.connect()
    assert "provisioner up dev.yaml" in (caught.value.hint or "")


def test_a_machine_without_a_display(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.hypervisor.destroy("dev")
    desk.hypervisor.undefine("dev")
    head, _, tail = domain_xml("dev").partition("<graphics ")
    desk.hypervisor.define(head + tail.partition("/>")[2])
    desk.hypervisor.start("dev")
    with pytest.raises(FailedError, match="has no display"):
        desk.connect()


# At a terminal. Our process becomes the program, so it is a process of its own here.

AT_TERMINAL = """
import argparse, sys
from pathlib import Path
from provisioner.cli.commands import connect
from provisioner.cli.console import TerminalConsole
from provisioner.errors import ProvisionerError
from tests.unit.cli.test_connect import Desk, FakeSession, RDP
desk = Desk(Path(sys.argv[1]))
desk.install(*sys.argv[3:])
console = TerminalConsole(out=sys.stdout, err=sys.stderr)
session = FakeSession(desk.folder, desk.hypervisor, console)
session.environment.variables.update({"DISPLAY": sys.argv[2]} if sys.argv[2] else {})
parser = argparse.ArgumentParser()
connect.configure(parser)
try:
    connect.run(parser.parse_args(["dev"]), session)
except ProvisionerError as err:
    console.error(err)
    sys.exit(err.exit_code)
"""


def at_terminal(tmp_path: Path, display: str, *programs: str) -> tuple[int, str]:
    home = Home(tmp_path / "person")
    home.program("remote-viewer", 'echo "viewer got: $*"; exit 7')
    (tmp_path / "desk").mkdir()
    argv = (sys.executable, "-c", AT_TERMINAL, str(tmp_path / "desk"), display, *programs)
    return home.on_terminal(argv=argv)


def test_it_becomes_the_program(tmp_path: Path) -> None:
    code, screen = at_terminal(tmp_path, ":0", "remote-viewer")
    assert code == 7
    assert "viewer got: vnc://127.0.0.1:5900" in screen


def test_what_to_install(tmp_path: Path) -> None:
    code, screen = at_terminal(tmp_path, ":0")
    assert code == HostError.exit_code
    assert "remote-viewer vnc://127.0.0.1:5900" in screen
    assert "apt install virt-viewer" in " ".join(screen.split())


def test_no_desktop(tmp_path: Path) -> None:
    code, screen = at_terminal(tmp_path, "", "remote-viewer")
    assert code == HostError.exit_code
    assert "ssh -L" in screen and "viewer got" not in screen


# What `status` and `up` tell of it.


def told(desk: Desk) -> list[str]:
    console = TerminalConsole(out=desk.out, err=desk.err, as_json=False)
    with FakeSession(desk.folder, desk.hypervisor, console) as session:
        return list(ways_in(session.world("dev", None)))


def test_only_what_the_profile_turned_on_is_told(desk: Desk) -> None:
    display = Forward(service="display", guest_port=5900, host_port=20009)
    desk.remember(forwards=(RDP, SSH, display))
    assert told(desk) == ["reach it: rdp 127.0.0.1:20001  display 127.0.0.1:20009"]


def test_a_machine_that_is_off_is_not_reached(desk: Desk) -> None:
    desk.remember(forwards=(RDP,))
    desk.hypervisor.destroy("dev")
    assert told(desk) == ["start it: provisioner up dev.yaml"]
