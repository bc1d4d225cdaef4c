"""Our commands and QEMU's own guest agent, which runs here on a socket and without a guest.

Programs it is asked for come from one folder, so that no account of this host is touched.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from provisioner.errors import GuestError
from provisioner.guest.agent import Agent
from provisioner.host.clock import SystemClock
from tests.fakes.hypervisor import FakeHypervisor
from tests.integration.places import REPOSITORY
from tests.standin.packages import fetch

PATIENCE = 20.0


class OnSocket(FakeHypervisor):
    """A hypervisor whose one guest has the agent at the other end of a socket."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(str(path))
        self.stream = self.socket.makefile("rwb")

    def agent(self, name: str, command: Mapping[str, Any], *, timeout: float) -> Any:
        self.stream.write(json.dumps(command).encode() + b"\n")
        self.stream.flush()
        answer = json.loads(self.stream.readline())
        if "error" in answer:
            raise GuestError(str(answer["error"]["desc"]))
        return answer["return"]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the agent finds on its path."""
    folder = tmp_path_factory.mktemp("ga") / "bin"
    folder.mkdir()
    for name, text in (
        ("chpasswd", f"exec /bin/cat >> {folder}/passwords"),
        ("reg.exe", 'printf "%s|" "$@"; echo problem >&2; exit 3'),
        ("slow.exe", "exec /bin/sleep 5"),
        ("large.exe", "exec /usr/bin/head -c 3000000 /dev/zero"),
    ):
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def agent(programs: Path) -> Iterator[Agent]:
    binary = fetch(("qemu-guest-agent",), REPOSITORY / "build/standin/cache") / "usr/sbin/qemu-ga"
    path = programs.parent / "s"
    argv = [binary, "-m", "unix-listen", "-p", path, "-t", programs.parent]
    process = subprocess.Popen(
        [*map(str, argv), "-f", str(programs.parent / "pid")],
        env={"PATH": str(programs)},
        cwd=programs.parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + PATIENCE
        while not path.exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        hypervisor = OnSocket(path)
        yield Agent(hypervisor=hypervisor, clock=SystemClock(), name="m")
        hypervisor.stream.close()
        hypervisor.socket.close()
    finally:
        # Not SIGTERM: its handler takes a lock that the main loop may hold, and both wait for ever.
        process.kill()
        process.wait()


def test_a_program(agent: Agent) -> None:
    ended = agent.run("reg.exe", ["query", "HKLM\\a b", "/v", 'x "y"'])
    assert (ended.exit_code, ended.errors) == (3, b"problem\n")
    assert ended.output == b'query|HKLM\\a b|/v|x "y"|'


def test_a_program_that_is_not_there(agent: Agent) -> None:
    with pytest.raises(GuestError, match=r"nobody\.exe"):
        agent.run("nobody.exe", [])


def test_a_program_that_takes_long(agent: Agent) -> None:
    with pytest.raises(GuestError, match="did not end within 1 s"):
        agent.run("slow.exe", [], timeout=1)


def test_more_output_than_anybody_reads(agent: Agent) -> None:
    assert len(agent.run("large.exe", []).output) <= 1024 * 1024


def test_a_file(agent: Agent, tmp_path: Path) -> None:
    path = tmp_path / "a file"
    data = bytes(range(256)) * 500
    path.write_bytes(data)
    assert agent.read_file(str(path), most=10**6) == data
    assert agent.read_file(str(path), most=100_001) == data[:100_001]
    path.write_bytes(b"")
    assert agent.read_file(str(path), most=10) == b""


def test_a_file_that_is_not_there(agent: Agent) -> None:
    with pytest.raises(GuestError, match="No such file or directory"):
        agent.read_file("C:\\Windows\\Panther\\unattend.xml", most=10)


def test_a_password(agent: Agent, programs: Path) -> None:
    agent.set_password("Administrator", "Pä$$-:wörd")
    assert (programs / "passwords").read_text() == "Administrator:Pä$$-:wörd\n"
