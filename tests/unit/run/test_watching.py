"""What `up` records and `watch` shows, on a fake host: silence, stalls, gaps, full disks."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from provisioner.errors import (
    ConnectionLost,
    FailedError,
    GuestError,
    GuestStalled,
    HostError,
    InterruptedByUser,
    StepError,
)
from provisioner.guest.inference import MARGIN
from provisioner.guest.protocol import encode
from provisioner.guest.stages import patience
from provisioner.run.machine import Outcome
from provisioner.run.onlooker import Onlooker
from provisioner.run.waiting import AWAY
from provisioner.store.machine import MachineStore, Phase
from provisioner.store.timeline import Moment, Timeline
from tests.fakes.console import RecordingConsole
from tests.fakes.guest import FakeGuest
from tests.unit.run.scenes import Killed, Scene, frame, installs

EMULATED = 3
MIB = 2**20


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def story(scene: Scene) -> tuple[Moment, ...]:
    return MachineStore(scene.folder / "state" / "dev").timeline.read()[0]


def told(scene: Scene, *names: str) -> list[dict[str, Any]]:
    return [dict(m) for event, m in scene.console.moments if event in names]


def stages(scene: Scene) -> list[tuple[str, str]]:
    return [(m["stage"], m["origin"]) for m in told(scene, "stage")]


def onlooker(scene: Scene, console: RecordingConsole, *, record: bool = True) -> Onlooker:
    return Onlooker(
        store=MachineStore(scene.folder / "state" / "dev"),
        console=console,
        clock=scene.clock,
        open_world=scene.world,
        record=record,
    )


def test_everything_that_happened_is_recorded_and_told(scene: Scene) -> None:
    scene.up()
    recorded = story(scene)
    assert [m.event for m in recorded if m.event not in ("screen", "progress")] == [
        *("started", "stage", "stage", "stage", "stage", "stage", "agent", "ready"),
        *("ejected", "ended"),
    ]
    assert [event for event, _ in scene.console.moments] == [m.event for m in recorded]
    elapsed = [m.members["elapsed"] for m in recorded]
    assert elapsed == sorted(elapsed)
    store = MachineStore(scene.folder / "state" / "dev")
    assert [path.name for path in store.screens()] == [
        m.members["file"] for m in recorded if m.event == "screen"
    ]
    assert len(store.screens()) == 5, "one picture per change of stage"


def silent(guest: FakeGuest) -> None:
    """Installs without a word; only the host's evidence tells."""
    dvd = b'BdsDxe: starting Boot0001 "UEFI QEMU DVD-ROM"\r\n'
    disk = b'BdsDxe: starting Boot0003 "Windows Boot Manager"\r\n'
    guest.after(1, lambda: guest.write_serial(dvd))
    guest.reads("sdb", 600 * MIB, start=2, seconds=20)
    guest.writes("sda", 1 * MIB, start=30, seconds=1)
    guest.reads("sdb", 3000 * MIB, start=40, seconds=60)
    guest.writes("sda", 6000 * MIB, start=40, seconds=60)
    guest.after(110, lambda: guest.write_serial(disk))
    guest.writes("sda", 500 * MIB, start=110, seconds=40)
    guest.after(160, lambda: guest.write_serial(disk))
    guest.after(200, guest.agent_up)


def test_a_silent_guest_is_followed_by_evidence(tmp_path: Path) -> None:
    scene = Scene(tmp_path, when="agent")
    scene.hypervisor.plays("dev", silent)
    assert scene.up() is Outcome.INSTALLED
    assert stages(scene) == [
        (stage, "inferred")
        for stage in (
            *("firmware", "boot-disc", "setup", "disks", "image", "first-boot", "oobe", "agent"),
        )
    ]
    assert all(m["evidence"] for m in told(scene, "stage"))
    progress = [m for m in told(scene, "progress") if m["stage"] == "image"]
    assert len(progress) > 5
    assert all(40 * MIB < m["rate"] < 70 * MIB for m in progress[1:-2])
    assert [m["rate"] for m in told(scene, "progress") if m["stage"] == "first-boot"][-1] == 0
    assert [m["entry"] for m in told(scene, "reboot")] == ["Windows Boot Manager"] * 2


