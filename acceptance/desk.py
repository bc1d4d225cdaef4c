"""Runs provisioner's own command line, in folders of its own, and looks into its machines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from acceptance.inside import Inside, look
from provisioner.cli.config import read_config
from provisioner.cli.console import TerminalConsole
from provisioner.cli.environment import Environment
from provisioner.cli.session import Session
from provisioner.errors import ProvisionerError
from provisioner.guest.agent import Agent

PROJECT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, kw_only=True)
class Done:
    """A command that ended: its exit code, events, and what it said on standard error."""

    code: int
    events: tuple[Mapping[str, Any], ...]
    said: str
    seconds: float

    @property
    def last_line(self) -> str:
        """The error, mostly: what `--json` tells, or the end of the story."""
        told = [str(event["message"]) for event in self.events if event.get("event") == "error"]
        if told:
            return told[-1]
        lines = [line for line in self.said.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("error")]
        return (errors or lines or [""])[-1].strip()


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A folder with its own configuration and state. `variables` go over the environment's."""

    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """Nothing of the person's own profiles, templates and machines is seen or touched."""
        return {
            **os.environ,
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "PYTHONPATH": str(PROJECT),
            **self.variables,
        }

    @property
    def state(self) -> Path:
        """Where machines are remembered."""
        return Path(self.environment()["XDG_STATE_HOME"]) / "provisioner"

    @property
    def config(self) -> Path:
        """Where templates of a trial go."""
        return Path(self.environment()["XDG_CONFIG_HOME"]) / "provisioner"

    def run(self, *arguments: str, timeout: float) -> Done:
        """One command with `--json`."""
        began = time.monotonic()
        try:
            ended = subprocess.run(
                [sys.executable, "-m", "provisioner", *arguments, "--json"],
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                check=False,
            )
            code, out, said = ended.returncode, ended.stdout, ended.stderr
        except subprocess.TimeoutExpired as err:
            code, out, said = 124, "", f"error: it did not end within {err.timeout:.0f} s"
        return Done(code=code, events=_events(out), said=said, seconds=time.monotonic() - began)

    def inside(self, machine: str) -> Inside:
        """What the machine says about itself; ProvisionerError where it cannot."""
        with self.session() as session:
            return look(self.agent(session, machine))

    def session(self) -> Session:
        """The library's own view of the same folders."""
        variables = self.environment()
        environment = Environment(
            variables=variables,
            home=Path(variables.get("HOME") or "/").expanduser(),
            cwd=PROJECT,
            uid=os.getuid(),
            config=self.config,
            state=self.state,
            cache=Path(
                variables.get("XDG_CACHE_HOME") or Path(variables.get("HOME") or "/") / ".cache"
            )
            / "provisioner",
        )
        console = TerminalConsole(out=sys.stderr, err=sys.stderr, as_json=True)
        return Session(environment, console, read_config(environment))

    def agent(self, session: Session, machine: str) -> Agent:
        """The guest agent of a machine."""
        world = session.world(machine, None)
        return Agent(hypervisor=world.hypervisor, clock=world.clock, name=machine)

    def addresses(self, machine: str) -> tuple[str, ...]:
        """Of the guest, as the hypervisor tells them."""
        with self.session() as session:
            try:
                return tuple(session.world(machine, None).hypervisor.addresses(machine))
            except ProvisionerError:
                return ()

    def serial(self, machine: str) -> str:
        """What came on the first serial port; also of a machine that failed."""
        kept = sorted(self.state.glob(f"failures/{machine}-*/serial.log"))
        for path in (self.state / machine / "serial.log", *kept[-1:]):
            if path.exists():
                return path.read_text(encoding="utf-8", errors="replace")
        return ""


def _events(out: str) -> tuple[Mapping[str, Any], ...]:
    found = []
    for line in out.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            found.append(event)
    return tuple(found)
