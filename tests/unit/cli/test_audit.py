"""`audit`, the command: what it prints, and its exit codes."""

from __future__ import annotations

import argparse
import io
import json
from pathlib import Path

import pytest

from provisioner.cli.commands import audit
from provisioner.cli.console import TerminalConsole
from provisioner.errors import FailedError, GuestError
from provisioner.run.audit import ANSWER_FILES
from tests.unit.cli.test_connect import Desk, FakeSession
from tests.unit.run.test_audit import WindowsAgent


def look(desk: Desk, agent: WindowsAgent, *, as_json: bool = False) -> tuple[str, str]:
    """Standard output and standard error."""
    desk.hypervisor.guest("dev").agent_up(agent.answers())
    out, err = io.StringIO(), io.StringIO()
    parser = argparse.ArgumentParser()
    audit.configure(parser)
    console = TerminalConsole(out=out, err=err, as_json=as_json)
    desk.out = out
    with FakeSession(desk.folder, desk.hypervisor, console) as session:
        assert audit.run(parser.parse_args(["dev"]), session) == 0
    return out.getvalue(), err.getvalue()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_nothing_remains(desk: Desk) -> None:
    out, err = look(desk, WindowsAgent())
    lines = out.splitlines()
    assert lines[0] == "✔ answer disc in its drive: ejected"
    assert "· first password of jane: still in use: rotate was not asked for" in lines
    assert f"✔ {ANSWER_FILES[0]}: not there" in lines
    assert "nothing of the installation remains in dev" in err


def test_for_programs(desk: Desk) -> None:
    out, _ = look(desk, WindowsAgent(), as_json=True)
    events = [json.loads(line) for line in out.splitlines()]
    assert {event["event"] for event in events} == {"audit"}
    assert {event["standing"] for event in events} == {"clean", "kept"}


def test_something_remains(desk: Desk) -> None:
    agent = WindowsAgent(files={ANSWER_FILES[0]: b"<Value>x</Value>"})
    with pytest.raises(GuestError, match="1 of 15 places still hold something"):
        look(desk, agent)
    assert f"✘ {ANSWER_FILES[0]}: there, with 1 passwords or keys" in desk.out.getvalue()


def test_something_could_not_be_looked_at(desk: Desk) -> None:
    with pytest.raises(FailedError, match="3 of 15 places could not be looked at"):
        look(desk, WindowsAgent(programs=frozenset({"cmd.exe"})))
    assert "? automatic logon: " in desk.out.getvalue()