def silent_bios(guest: FakeGuest) -> None:
    """Neither firmware nor Windows says a word; the agent is installed last."""
    guest.writes("sda", 0)
    guest.reads("sdb", 300 * 2**10, start=2, seconds=1)
    guest.reads("sdb", 600 * MIB, start=10, seconds=20)
    guest.writes("sda", 1 * MIB, start=30, seconds=1)
    guest.reads("sdb", 3000 * MIB, start=40, seconds=60)
    guest.writes("sda", 6000 * MIB, start=40, seconds=60)
    guest.after(110, guest.restart)
    guest.writes("sda", 500 * MIB, start=110, seconds=40)
    guest.after(160, guest.restart)
    guest.after(200, guest.agent_up)


def test_a_bios_machine_is_followed_by_counters_and_restarts(tmp_path: Path) -> None:
    scene = Scene(tmp_path, when="agent")
    scene.hypervisor.plays("dev", silent_bios)
    assert scene.up() is Outcome.INSTALLED
    assert stages(scene) == [
        (stage, "inferred")
        for stage in ("boot-disc", "setup", "disks", "image", "first-boot", "oobe", "agent")
    ]
    assert [m["reason"] for m in told(scene, "reboot")] == ["libvirt says so"] * 2
    assert all(m["evidence"] for m in told(scene, "stage"))


@pytest.mark.parametrize("script", [silent, silent_bios])
@pytest.mark.parametrize("at", [25, 60, 125, 170])
def test_a_silent_guest_is_followed_on_after_a_crash(
    tmp_path: Path, script: Callable[[FakeGuest], None], at: float
) -> None:
    """Whenever `up` was killed, the next one goes on counting the restarts where it stopped."""
    scene = Scene(tmp_path, when="agent")

    def dies(guest: FakeGuest) -> None:
        script(guest)
        # There restarts are told twice: by the firmware and by libvirt.
        if script is silent:
            guest.after(110, guest.restart)
            guest.after(160, guest.restart)
        guest.after(at, lambda: setattr(scene.hypervisor, "dead", True))

    scene.hypervisor.plays("dev", dies)
    with pytest.raises(Killed):
        scene.up()
    scene.hypervisor.dead = False
    assert scene.up() is Outcome.INSTALLED
    found = [m.members["stage"] for m in story(scene) if m.event == "stage"]
    assert found[-3:] == ["first-boot", "oobe", "agent"]
    assert len([m for m in story(scene) if m.event == "reboot"]) == 2


def test_a_libvirt_that_tells_of_no_restarts_ends_nothing(tmp_path: Path) -> None:
    scene = Scene(tmp_path, when="agent")
    scene.hypervisor.plays("dev", silent_bios)
    for call in range(1, 200):
        scene.hypervisor.fails("restarts", HostError("libvirt does not allow it"), on_call=call)
    assert scene.up() is Outcome.INSTALLED
    assert [stage for stage, _ in stages(scene)][-2:] == ["image", "agent"]


def test_a_count_of_restarts_that_begins_anew_is_no_restart(tmp_path: Path) -> None:
    """The keeper was killed, and another one counts."""
    scene = Scene(tmp_path, when="agent")

    def script(guest: FakeGuest) -> None:
        guest.restarts = 7  # of an earlier life
        silent_bios(guest)
        guest.after(130, lambda: setattr(guest, "restarts", 0))

    scene.hypervisor.plays("dev", script)
    assert scene.up() is Outcome.INSTALLED
    assert len(told(scene, "reboot")) == 2


def test_the_second_run_knows_how_long_the_first_one_took(tmp_path: Path) -> None:
    scene = Scene(tmp_path, when="agent")
    scene.hypervisor.plays("dev", silent)
    scene.up()
    (first,) = told(scene, "started")
    assert "usual" not in first
    scene.delete()
    scene.console.moments.clear()
    scene.up()
    (second,) = told(scene, "started")
    assert second["runs"] == 1
    median, spread = second["usual"]["image"]
    assert 60 <= median <= 75 and spread == 0
    totals = [m["total"] for m in told(scene, "progress") if m["stage"] == "image"]
    assert totals and all(total == totals[-1] for total in totals), "the size is known now"
    scene.delete()
    scene.edition = "Enterprise"
    scene.console.moments.clear()
    scene.up()
    assert "usual" not in told(scene, "started")[0], "another profile and no disc in common"


def hangs(stage: str) -> Callable[[FakeGuest], None]:
    def script(guest: FakeGuest) -> None:
        guest.after(1, lambda: guest.write_serial(frame(1, event="stage", stage="setup")))
        guest.after(2, lambda: guest.write_serial(frame(2, event="stage", stage=stage)))

    return script


