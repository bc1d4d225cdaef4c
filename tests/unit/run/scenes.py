"""A plan made by hand and a world of fakes, for the tests of this folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from provisioner.errors import ProvisionerError
from provisioner.guest.protocol import encode
from provisioner.host.serial import FileSerialLog
from provisioner.media.boot import NoPromptPatch
from provisioner.ownership import format_ownership
from provisioner.plan.model import ForwardedPort, MachinePlan
from provisioner.plan.steps import (
    CreateDisk,
    DefineDomain,
    PassBootPrompt,
    ReadyWhen,
    RemoveAnswerDisc,
    Service,
    ShakeHands,
    StartDomain,
    Step,
    WaitReady,
    WriteAnswerDisc,
    WriteBootOverlay,
)
from provisioner.ports import Ownership, SerialPosition
from provisioner.run.machine import Outcome, UpOptions, delete, down, up
from provisioner.run.world import World
from provisioner.secret import Generated, SecretSlot
from provisioner.store.machine import MachineState, MachineStore
from provisioner.tree import File, Text, Tree
from tests.fakes.clock import FakeClock
from tests.fakes.console import RecordingConsole
from tests.fakes.guest import FakeGuest
from tests.fakes.handshakes import FakeHandshakes
from tests.fakes.hypervisor import FakeHypervisor
from tests.fakes.secrets import FakeSecretStore
from tests.fakes.serial import FakeSerialLog

T = TypeVar("T")

PASSWORD = SecretSlot(
    name="users.dev", reference=Generated(generate=20), encoding="unattend:Password"
)

DOMAIN = """<domain type="qemu"><name>{name}</name><uuid>{uuid}</uuid>
<metadata>{ownership}</metadata><devices>
<disk type="file" device="disk"><driver type="qcow2"/>
  <source file="{folder}/{stem}.qcow2"/><target dev="sda"/></disk>
<disk type="file" device="cdrom"><driver type="qcow2"/>
  <source file="{folder}/{stem}-boot.qcow2"/><target dev="sdb"/></disk>
<disk type="file" device="cdrom"><driver type="raw"/>
  <source file="{folder}/{stem}-answers.iso"/><target dev="sdc"/></disk>
<disk type="file" device="cdrom"><driver type="raw"/><target dev="sdd"/></disk>
</devices></domain>"""


class Killed(BaseException):
    """Stands for kill -9: nothing of ours runs after it."""


class SerialFile(FakeSerialLog):
    """Writes to the file that libvirt would append to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def write(self, data: bytes) -> None:
        if self.path.parent.exists():
            with self.path.open("ab") as file:
                file.write(data)


class MortalHost(FakeHypervisor):
    """A fake host whose caller can be killed at its Nth call; what is on the disk then stays."""

    def __init__(self, *, clock: FakeClock, state: Path) -> None:
        super().__init__(clock=clock)
        self.state = state
        self.kill_at: int | None = None
        self.kill_after = False
        self.dead = False

    def guest(self, name: str) -> FakeGuest:
        guest = super().guest(name)
        guest.serial = SerialFile(self.state / "dev" / "serial.log")
        return guest

    def revive(self) -> None:
        """The next process finds the folder as the dead one left it."""
        self.kill_at, self.dead = None, False
        shutil.rmtree(self.state, ignore_errors=True)
        shutil.copytree(self.state.with_name("at-death"), self.state)

    def _call(self, act: Callable[[], T], method: str, *arguments: Any) -> T:
        if self.dead:
            raise Killed
        if self.kill_at is not None:
            self.kill_at -= 1
            if self.kill_at == 0:
                if self.kill_after:
                    with suppress(ProvisionerError):
                        super()._call(act, method, *arguments)
                self.dead = True
                self.state.mkdir(parents=True, exist_ok=True)
                shutil.copytree(self.state, self.state.with_name("at-death"))
                raise Killed
        return super()._call(act, method, *arguments)


class SettledLog:
    """Reads the file as `host.serial` does, after the fake guest has caught up."""

    def __init__(self, hypervisor: FakeHypervisor, path: Path) -> None:
        self._hypervisor = hypervisor
        self._log = FileSerialLog(path)

    def read_new(self) -> bytes:
        self._hypervisor.settle()
        return self._log.read_new()

    def position(self) -> SerialPosition:
        return self._log.position()

    def resume(self, position: SerialPosition) -> str | None:
        return self._log.resume(position)


