"""A new password by the guest agent: whenever the run is killed, the right one is kept."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.errors import FailedError, GuestError
from provisioner.host.secrets import FileSecretStore, KeptSecret, kept_secret
from provisioner.plan.model import MachinePlan
from provisioner.plan.steps import RotatePassword
from provisioner.run.machine import Outcome
from provisioner.secret import Generated
from provisioner.store.machine import Phase
from tests.fakes.guest import FakeGuest
from tests.unit.run.scenes import Scene, installs

LENGTH = 20
KEYS = ("administrator", "Administrator")


@dataclass
class Rotating(Scene):
    """A machine whose Administrator gets a new password; `accounts` is what the guest has."""

    accounts: dict[str, str] = field(default_factory=dict)
    refuses: int = 0
    """How many times the agent refuses first."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.when = "agent"
        self.secrets_file = self.folder / "state/dev/secrets.json"
        self.secrets = FileSecretStore(  # type: ignore[assignment]
            self.secrets_file, environment={}, home=self.folder, folder=self.folder
        )
        self.hypervisor.plays("dev", self._guest)

    def plan(self, generation: int, forwards: Mapping[str, int]) -> MachinePlan:
        made = super().plan(generation, forwards)
        slot, user = KEYS
        step = RotatePassword(name="dev", user=user, secret=slot, length=LENGTH)
        return replace(
            made,
            steps=(*made.steps, step),
            secrets={slot: Generated(generate=LENGTH)},
            intent={**made.intent, "windows.administrator.rotate": "True"},
        )

    def first(self) -> str:
        """The password on the answer disc."""
        return self.secrets.resolve(KEYS[0], Generated(generate=LENGTH)).reveal()

    def kept(self, generation: int = 1) -> KeptSecret:
        found = kept_secret(self.secrets_file, KEYS[0], generation=generation)
        assert found is not None
        return found

    def _guest(self, guest: FakeGuest) -> None:
        installs(guest)
        guest.after(10, lambda: self._agent(guest))

    def _agent(self, guest: FakeGuest) -> None:
        self.accounts.setdefault(KEYS[1], self.first())
        guest.agent_up({"guest-set-user-password": self._set})

    def _set(self, arguments: Mapping[str, Any]) -> Any:
        assert arguments["crypted"] is False
        if self.refuses:
            self.refuses -= 1
            raise GuestError("the guest agent refused it: NERR_PasswordTooShort")
        password = base64.b64decode(arguments["password"]).decode()
        self.accounts[arguments["username"]] = password
        return {}


@pytest.fixture
def scene(tmp_path: Path) -> Rotating:
    return Rotating(tmp_path)


def test_a_new_password(scene: Rotating) -> None:
    assert scene.up() is Outcome.INSTALLED
    kept = scene.kept()
    assert kept.value.reveal() == scene.accounts["Administrator"] != scene.first()
    assert kept.previous is not None and kept.previous.reveal() == scene.first()
    assert not kept.pending
    assert scene.up() is Outcome.NOTHING, "a rotated password is no change of the profile"
    assert any("give Administrator a new password" in str(e) for e in scene.console.events)


def test_each_generation_has_its_own(scene: Rotating) -> None:
    scene.up()
    old = scene.accounts.pop("Administrator")
    scene.edition = "Enterprise"
    scene.up(replace=True)
    assert scene.kept(2).value.reveal() == scene.accounts["Administrator"] != old
    assert scene.kept(1).value.reveal() == old


def test_a_refusal_keeps_the_machine(scene: Rotating) -> None:
    scene.refuses = 1
    with pytest.raises(FailedError, match="NERR_PasswordTooShort") as caught:
        scene.up()
    assert "the old one" in (caught.value.hint or "")
    state = scene.state()
    assert state is not None and state.phase is Phase.INSTALLING
    assert scene.accounts["Administrator"] == scene.first()
    assert scene.kept().pending
    assert scene.up() is Outcome.INSTALLED
    assert scene.kept().value.reveal() == scene.accounts["Administrator"]


LAST = 12
"""Calls of the hypervisor from the agent's first sign to the end; those before are
`test_up`'s."""


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_every_call(tmp_path: Path, after: bool) -> None:
    """Before each call acts or after it: one of the two kept passwords opens the machine, and the
    next `up` ends with the right one in front."""
    whole = Rotating(tmp_path / "whole")
    whole.hypervisor.kill_at = 10**6
    whole.up()
    calls = 10**6 - (whole.hypervisor.kill_at or 0)
    cut_short = 0
    for call in range(calls - LAST, calls + 1):
        scene = Rotating(tmp_path / str(call))
        if not scene.killed_up(call, after=after):
            continue  # this call fails by itself, which is no death
        if "Administrator" not in scene.accounts:
            continue  # the agent has not answered yet
        kept = scene.kept()
        known = {secret.reveal() for secret in (kept.value, kept.previous) if secret is not None}
        assert scene.accounts["Administrator"] in known, call
        cut_short += kept.pending
        assert scene.up() in (Outcome.INSTALLED, Outcome.NOTHING)
        assert scene.kept().value.reveal() == scene.accounts["Administrator"]
        assert not scene.kept().pending
    assert cut_short == 1


def test_the_password_is_in_no_message(scene: Rotating) -> None:
    scene.refuses = 1
    with pytest.raises(FailedError) as caught:
        scene.up()
    new = scene.kept().value.reveal()
    told = (*scene.console.lines, str(scene.console.events), caught.value.message)
    assert not any(new in line for line in told)
