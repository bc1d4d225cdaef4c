"""`audit` on a guest whose agent answers as Windows' does, and on one that answers junk."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provisioner.errors import FailedError, GuestError, ProvisionerError
from provisioner.guest.agent import Agent
from provisioner.resources import shipped_folder
from provisioner.run.audit import ANSWER_FILES, SECRETS, WINLOGON, Check, Standing, audit
from tests.fakes.clock import FakeClock
from tests.unit.run.scenes import Scene

NO_FILE = "cannot find the file specified"


def _coded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@dataclass
class WindowsAgent:
    """Files, and a registry of keys with names, types and data, as `reg query` shows it."""

    files: dict[str, bytes] = field(default_factory=dict)
    registry: dict[str, dict[str, tuple[str, str]]] = field(
        default_factory=lambda: {WINLOGON: {"AutoAdminLogon": ("REG_SZ", "0")}, SECRETS: {}}
    )
    language: str = NO_FILE
    programs: frozenset[str] = frozenset({"reg.exe", "cmd.exe"})
    polls: int = 2
    _open: dict[int, tuple[bytes, int]] = field(default_factory=dict)
    _ended: dict[int, list[Any]] = field(default_factory=dict)
    _number: int = 1000

    def answers(self) -> dict[str, Any]:
        return {
            "guest-file-open": self._file_open,
            "guest-file-read": self._file_read,
            "guest-file-close": lambda given: self._open.pop(given["handle"]) and {},
            "guest-exec": self._exec,
            "guest-exec-status": self._status,
        }

    def _file_open(self, given: Mapping[str, Any]) -> int:
        if given["path"] not in self.files:
            raise GuestError(f"failed to open file '{given['path']}': {self.language}")
        self._number += 1
        self._open[self._number] = (self.files[given["path"]], 0)
        return self._number

    def _file_read(self, given: Mapping[str, Any]) -> dict[str, Any]:
        data, place = self._open[given["handle"]]
        block = data[place : place + given["count"]]
        self._open[given["handle"]] = (data, place + len(block))
        eof = place + len(block) >= len(data)
        return {"count": len(block), "buf-b64": _coded(block), "eof": eof}

    def _exec(self, given: Mapping[str, Any]) -> dict[str, int]:
        if given["path"] not in self.programs:
            raise GuestError("Failed to execute helper program")
        assert given["capture-output"] is True
        run = {"reg.exe": self._reg, "cmd.exe": self._cmd}[given["path"]]
        self._number += 1
        self._ended[self._number] = [self.polls, *run(given["arg"])]
        return {"pid": self._number}

    def _status(self, given: Mapping[str, Any]) -> dict[str, Any]:
        ended = self._ended[given["pid"]]
        ended[0] -= 1
        if ended[0] > 0:
            return {"exited": False}
        return {"exited": True, "exitcode": ended[1], "out-data": _coded(ended[2])}

    def _reg(self, arguments: list[str]) -> tuple[int, bytes]:
        verb, key, *rest = arguments
        assert verb == "query"
        values = self.registry.get(key)
        if values is None or (rest and rest[1] not in values):
            return 1, b""
        shown = "".join(
            f"    {name}    {kind}    {data}\r\n"
            for name, (kind, data) in values.items()
            if not rest or rest[1] == name
        )
        return 0, f"\r\n{key}\r\n{shown}\r\n".encode()

    def _cmd(self, arguments: list[str]) -> tuple[int, bytes]:
        """The line as the agent joins it: no word of it needs quotes."""
        assert not any(character in ' "' for word in arguments for character in word)
        line = " ".join(arguments)
        found = re.fullmatch(r"/d /c if exist (\S+) \(exit (\d+)\) else \(exit (\d+)\)", line)
        assert found is not None
        return int(found[2] if found[1] in self.files else found[3]), b""


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    made = Scene(tmp_path)
    made.up()
    return made


def look(scene: Scene, agent: WindowsAgent) -> dict[str, Check]:
    scene.hypervisor.guest("dev").agent_up(agent.answers())
    return {check.subject: check for check in audit(scene.world())}


def test_a_clean_machine(scene: Scene) -> None:
    checks = look(scene, WindowsAgent())
    assert len(checks) == 2 + 1 + len(ANSWER_FILES) + 3 + 1
    kept = [c.subject for c in checks.values() if c.standing is not Standing.CLEAN]
    assert kept == ["first password of dev", "C:\\ProgramData\\provisioner"]


def test_another_language_is_asked_by_exit_code(scene: Scene) -> None:
    agent = WindowsAgent(language="Das System kann die angegebene Datei nicht finden.")
    assert {c.standing for c in look(scene, agent).values()} == {Standing.CLEAN, Standing.KEPT}
    agent.programs = frozenset({"reg.exe"})
    checks = look(scene, agent)
    assert checks[ANSWER_FILES[0]].standing is Standing.UNKNOWN


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"<Password><Value>UABhAHMAcwA=</Value></Password>", "1 passwords"),
        (b"<Value>*SENSITIVE*DATA*DELETED*</Value>", "0 passwords"),
        ("<Value>abc=</Value><Key>AAAAA-BBBBB</Key>".encode("utf-16"), "2 passwords"),
        (b"<Value>x</Value>" * 20000, "16384 passwords"),
    ],
)
def test_a_copy_of_the_answers(data: bytes, says: str, scene: Scene) -> None:
    path = ANSWER_FILES[1]
    check = look(scene, WindowsAgent(files={path: data}))[path]
    assert check.standing is Standing.REMAINS and says in check.detail


def test_what_autologon_leaves(scene: Scene) -> None:
    agent = WindowsAgent()
    agent.registry[WINLOGON] = {
        "AutoAdminLogon": ("REG_SZ", "1"),
        "DefaultPassword": ("REG_SZ", "s3cret"),
    }
    agent.registry[f"{SECRETS}\\DefaultPassword"] = {}
    checks = look(scene, agent)
    remains = [c for c in checks.values() if c.standing is Standing.REMAINS]
    assert len(remains) == 3
    assert not any("s3cret" in check.detail for check in checks.values())


def test_silence_is_not_cleanliness(scene: Scene) -> None:
    """Where the agent may not read HKLM\\SECURITY, nobody knows what is in it."""
    agent = WindowsAgent()
    del agent.registry[SECRETS]
    checks = look(scene, agent)
    assert checks["autologon password as LSA secret"].standing is Standing.UNKNOWN
    agent.programs = frozenset()
    checks = look(scene, agent)
    assert [c.standing for c in checks.values()].count(Standing.UNKNOWN) == 3


def test_a_guest_that_is_no_windows_is_unknown(scene: Scene) -> None:
    """A Linux finds no file under any of these names, which says nothing."""
    agent = WindowsAgent(language="No such file or directory", programs=frozenset())
    checks = look(scene, agent)
    assert {checks[path].standing for path in ANSWER_FILES} == {Standing.UNKNOWN}


def test_a_disc_that_is_back(scene: Scene) -> None:
    from provisioner.ports import Medium

    scene.hypervisor.store_file("dev-1-answers.iso", lambda path: path.write_bytes(b"x"))
    path = f"{scene.hypervisor.host.storage.folder}/dev-1-answers.iso"
    scene.hypervisor.change_medium("dev", "sdc", Medium(path=path), force=False)
    checks = look(scene, WindowsAgent())
    assert checks["answer disc in its drive"].standing is Standing.REMAINS
    assert checks["answer disc in the storage"].standing is Standing.REMAINS


def test_only_a_machine_that_runs(scene: Scene) -> None:
    scene.down()
    with pytest.raises(FailedError, match="is off"):
        audit(scene.world())
    scene.delete()
    with pytest.raises(FailedError, match="there is no machine"):
        audit(scene.world())


def test_a_program_that_never_ends(scene: Scene) -> None:
    hypervisor, clock = scene.hypervisor, scene.clock
    hypervisor.guest("dev").agent_up(WindowsAgent(polls=10**9).answers())
    with pytest.raises(GuestError, match="did not end within 5 s"):
        Agent(hypervisor=hypervisor, clock=clock, name="dev").run(
            "reg.exe", ["query", WINLOGON], timeout=5
        )


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["pid", "exited", "exitcode", "out-data", "buf-b64", "eof", "count"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(answer=JUNK)
def test_an_agent_that_answers_junk(answer: Any) -> None:
    """One of our errors or a result, in bounded time; never another exception."""
    from tests.contract.domains import domain_xml
    from tests.fakes.hypervisor import FakeHypervisor

    clock = FakeClock()
    hypervisor = FakeHypervisor(clock=clock)
    hypervisor.define(domain_xml("dev"))
    hypervisor.start("dev")
    verbs = ("guest-exec", "guest-exec-status", "guest-file-open", "guest-file-read")
    hypervisor.guest("dev").agent_up({**dict.fromkeys(verbs, answer), "guest-file-close": {}})
    agent = Agent(hypervisor=hypervisor, clock=clock, name="dev")
    for act in (
        lambda: agent.run("cmd.exe", [], timeout=3),
        lambda: agent.read_file("C:\\x", most=200_000),
    ):
        try:
            act()
        except ProvisionerError as err:
            assert err.exit_code == 6


@pytest.mark.parametrize("script", ["scripts/first-logon.ps1.j2", "old/first-logon.ps1.j2"])
def test_what_is_looked_for_is_what_the_scripts_remove(script: str) -> None:
    text = (shipped_folder() / "templates/windows" / script).read_text(encoding="utf-8")
    listed = re.search(r"\$answers = @\(\n(.*?)\n    \)", text, re.DOTALL)
    assert listed is not None
    removed = {
        line.strip().strip('"').replace("$env:SystemRoot", "C:\\Windows")
        .replace("$env:SystemDrive", "C:").replace("`$", "$")
        for line in listed[1].splitlines()
    }  # fmt: skip
    assert removed == set(ANSWER_FILES)