@dataclass
class Scene:
    """One machine, `dev`, on a fake host."""

    folder: Path
    clock: FakeClock = field(default_factory=FakeClock)
    secrets: FakeSecretStore = field(default_factory=FakeSecretStore)
    handshakes: FakeHandshakes = field(default_factory=FakeHandshakes)
    when: ReadyWhen = "serial"
    services: tuple[Service, ...] = ()
    resuming: bool = False
    """Whether `killed_up` is a killed `up --resume`."""
    changes: dict[str, str] = field(default_factory=dict)
    """More of the plan's intent."""
    keys: bool = False
    edition: str = "Professional"
    patience: float | None = None
    within: float = 600

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.hypervisor = MortalHost(clock=self.clock, state=self.folder / "state")
        self.console = RecordingConsole()
        self.iso = self.folder / "install.iso"
        self.iso.write_bytes(bytes(range(256)) * 256)
        self.hypervisor.plays("dev", installs)

    def world(self) -> World:
        """The ports as a new process would open them."""
        store = MachineStore(self.folder / "state" / "dev")
        return World(
            hypervisor=self.hypervisor,
            clock=self.clock,
            secrets=self.secrets,
            serial=SettledLog(self.hypervisor, store.serial_log),
            handshakes=self.handshakes,
            console=self.console,
            store=store,
            patience=self.patience,
        )

    def state(self) -> MachineState | None:
        return MachineStore(self.folder / "state" / "dev").load()

    def up(
        self,
        *,
        replace: bool = False,
        resume: bool = False,
        keep_failed: bool = False,
        detach: bool = False,
    ) -> Outcome:
        options = UpOptions(
            replace=replace,
            resume=resume,
            keep_failed=keep_failed,
            detach=detach,
            profile="dev.yaml",
            choose_ports=lambda count: tuple(range(20000, 20000 + count)),
        )
        return up(self.plan, self.world(), options)

    def killed_up(self, call: int, *, after: bool, replace: bool = False) -> bool:
        """Whether `up` was killed at this call; False where it made fewer."""
        self.hypervisor.kill_at, self.hypervisor.kill_after = call, after
        try:
            self.up(replace=replace, resume=self.resuming)
        except Killed:
            self.hypervisor.revive()
            return True
        self.hypervisor.kill_at = None
        return False

    def down(self) -> str:
        return down(self.world(), "dev", within=30, force=False)

    def delete(self) -> None:
        delete(self.world(), "dev")

    def plan(self, generation: int, forwards: Mapping[str, int]) -> MachinePlan:
        """As `compile_machine` makes it, without looking at media."""
        stem = f"dev-{generation}"
        intent = {"windows.edition": self.edition, **self.changes}
        said = "".join(f"<!-- {key}: {value} -->" for key, value in sorted(self.changes.items()))
        text = Text(parts=("<Password>", PASSWORD, f"</Password>{said}\n"))
        xml = DOMAIN.format(
            name="dev",
            uuid=f"00000000-0000-0000-0000-{generation:012d}",
            stem=stem,
            folder=self.hypervisor.host.storage.folder,
            ownership=format_ownership(Ownership(profile="dev", digest="d", version="1")),
        )
        steps: list[Step] = [
            WriteAnswerDisc(
                file_name=f"{stem}-answers.iso",
                tree=Tree([("Autounattend.xml", File(content=(text,)))]),
                label="PROVISION",
                epoch=1_700_000_000,
            ),
            WriteBootOverlay(
                file_name=f"{stem}-boot.qcow2",
                base=self.iso,
                patch=NoPromptPatch(offset=4096, data=b"\x01\0\0\0", old=b"\0\x01\x02\x03"),
            ),
            CreateDisk(file_name=f"{stem}.qcow2", size=64 * 2**30),
            DefineDomain(name="dev", xml=xml, summary="2 CPUs"),
            StartDomain(name="dev", accelerator="KVM"),
            *([PassBootPrompt(name="dev", target="sdb", reason="a test")] if self.keys else []),
            WaitReady(name="dev", when=self.when, within=self.within),
            *(
                [ShakeHands(name="dev", services=self.services, within=600)]
                if self.services
                else []
            ),
            RemoveAnswerDisc(name="dev", target="sdc", file_name=f"{stem}-answers.iso"),
        ]
        return MachinePlan(
            name="dev",
            headline="dev: a test",
            facts=(("machine", "2 CPUs"),),
            steps=tuple(steps),
            secrets={PASSWORD.name: PASSWORD.reference},
            intent=intent,
            problems=(),
            files=(f"{stem}-answers.iso", f"{stem}-boot.qcow2", f"{stem}.qcow2"),
            answer_drive="sdc",
            answer_file=f"{stem}-answers.iso",
            forwards=(
                ForwardedPort(service="rdp", guest_port=3389, host_port=forwards.get("rdp", 0)),
            ),
            users=("dev",),
        )

    def leaked(self) -> list[str]:
        """Everything of the machine that is still there."""
        left = [f"domain {record.name}" for record in self.hypervisor.domains()]
        left += [f"file {name}" for name in self.hypervisor.stored_files()]
        state = self.folder / "state"
        if state.exists():
            left += [
                str(path.relative_to(state))
                for path in state.rglob("*")
                if path.is_file() and "failures" not in path.parts and path.name != "timings.json"
            ]
        return sorted(left)


def frame(sequence: int, **payload: object) -> bytes:
    """A line of the guest."""
    return encode(sequence, payload)


def installs(guest: FakeGuest) -> None:
    """A guest that installs itself in 12 s, says so, and has an agent."""
    dvd = b'BdsDxe: starting Boot0001 "UEFI QEMU DVD-ROM"\r\n'
    guest.after(1, lambda: guest.write_serial(dvd))
    guest.reads("sdb", 200_000_000, start=1, seconds=3)
    guest.after(2, lambda: guest.write_serial(frame(1, event="stage", stage="setup")))
    guest.after(4, lambda: guest.write_serial(frame(2, event="stage", stage="image")))
    guest.after(9, lambda: guest.write_serial(frame(1, event="stage", stage="first-logon")))
    guest.after(10, guest.agent_up)
    guest.after(12, lambda: guest.write_serial(frame(2, event="ready")))
