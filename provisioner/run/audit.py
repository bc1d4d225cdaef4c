"""Looks into a ready machine for what an installation leaves: answers, autologon, passwords.

Reads only. What the guest agent cannot tell is unknown, never clean. Places:
docs/facts/windows-setup.md §11; the list of files is that of the first-logon script's cleanup.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import partial

from provisioner.errors import FailedError, GuestError, ProvisionerError
from provisioner.frozen import frozen
from provisioner.guest.agent import Agent
from provisioner.ports import DomainState
from provisioner.run.world import World
from provisioner.store.machine import MachineState, Phase

ANSWER_FILES = (
    "C:\\Windows\\Panther\\unattend.xml",
    "C:\\Windows\\Panther\\unattend-original.xml",
    "C:\\Windows\\Panther\\Unattend\\unattend.xml",
    "C:\\Windows\\Panther\\Unattend\\autounattend.xml",
    "C:\\Windows\\System32\\Sysprep\\unattend.xml",
    "C:\\unattend.xml",
    "C:\\autounattend.xml",
    "C:\\$Windows.~BT\\Sources\\Panther\\unattend.xml",
)
WINLOGON = "HKLM\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Winlogon"
SECRETS = "HKLM\\SECURITY\\Policy\\Secrets"
"""Readable for LocalSystem alone, which the agent is."""
LARGEST = 256 * 1024
_ABSENT = re.compile(r"cannot find the (?:file|path)", re.IGNORECASE)
"""What an English Windows says; other languages are asked by exit code. A guest that is no Windows
knows no such paths: from what it does not find nothing follows."""
_THERE, _NOT_THERE = 10, 11
_PASSWORD = re.compile(
    r"<(?:\w+:)?(Value|Password|Key)>\s*(?!\*SENSITIVE)[^<\s][^<]*</", re.IGNORECASE
)


class Standing(StrEnum):
    """What a look found. `kept` stays on purpose and holds no secret of ours."""

    CLEAN = "clean"
    REMAINS = "remains"
    UNKNOWN = "unknown"
    KEPT = "kept"


@frozen
class Check:
    """One look: what at, what was found, and a word about it."""

    subject: str
    standing: Standing
    detail: str


def audit(world: World) -> tuple[Check, ...]:
    """Everything, in order. FailedError where there is no ready, running machine to look at."""
    name = world.store.name
    state = world.store.load()
    record = world.hypervisor.domain(name)
    if state is None or record is None or record.ownership is None:
        raise FailedError(f"there is no machine {name}", hint="`provisioner list` shows them all")
    if state.phase is not Phase.READY:
        raise FailedError(
            f"{name} is not ready ({state.phase.value})", hint="`provisioner up` waits for it"
        )
    if record.state is not DomainState.RUNNING:
        raise FailedError(
            f"{name} is {record.state.value}", hint=f"`provisioner up {state.profile}` starts it"
        )
    agent = Agent(hypervisor=world.hypervisor, clock=world.clock, name=name)
    return (*_host(world, state), *_guest(agent))


def _host(world: World, state: MachineState) -> Iterator[Check]:
    drive = next(
        (d for d in world.hypervisor.drives(state.name) if d.target == state.current.answer_drive),
        None,
    )
    medium = drive.medium.path if drive is not None and drive.medium is not None else None
    yield Check(
        subject="answer disc in its drive",
        standing=Standing.CLEAN if medium is None else Standing.REMAINS,
        detail="ejected" if medium is None else medium,
    )
    file = state.current.answer_file
    there = file is not None and file in world.hypervisor.stored_files()
    yield Check(
        subject="answer disc in the storage",
        standing=Standing.REMAINS if there else Standing.CLEAN,
        detail=str(file) if there else "deleted",
    )
    for user in state.users:
        rotate = state.current.intent.get(_rotate_key(state, user)) == "True"
        yield Check(
            subject=f"first password of {user}",
            standing=Standing.CLEAN if rotate else Standing.KEPT,
            detail="replaced by a new one" if rotate else "still in use: rotate was not asked for",
        )


def _rotate_key(state: MachineState, user: str) -> str:
    """Where the plan says whether a password is replaced, which it was before it became ready."""
    if user == "Administrator":
        return "windows.administrator.rotate"
    names = (f"windows.users[{n}]" for n in range(len(state.users)))
    found = (key for key in names if state.current.intent.get(f"{key}.name") == user)
    return f"{next(found, '')}.rotate"


def _guest(agent: Agent) -> Iterator[Check]:
    for path in ANSWER_FILES:
        yield _look(path, partial(_answer_file, agent, path))
    yield _look("autologon password in Winlogon", lambda: _no_value(agent, "DefaultPassword"))
    yield _look("automatic logon", lambda: _automatic_logon(agent))
    yield _look("autologon password as LSA secret", lambda: _no_secret(agent))
    yield Check(
        subject="C:\\ProgramData\\provisioner",
        standing=Standing.KEPT,
        detail="logs of the first logon; the profile's own steps may have written into them",
    )


def _look(subject: str, look: Callable[[], tuple[Standing, str]]) -> Check:
    try:
        standing, detail = look()
    except ProvisionerError as err:
        standing, detail = Standing.UNKNOWN, err.message
    return Check(subject=subject, standing=standing, detail=detail)


def _answer_file(agent: Agent, path: str) -> tuple[Standing, str]:
    try:
        data = agent.read_file(path, most=LARGEST)
    except GuestError as err:
        if _ABSENT.search(err.message) or not _exists(agent, path):
            return Standing.CLEAN, "not there"
        return Standing.REMAINS, "there, and cannot be read"
    passwords = len(_PASSWORD.findall(data.decode("utf-8", "replace").replace("\0", "")))
    return Standing.REMAINS, f"there, with {passwords} passwords or keys in it"


def _exists(agent: Agent, path: str) -> bool:
    """By exit code, because messages are in the guest's language.

    Word by word: the agent would escape quotes as C programs want them, and cmd is none. So the
    paths above have no blanks.
    """
    words = ("if", "exist", path, "(exit", f"{_THERE})", "else", "(exit", f"{_NOT_THERE})")
    code = agent.run("cmd.exe", ["/d", "/c", *words]).exit_code
    if code not in (_THERE, _NOT_THERE):
        raise GuestError(f"cmd.exe exited {code}")
    return code == _THERE


def _query(agent: Agent, *arguments: str) -> str | None:
    """What `reg query` prints; None where there is no such key or value (exit code 1)."""
    ended = agent.run("reg.exe", ["query", *arguments])
    if ended.exit_code not in (0, 1):
        raise GuestError(f"reg.exe exited {ended.exit_code}")
    return ended.output.decode("utf-8", "replace") if ended.exit_code == 0 else None


def _require(agent: Agent, key: str) -> None:
    """A key that exists always: where it cannot be read, nothing follows from silence."""
    if _query(agent, key) is None:
        raise GuestError(f"{key} cannot be read")


def _no_value(agent: Agent, name: str) -> tuple[Standing, str]:
    _require(agent, WINLOGON)
    if _query(agent, WINLOGON, "/v", name) is None:
        return Standing.CLEAN, "not there"
    return Standing.REMAINS, f"{WINLOGON}, {name}"


def _automatic_logon(agent: Agent) -> tuple[Standing, str]:
    _require(agent, WINLOGON)
    text = _query(agent, WINLOGON, "/v", "AutoAdminLogon")
    found = re.search(r"AutoAdminLogon\s+REG_\w+\s+(\S+)", text or "")
    if found is None or found[1] in ("0", "0x0"):
        return Standing.CLEAN, "off"
    return Standing.REMAINS, f"on (AutoAdminLogon is {found[1][:20]})"


def _no_secret(agent: Agent) -> tuple[Standing, str]:
    _require(agent, SECRETS)
    if _query(agent, f"{SECRETS}\\DefaultPassword") is None:
        return Standing.CLEAN, "not there"
    return Standing.REMAINS, f"{SECRETS}\\DefaultPassword"