@pytest.mark.parametrize("stage", ["answers", "image", "specialize", "oobe"])
def test_a_hang_is_noticed_with_what_was_looked_at(tmp_path: Path, stage: str) -> None:
    scene = Scene(tmp_path)
    scene.within = 7200
    scene.hypervisor.plays("dev", hangs(stage))
    with pytest.raises(GuestStalled, match="no progress for") as caught:
        scene.up(keep_failed=True)
    limit = EMULATED * patience(stage)
    assert caught.value.stage == stage
    assert limit <= caught.value.seconds <= limit + 25
    assert set(caught.value.looked_at) == {
        *("the serial line", "disc reads", "disk reads", "disk writes", "the screen"),
    }
    events = [m.event for m in story(scene)]
    assert events[-2:] == ["stalled", "ended"]
    stalled = story(scene)[-2].members
    assert stalled["stage"] == stage and stalled["looked_at"]


def test_the_limit_can_be_set_and_switched_off(tmp_path: Path) -> None:
    scene = Scene(tmp_path, patience=30)
    scene.hypervisor.plays("dev", hangs("image"))
    with pytest.raises(GuestStalled):
        scene.up()
    assert 30 <= scene.clock.monotonic() < 60
    assert scene.leaked() == [], "a stalled guest is undone as any that failed"


