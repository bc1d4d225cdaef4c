"""What happens to a machine that is ready, with the real guest agent of the stand-in."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest

from acceptance.desk import Desk
from provisioner.guest.agent import Agent
from tests.integration.home import Home
from tests.integration.leaks import leaks

pytestmark = [pytest.mark.integration, pytest.mark.soak]
"""The quick rehearsal of `test_acceptance` rotates and audits too; tests/contract/test_agent.py has
the same agent without a machine."""

ROTATE = "windows: {administrator: {password: {generate: 20}, rotate: true}}\n"
CACHED = "C:\\Windows\\Panther\\unattend.xml"


def write(agent: Agent, path: str, data: bytes) -> None:
    """A file of the guest, by its agent. The stand-in takes a Windows path for a file's name."""

    def ask(verb: str, **arguments: object) -> object:
        command = {"execute": verb, "arguments": arguments}
        return agent.hypervisor.agent(agent.name, command, timeout=10)

    handle = ask("guest-file-open", path=path, mode="wb")
    ask("guest-file-write", handle=handle, **{"buf-b64": base64.b64encode(data).decode()})
    ask("guest-file-close", handle=handle)


def test_a_new_password_and_what_audit_sees(home: Home) -> None:
    home.direct_guest()
    done = home.json("up", home.profile(ROTATE))
    texts = [event["text"] for event in done.events if event["event"] == "step"]
    assert texts[-1] == "give Administrator a new password"
    new = home.run("secret", "m1", "Administrator").out.strip()
    old = home.run("secret", "m1", "Administrator", "--previous").out.strip()
    assert new != old and len(new) == len(old) == 20
    assert json.loads((home.state / "m1/secrets.json").read_text())["rotated"]["1"]

    desk = Desk(folder=home.folder, variables=home.variables)
    with desk.session() as session:
        agent = desk.agent(session, "m1")
        told = agent.read_file("/passwords.txt", most=4096).decode()
        assert told == f"Administrator {hashlib.sha256(new.encode()).hexdigest()}\n"
        audit = home.json("audit", "m1", expect=4)
        looks = {event["subject"]: event for event in audit.events if event["event"] == "audit"}
        assert looks["answer disc in its drive"]["standing"] == "clean"
        assert looks[CACHED]["standing"] == "unknown", "a Linux knows no such path"
        assert looks["autologon password in Winlogon"]["standing"] == "unknown"
        write(agent, CACHED, b"<Password><Value>cwBlAGMA</Value></Password>")
    remains = home.json("audit", "m1", expect=6)
    (look,) = [event for event in remains.events if event.get("standing") == "remains"]
    assert look["subject"] == CACHED and "with 1 passwords" in look["detail"]
    home.run("delete", "m1", "--yes")
    assert leaks(home) == []
