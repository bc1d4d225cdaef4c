"""Steps of the profile that fail in the guest, `up --resume`, and handshakes, on a fake host."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.errors import GuestError, RefusedError, StepError
from provisioner.guest.protocol import Frame
from provisioner.guest.steps import failed_step, log, results, summary, words
from provisioner.plan.steps import Service
from provisioner.ports import DomainState
from provisioner.run.machine import Outcome
from provisioner.store.machine import Phase
from tests.fakes.guest import FakeGuest
from tests.unit.run.scenes import Scene, frame, installs

RDP = Service(name="rdp", guest_port=3389, host_port=20000)
SSH = Service(name="ssh", guest_port=22)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def fails_in_step_two(guest: FakeGuest) -> None:
    """Step 1 is fine, step 2 exits 5; the guest stays on and says nothing more."""
    name = {"name": "two", "number": 2}
    events: list[dict[str, object]] = [
        {"event": "stage", "stage": "steps"},
        {"event": "step", "name": "one", "number": 1, "state": "start", "attempt": 1},
        {"event": "output", "step": "one", "stream": "stdout", "text": "fine"},
        {"event": "step", "name": "one", "number": 1, "state": "end", "exit_code": 0},
        {"event": "step", **name, "state": "start", "attempt": 1},
        {"event": "output", "step": "two", "stream": "stderr", "text": "no disk"},
        {"event": "step", **name, "state": "end", "exit_code": 5, "attempt": 1},
        {"event": "failed", "stage": "steps", "message": "step 'two' exited 5"},
    ]
    for number, event in enumerate(events, start=1):
        guest.after(5, lambda n=number, e=event: guest.write_serial(frame(n, **e)))  # type: ignore[misc]


def fail(scene: Scene) -> StepError:
    scene.hypervisor.plays("dev", fails_in_step_two)
    with pytest.raises(StepError) as caught:
        scene.up()
    return caught.value


def test_a_failed_step_keeps_the_machine_and_its_output(scene: Scene) -> None:
    error = fail(scene)
    assert (error.exit_code, error.number) == (6, 2)
    assert "running the steps: step 'two' exited 5" in error.message
    assert "up --resume" in (error.hint or "")
    written = [members["text"] for event, members in scene.console.moments if event == "output"]
    assert written == ["fine", "no disk"], "told as it came"
    state = scene.state()
    assert state is not None
    assert (state.phase, state.failed_step) == (Phase.FAILED, 2)
    assert scene.hypervisor.guest("dev").state is DomainState.RUNNING
    (folder,) = (scene.folder / "state" / "failures").iterdir()
    log = (folder / "steps.log").read_text().splitlines()
    assert log == [
        *("step one", "  fine", "step one exited 0"),
        *("step two", "! no disk", "step two exited 5"),
    ]


def test_up_names_the_way_out(scene: Scene) -> None:
    fail(scene)
    with pytest.raises(RefusedError, match="failed in step 2") as caught:
        scene.up()
    assert "--resume" in (caught.value.hint or "") and "--replace" in (caught.value.hint or "")


@pytest.mark.parametrize("off", [False, True])
def test_resume_starts_the_same_machine_again(scene: Scene, off: bool) -> None:
    fail(scene)
    guest = scene.hypervisor.guest("dev")
    if off:
        guest.power_off()
    scene.hypervisor.plays("dev", installs)
    before = scene.hypervisor.domain("dev")
    assert scene.up(resume=True) is Outcome.INSTALLED
    after = scene.hypervisor.domain("dev")
    assert before is not None and after is not None and before.uuid == after.uuid
    state = scene.state()
    assert state is not None
    assert (state.phase, state.failed_step, state.reason) == (Phase.READY, None, None)
    assert [drive.medium for drive in scene.hypervisor.drives("dev")][1:] == [None, None]


def test_a_guest_that_does_not_turn_off_loses_its_plug(scene: Scene) -> None:
    fail(scene)
    scene.hypervisor.guest("dev").on_shutdown = lambda: None
    scene.hypervisor.plays("dev", installs)
    assert scene.up(resume=True) is Outcome.INSTALLED


def test_it_can_fail_and_be_resumed_again(scene: Scene) -> None:
    fail(scene)
    with pytest.raises(StepError, match="step 'two' exited 5"):
        scene.up(resume=True)
    scene.hypervisor.plays("dev", installs)
    assert scene.up(resume=True) is Outcome.INSTALLED


def test_a_corrected_step_gets_a_new_answer_disc(scene: Scene) -> None:
    scene.changes = {
        "windows.steps[0].cmd": "one",
        "windows.steps[1].cmd": "two",
        "file.provision/steps/02-two.cmd": "a",
        "file.provision/steps/steps.json": "a",
    }
    fail(scene)
    scene.changes |= {
        "windows.steps[1].cmd": "corrected",
        "windows.steps[2].cmd": "new",
        "file.provision/steps/02-two.cmd": "b",
        "file.provision/steps/03-new.cmd": "b",
        "file.provision/steps/steps.json": "b",
    }
    written: list[bytes] = []

    def looks(guest: FakeGuest) -> None:
        written.append(scene.hypervisor.files["dev-1-answers.iso"])
        installs(guest)

    scene.hypervisor.plays("dev", looks)
    assert scene.up(resume=True) is Outcome.INSTALLED
    assert b"corrected" in written[0]
    assert scene.up() is Outcome.NOTHING, "the changed profile is the machine's now"


@pytest.mark.parametrize(
    "change",
    [
        {"windows.steps[0].cmd": "another"},
        {"file.provision/steps/01-one.cmd": "b"},
        {"windows.owner": "somebody"},
        {"file.provision/first-logon.ps1": "b"},
    ],
)
def test_what_is_done_already_cannot_change(scene: Scene, change: dict[str, str]) -> None:
    fail(scene)
    scene.changes = change
    with pytest.raises(RefusedError, match="more has changed than step 2"):
        scene.up(resume=True)
    state = scene.state()
    assert state is not None and state.failed_step == 2
    assert scene.hypervisor.guest("dev").state is DomainState.RUNNING


def test_resume_after_another_failure_is_refused(scene: Scene) -> None:
    scene.hypervisor.plays("dev", lambda guest: guest.after(9, guest.power_off))
    with pytest.raises(GuestError):
        scene.up(keep_failed=True)
    with pytest.raises(RefusedError, match="did not fail in a step"):
        scene.up(resume=True)


def test_resume_without_a_failure_is_up(scene: Scene) -> None:
    assert scene.up(resume=True) is Outcome.INSTALLED
    assert scene.up(resume=True) is Outcome.NOTHING


@pytest.mark.parametrize("after", [False, True])
def test_killed_while_resuming(tmp_path: Path, *, after: bool) -> None:
    """Whichever call of libvirt was the last, `up --resume` or `up` finishes the work."""
    for call in range(1, 60):
        scene = Scene(tmp_path / f"{call}")
        fail(scene)
        scene.changes = {"windows.steps[1].cmd": "corrected"}
        scene.hypervisor.plays("dev", installs)
        scene.resuming = True
        if not scene.killed_up(call, after=after):
            break
        assert scene.up(resume=True) in (Outcome.INSTALLED, Outcome.NOTHING, Outcome.STARTED)
        state = scene.state()
        assert state is not None and state.phase is Phase.READY
    else:
        raise AssertionError("it never came to its end")


def test_services_shake_hands_before_the_disc_goes(scene: Scene) -> None:
    scene.services = (RDP, SSH)
    up_at = scene.clock.monotonic() + 30
    scene.handshakes.answers["127.0.0.1", 20000] = lambda: (
        "rdp" if scene.clock.monotonic() > up_at else None
    )
    scene.handshakes.answers["192.0.2.7", 22] = "ssh"

    def with_address(guest: FakeGuest) -> None:
        installs(guest)
        guest.addresses = ("fe80::1", "192.0.2.9", "192.0.2.7")

    scene.hypervisor.plays("dev", with_address)
    assert scene.up() is Outcome.INSTALLED
    assert any(
        "ready: the guest says so, RDP and SSH shake hands" in line for line in scene.console.lines
    )
    assert ("ssh", "fe80::1", 22) not in scene.handshakes.asked
    asked = [service for service, _, _ in scene.handshakes.asked]
    assert asked.count("ssh") == 2, "who has answered is not asked again"


def test_a_wrong_service_is_not_ready(scene: Scene) -> None:
    scene.services = (RDP,)
    scene.handshakes.answers["127.0.0.1", 20000] = "ssh"
    with pytest.raises(GuestError, match=r"no hands were shaken: rdp at .*: this is"):
        scene.up()
    assert scene.leaked() == []


def test_a_guest_without_an_address(scene: Scene) -> None:
    scene.services = (SSH,)
    with pytest.raises(GuestError, match="the guest has no address yet"):
        scene.up()


def test_a_guest_that_turns_itself_off(scene: Scene) -> None:
    scene.services = (RDP,)

    def off(guest: FakeGuest) -> None:
        installs(guest)
        guest.after(20, guest.power_off)

    scene.hypervisor.plays("dev", off)
    with pytest.raises(GuestError, match="turned itself off before RDP shakes hands"):
        scene.up()


def frames(*events: dict[str, object]) -> list[Frame]:
    return [Frame(sequence=n, payload=event) for n, event in enumerate(events, start=1)]


def test_the_count_of_steps() -> None:
    def ended(number: int, code: int | None) -> dict[str, object]:
        state = {"state": "skip"} if code is None else {"state": "end", "exit_code": code}
        return {"event": "step", "name": "x", "number": number, **state}

    assert summary(frames()) is None
    assert summary(frames(ended(1, 0), ended(2, 0))) == "2 of 2 steps exited 0"
    assert summary(frames(ended(1, 7), ended(1, 0))) == "1 of 1 steps exited 0", "resumed"
    told = summary(frames(ended(1, 3010), ended(2, None), ended(3, 0)))
    assert told == "1 of 3 steps exited 0, others 3010, 1 skipped"


def test_results_and_words() -> None:
    given = frames({"event": "result", "step": "a", "name": "v", "text": "1.2"})
    assert results(given) == {"a": {"v": "1.2"}}
    assert words(given[0]) == "step a: v = 1.2"
    retried = {"event": "step", "name": "a", "state": "retry", "exit_code": 9}
    assert words(frames(retried)[0]) == "step a exited 9; it is tried again"
    again = {"event": "step", "name": "a", "state": "start", "attempt": 2}
    assert words(frames(again)[0]) == "step a, attempt 2"


@pytest.mark.parametrize("junk", [None, True, "5", [], {}, 1.5, 10**400])
def test_a_guest_that_lies(junk: object) -> None:
    """Whatever stands where a number or a text should, nothing breaks."""
    for key in ("number", "name", "state", "exit_code", "attempt", "text", "stage", "step"):
        for event in ("step", "output", "result", "failed"):
            lies = frames({"event": event, key: junk}, {"event": "failed", "stage": "steps"})
            failed_step(lies), results(lies), summary(lies[:1])
            [words(one) for one in lies]


def test_a_guest_cannot_talk_to_the_terminal() -> None:
    told = frames(
        {"event": "step", "name": "a\x1b[2J\nb", "state": "start", "number": 1},
        {"event": "output", "text": "\x1b]0;title\x07\u202egnp.exe"},
        {"event": "failed", "stage": "steps"},
    )
    assert failed_step(told) == 1
    assert list(log(told)) == ["step a?[2J?b", "  ?]0;title??gnp.exe"]
    assert words(told[0]) == "step a?[2J?b"


def test_results_are_bounded() -> None:
    many = [
        {"event": "result", "step": "a", "name": str(n), "text": "x" * 9000} for n in range(999)
    ]
    kept = results(frames(*many))["a"]
    assert len(kept) == 200
    assert {len(text) for text in kept.values()} == {1000}