def test_a_step_that_says_how_long_it_may_take_is_given_that(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.within = 50_000

    def script(guest: FakeGuest) -> None:
        start = frame(1, event="step", name="long", state="start", timeout=4800)
        guest.after(1, lambda: guest.write_serial(start))
        guest.after(4500, lambda: guest.write_serial(frame(2, event="ready")))

    scene.hypervisor.plays("dev", script)
    assert scene.up() is Outcome.INSTALLED


def stuck(*, after: float = 1, timeout: object = 600) -> Callable[[FakeGuest], None]:
    """A step that begins, writes a line, and is never heard of again."""

    def script(guest: FakeGuest) -> None:
        start = {"event": "step", "name": "office", "number": 3, "state": "start"}
        told = {"event": "output", "step": "office", "stream": "stdout", "text": "unpacking"}
        events = ({"event": "stage", "stage": "steps"}, {**start, "timeout": timeout}, told)
        lines = b"".join(encode(n, event) for n, event in enumerate(events, start=1))
        guest.after(after, lambda: guest.write_serial(lines))

    return script


@pytest.mark.parametrize(("timeout", "limit"), [(600, 600), (9000, 9000), ("long", 3600)])
def test_a_step_that_nobody_ends_is_noticed_and_can_be_resumed(
    tmp_path: Path, timeout: object, limit: int
) -> None:
    """The guest said how long it may take; one that does not say gets an hour."""
    scene = Scene(tmp_path)
    scene.within = 50_000
    scene.hypervisor.plays("dev", stuck(timeout=timeout))
    with pytest.raises(StepError, match=f"step 'office' was to end within {limit} s") as caught:
        scene.up()
    assert (caught.value.exit_code, caught.value.number) == (6, 3)
    assert caught.value.autopsy is not None
    assert "says nothing: Windows hangs" in caught.value.autopsy.cause
    assert limit + EMULATED * MARGIN <= scene.clock.monotonic() < limit + EMULATED * MARGIN + 30
    (stalled,) = told(scene, "stalled")
    assert (stalled["step"], stalled["timeout"], stalled["stage"]) == ("office", limit, "steps")
    scene.hypervisor.plays("dev", installs)
    assert scene.up(resume=True) is Outcome.INSTALLED


def test_watch_takes_over_in_the_middle_of_a_step(scene: Scene) -> None:
    """What it knows of the step's time limit is what was recorded."""
    scene.hypervisor.plays("dev", stuck())
    scene.hypervisor.kill_at = 40
    with pytest.raises(Killed):
        scene.up()
    scene.hypervisor.kill_at, scene.hypervisor.dead = None, False
    assert "output" in [moment.event for moment in story(scene)]
    taken_over = scene.clock.monotonic()
    with pytest.raises(GuestStalled, match="step 'office' was to end within 600 s"):
        onlooker(scene, RecordingConsole()).watch()
    assert scene.clock.monotonic() - taken_over < 600 + EMULATED * MARGIN + 30


def test_a_restart_in_the_middle_of_a_step_is_no_stall(tmp_path: Path) -> None:
    """It takes longer than the step may: with a firmware that tells, and with busy disks alone."""
    for firmware in (True, False):
        scene = Scene(tmp_path / f"{firmware}")
        scene.within = 5000

        def script(guest: FakeGuest, firmware: bool = firmware) -> None:
            stuck(timeout=30)(guest)
            if firmware:
                line = b'BdsDxe: starting Boot0003 "Windows Boot Manager"\r\n'
                guest.writes("sda", MIB, start=1)
                guest.after(20, lambda: guest.write_serial(line))
            else:
                guest.writes("sda", 2000 * MIB, start=20, seconds=900)
            guest.after(930, lambda: guest.write_serial(frame(1, event="ready")))

        scene.hypervisor.plays("dev", script)
        assert scene.up() is Outcome.INSTALLED


def test_libvirt_is_started_anew_in_the_middle(scene: Scene) -> None:
    """Several calls in a row meet nobody; the machine is installed all the same."""
    for call in range(4, 6):
        scene.hypervisor.fails("domain", ConnectionLost("cannot look up: gone"), on_call=call)
        scene.hypervisor.fails("agent", HostError("cannot connect: refused"), on_call=call - 3)
    assert scene.up() is Outcome.INSTALLED
    assert len([line for line in scene.console.warnings if "runs on without it" in line]) <= 2
    (gap, *_) = told(scene, "gap")
    assert gap["reason"] == "libvirt did not answer"


def test_libvirt_is_away_when_the_guest_gets_ready(scene: Scene) -> None:
    """The serial log says so all the same; ejecting the disc has to wait, and the gap is marked."""
    away: list[float] = []

    def script(guest: FakeGuest) -> None:
        installs(guest)
        guest.after(11, lambda: away.append(scene.clock.monotonic()))

    scene.hypervisor.plays("dev", script)
    domain = scene.hypervisor.domain

    def gone(name: str) -> Any:
        if away and scene.clock.monotonic() < away[0] + 30:
            raise HostError("cannot connect: refused")
        return domain(name)

    scene.hypervisor.domain = gone  # type: ignore[method-assign]
    assert scene.up() is Outcome.INSTALLED
    (gap,) = told(scene, "gap")
    assert gap["reason"] == "libvirt did not answer" and 25 <= gap["seconds"] <= 35
    assert [drive.medium for drive in scene.hypervisor.drives("dev")][1:] == [None, None]


def test_libvirt_is_started_anew_while_a_key_is_to_be_pressed(tmp_path: Path) -> None:
    scene = Scene(tmp_path, keys=True)
    scene.hypervisor.fails("send_keys", ConnectionLost("cannot press: gone"))
    scene.hypervisor.fails("block_counters", ConnectionLost("cannot read: gone"), on_call=6)
    assert scene.up() is Outcome.INSTALLED
    assert told(scene, "gap")[0]["reason"] == "libvirt did not answer"


def test_libvirt_that_does_not_come_back_ends_the_wait_and_undoes_nothing(scene: Scene) -> None:
    scene.hypervisor.plays("dev", lambda guest: None)
    for call in range(6, 2000):
        scene.hypervisor.fails("domain", HostError("cannot connect: refused"), on_call=call)
    with pytest.raises(HostError):
        scene.up()
    assert AWAY <= scene.clock.monotonic() < AWAY + 60
    state = scene.state()
    assert state is not None and state.phase is Phase.INSTALLING


def test_junk_from_the_agent_is_no_answer(tmp_path: Path) -> None:
    scene = Scene(tmp_path, when="agent")

    def script(guest: FakeGuest) -> None:
        guest.after(5, lambda: guest.agent_up({"guest-get-osinfo": ["junk", {"x": 1}]}))

    scene.hypervisor.plays("dev", script)
    scene.hypervisor.fails("agent", GuestError("gave no sensible answer to guest-ping"), on_call=2)
    assert scene.up() is Outcome.INSTALLED
    assert told(scene, "agent")[0].keys() == {"origin", "at", "elapsed"}


def test_powered_off_by_hand(scene: Scene) -> None:
    scene.hypervisor.plays("dev", lambda guest: guest.after(7, guest.power_off))
    with pytest.raises(GuestError, match="turned itself off during: power on"):
        scene.up(keep_failed=True)
    assert story(scene)[-1].members["outcome"] == "failed"


def test_lying_and_garbled_lines(scene: Scene) -> None:
    """Nothing of it ends the wait, and what is whole is believed."""

    def script(guest: FakeGuest) -> None:
        write = guest.write_serial
        guest.after(1, lambda: write(frame(2**31, event="stage", stage="image")))
        guest.after(2, lambda: write(frame(1, event="stage", stage="x" * 3000, at=1, origin=2)))
        guest.after(3, lambda: write(frame(9, event="progress", done="many", total=-1)))
        guest.after(3, lambda: write(frame(10, event="stage", stage={"a": [1]}, log="x")))
        guest.after(4, lambda: write(frame(11, event="ready").replace(b"ready", b"reedy")))
        guest.after(4, lambda: write(b"\xff\x00\x1b[2J" * 5000))
        guest.after(5, lambda: write(b"\r\n" + frame(3, event="step", name=None, state=[])))
        guest.after(9, lambda: write(frame(1, event="ready")))

    scene.hypervisor.plays("dev", script)
    assert scene.up() is Outcome.INSTALLED
    assert 8 <= scene.clock.monotonic() < 12
    gaps = [m for m in told(scene, "gap") if "lines" in m]
    assert gaps and gaps[0]["lines"] == 2**31 - 1
    assert all(isinstance(m.at, float) and m.at > 1e9 for m in story(scene))


def test_a_flood_of_the_guest_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(tmp_path)

    def script(guest: FakeGuest) -> None:
        for second in range(1, 30):
            lines = b"".join(
                frame(second * 1000 + n, event="output", step="s", stream="stdout", text="x" * 900)
                for n in range(900)
            )
            guest.after(second, lambda lines=lines: guest.write_serial(lines))  # type: ignore[misc]
        guest.after(31, lambda: guest.write_serial(frame(1, event="ready")))

    scene.hypervisor.plays("dev", script)
    assert scene.up() is Outcome.INSTALLED
    store = MachineStore(scene.folder / "state" / "dev")
    assert store.timeline.size() < 17 * MIB
    assert any("says too much" in str(m.get("reason")) for m in told(scene, "gap"))
    assert story(scene)[-1].members["outcome"] == "ready"


class FullTimeline(Timeline):
    """Writes to /dev/full, which is always full."""

    def append(self, moment: Moment) -> None:
        Timeline(Path("/dev/full")).append(moment)


def test_a_full_state_folder_is_told_once_and_the_installation_goes_on(scene: Scene) -> None:
    world = scene.world

    def full() -> Any:
        made = world()
        made.store.timeline = FullTimeline(made.store.timeline_file)
        return made

    scene.world = full  # type: ignore[method-assign]
    assert scene.up() is Outcome.INSTALLED
    complaints = [line for line in scene.console.warnings if "cannot be written" in line]
    assert len(complaints) == 1 and "No space left" in complaints[0]
    assert [m["stage"] for m in told(scene, "stage")][-1] == "first-logon", "told all the same"


class Jumping:
    """A wall clock that somebody sets while the machine is installed."""

    def __init__(self, scene: Scene) -> None:
        self._clock, self._offset = scene.clock, 0.0
        self.monotonic, self.sleep = scene.clock.monotonic, scene.clock.sleep

    def now(self) -> float:
        self._offset += 1e5 if self._clock.monotonic() % 2 > 1 else -1e5
        return self._clock.now() + self._offset


def test_a_clock_that_jumps_changes_no_time(scene: Scene) -> None:
    from dataclasses import replace

    world = scene.world
    scene.world = lambda: replace(world(), clock=Jumping(scene))  # type: ignore[method-assign]
    assert scene.up() is Outcome.INSTALLED
    elapsed = [m.members["elapsed"] for m in story(scene)]
    assert elapsed == sorted(elapsed) and elapsed[-1] < 20


def test_watch_attached_late_shows_the_whole_history(scene: Scene) -> None:
    scene.up()
    console = RecordingConsole()
    assert onlooker(scene, console).watch() is Phase.READY
    assert console.moments == scene.console.moments


def test_watch_takes_over_after_a_crash_and_up_after_watch(scene: Scene) -> None:
    """Killed in the middle: what the guest said meanwhile is recorded late, the gap is marked,
    nothing is told twice, and the next `up` finishes."""
    scene.hypervisor.kill_at = 32
    with pytest.raises(Killed):
        scene.up()
    scene.hypervisor.kill_at, scene.hypervisor.dead = None, False
    before = [m for m in story(scene) if m.event != "screen"]
    assert before and before[-1].event != "ended"
    scene.clock.advance(60)
    console = RecordingConsole()
    assert onlooker(scene, console).watch() is Phase.INSTALLING
    assert any("ready" in line for line in console.lines)
    gaps = [m for e, m in console.moments if e == "gap"]
    assert [g["reason"] for g in gaps] == ["nobody was recording"]
    assert gaps[0]["seconds"] >= 60
    reported = [
        m.members["stage"] for m in story(scene) if m.event == "stage" and m.origin == "reported"
    ]
    assert reported == ["setup", "image", "first-logon"], "each once"
    assert scene.up() is Outcome.INSTALLED
    assert [m.event for m in story(scene)].count("ready") == 1


def test_watch_reads_only_while_up_is_alive(scene: Scene) -> None:
    scene.up(detach=True)
    lock = scene.folder / "state" / ".dev.lock"
    lock.write_text(f"{os.getpid()}\n")
    console = RecordingConsole()
    watcher = onlooker(scene, console)

    class Enough(Exception):
        pass

    def sleep(seconds: float) -> None:
        scene.clock.advance(seconds)
        if scene.clock.monotonic() > 40:
            raise Enough

    scene.clock.sleep = sleep  # type: ignore[method-assign]
    calls = len(scene.hypervisor.calls)
    with pytest.raises(Enough):
        watcher.watch()
    assert len(scene.hypervisor.calls) == calls, "it asked libvirt nothing"
    assert [event for event, _ in console.moments][-1] == "ended"


def test_watch_tells_how_it_failed_and_that_it_is_gone(scene: Scene) -> None:
    scene.hypervisor.plays(
        "dev",
        lambda guest: guest.after(
            3, lambda: guest.write_serial(frame(1, event="failed", stage="disks", message="none"))
        ),
    )
    with pytest.raises(GuestError):
        scene.up(keep_failed=True)
    with pytest.raises(GuestError, match="disk laid out: none"):
        onlooker(scene, RecordingConsole()).watch()
    scene.delete()
    assert onlooker(scene, RecordingConsole()).watch() is None


def test_watch_notices_a_stall_itself(scene: Scene) -> None:
    scene.hypervisor.plays("dev", hangs("image"))
    scene.patience = 30
    scene.up(detach=True)
    with pytest.raises(GuestStalled):
        onlooker(scene, RecordingConsole()).watch()
    assert story(scene)[-1].event == "stalled"
    state = scene.state()
    assert state is not None and state.phase is Phase.INSTALLING, "an onlooker undoes nothing"


def test_watch_of_a_machine_that_is_turned_off(scene: Scene) -> None:
    scene.hypervisor.plays("dev", lambda guest: guest.after(9, guest.power_off))
    scene.up(detach=True)
    console = RecordingConsole()
    assert onlooker(scene, console).watch() is Phase.INSTALLING
    assert any("is off in the middle of" in line for line in console.lines)


def test_watch_without_libvirt_shows_the_record(scene: Scene) -> None:
    scene.up(detach=True)
    console = RecordingConsole()
    watcher = onlooker(scene, console)
    tries = []

    def refused() -> Any:
        tries.append(scene.clock.monotonic())
        if len(tries) > 3:
            raise KeyboardInterrupt
        raise HostError("libvirt's daemon is not running")

    watcher.open_world = refused
    with pytest.raises(KeyboardInterrupt):
        watcher.watch()
    assert len(console.warnings) == 1
    assert [b - a >= 5 for a, b in pairwise(tries)] == [True] * 3


def test_a_new_generation_begins_a_new_story(scene: Scene) -> None:
    scene.up()
    scene.edition = "Enterprise"
    scene.hypervisor.plays("dev", installs)
    scene.up(replace=True)
    assert [m.event for m in story(scene)].count("started") == 1
    store = MachineStore(scene.folder / "state" / "dev")
    assert len(store.screens()) == 5


def test_stopped_by_down(scene: Scene) -> None:
    scene.hypervisor.plays("dev", lambda guest: guest.after(6, lambda: scene.down()))
    with pytest.raises((InterruptedByUser, FailedError)):
        scene.up()
    assert story(scene)[-1].members["outcome"] == "stopped"
