"""`up`, `down` and `delete` on a fake host: what happens, what is undone, what survives a kill."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.errors import FailedError, GuestError, InterruptedByUser, RefusedError
from provisioner.ports import DomainState
from provisioner.run.machine import Outcome
from provisioner.store.machine import Phase
from tests.fakes.guest import FakeGuest
from tests.unit.run.scenes import Scene, frame, installs

DEVICES_OF_READY = ["domain dev", "file dev-1-boot.qcow2", "file dev-1.qcow2"]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def kept(scene: Scene) -> list[str]:
    return [line for line in scene.leaked() if line.startswith(("domain", "file"))]


def test_a_machine_is_made_and_its_answer_disc_goes(scene: Scene) -> None:
    assert scene.up() is Outcome.INSTALLED
    state = scene.state()
    assert state is not None
    assert state.phase is Phase.READY
    assert kept(scene) == DEVICES_OF_READY
    assert [drive.medium for drive in scene.hypervisor.drives("dev")][1:] == [None, None]
    stages = [members["stage"] for event, members in scene.console.moments if event == "stage"]
    assert stages == ["firmware", "boot-disc", "setup", "image", "first-logon"]


def test_up_again_finds_nothing_to_do_and_starts_a_machine_that_is_off(scene: Scene) -> None:
    scene.up()
    assert scene.up() is Outcome.NOTHING
    assert scene.down() == "off"
    assert scene.down() == "was off"
    assert scene.up() is Outcome.STARTED
    assert scene.hypervisor.domain("dev").state is DomainState.RUNNING  # type: ignore[union-attr]


def test_a_changed_profile_is_named_and_needs_replace(scene: Scene) -> None:
    scene.up()
    scene.edition = "Enterprise"
    with pytest.raises(RefusedError, match=r"windows.edition: Enterprise \(was Professional\)"):
        scene.up()
    assert kept(scene) == DEVICES_OF_READY
    assert scene.up(replace=True) is Outcome.INSTALLED
    assert kept(scene) == ["domain dev", "file dev-2-boot.qcow2", "file dev-2.qcow2"]


def test_a_changed_password_is_a_change(scene: Scene) -> None:
    scene.up()
    scene.secrets.values["users.dev"] = "another"
    with pytest.raises(RefusedError, match=r"users.dev: another value"):
        scene.up()


def test_the_old_machine_comes_back_when_its_replacement_fails(scene: Scene) -> None:
    scene.up()
    old = scene.hypervisor.domain("dev")
    scene.edition = "Enterprise"
    scene.hypervisor.plays(
        "dev",
        lambda guest: guest.after(
            9, lambda: guest.write_serial(frame(1, event="failed", stage="image", message="no"))
        ),
    )
    with pytest.raises(GuestError, match="applying the image: no"):
        scene.up(replace=True)
    back = scene.hypervisor.domain("dev")
    assert old is not None and back is not None
    assert back.uuid == old.uuid
    assert kept(scene) == DEVICES_OF_READY
    scene.edition = "Professional"
    scene.hypervisor.plays("dev", installs)
    assert scene.up() is Outcome.STARTED


def test_a_failed_guest_is_undone_and_its_last_words_are_kept(scene: Scene) -> None:
    scene.hypervisor.plays(
        "dev",
        lambda guest: guest.after(
            9, lambda: guest.write_serial(frame(1, event="failed", stage="disks", message="none"))
        ),
    )
    with pytest.raises(GuestError, match="disk laid out: none") as caught:
        scene.up()
    assert scene.leaked() == []
    folder = next((scene.folder / "state" / "failures").iterdir())
    assert str(folder) in (caught.value.hint or "")
    assert (folder / "screen.png").read_bytes().startswith(b"\x89PNG")
    assert "none" in (folder / "reason.txt").read_text()
    autopsy = caught.value.autopsy
    assert autopsy is not None and autopsy.see == str(folder / "index.html")
    assert "driver" in autopsy.cause


def test_a_failed_guest_can_be_kept_and_replaced(scene: Scene) -> None:
    scene.hypervisor.plays("dev", lambda guest: guest.after(9, guest.power_off))
    with pytest.raises(GuestError, match="turned itself off"):
        scene.up(keep_failed=True)
    state = scene.state()
    assert state is not None
    assert state.phase is Phase.FAILED
    with pytest.raises(RefusedError, match="failed to install"):
        scene.up()
    scene.hypervisor.plays("dev", installs)
    assert scene.up(replace=True) is Outcome.INSTALLED
    assert len(kept(scene)) == 3


@pytest.mark.parametrize("line", [b"Security Violation", b"UEFI Interactive Shell v2.2"])
def test_what_the_firmware_says_ends_the_wait(scene: Scene, line: bytes) -> None:
    scene.hypervisor.plays(
        "dev", lambda guest: guest.after(4, lambda: guest.write_serial(line + b"\r\n"))
    )
    with pytest.raises(GuestError, match="firmware"):
        scene.up()
    assert scene.clock.monotonic() < 10
    assert scene.leaked() == []


def test_a_silent_guest_is_given_up_after_the_time_limit(scene: Scene) -> None:
    scene.patience = 0
    scene.hypervisor.plays("dev", lambda guest: None)
    with pytest.raises(GuestError, match="not ready within 10 min"):
        scene.up()
    assert 600 <= scene.clock.monotonic() < 620


@pytest.mark.parametrize(
    ("when", "script"),
    [
        ("agent", lambda guest: guest.after(30, guest.agent_up)),
        ("power-off", lambda guest: guest.after(30, guest.power_off)),
        ("serial", installs),
        ("agent", installs),
    ],
)
def test_each_way_of_being_ready(tmp_path: Path, when: str, script: object) -> None:
    scene = Scene(tmp_path, when=when)  # type: ignore[arg-type]
    scene.hypervisor.plays("dev", script)  # type: ignore[arg-type]
    assert scene.up() is Outcome.INSTALLED


def test_an_agent_that_answers_before_the_script_ended_is_not_ready(tmp_path: Path) -> None:
    scene = Scene(tmp_path, when="agent")
    scene.up()
    assert scene.clock.monotonic() >= 12


def test_keys_are_pressed_until_the_disc_is_read(tmp_path: Path) -> None:
    scene = Scene(tmp_path, keys=True)

    def prompts(guest: FakeGuest) -> None:
        def answered(keys: object) -> None:
            guest.on_keys = None
            guest.reads("sdb", 50_000_000, seconds=5)
            guest.after(20, lambda: guest.write_serial(frame(1, event="ready")))

        def ask() -> None:
            guest.write_serial(b"Press any key to boot from CD or DVD.....")
            guest.on_keys = answered

        guest.after(5, ask)

    scene.hypervisor.plays("dev", prompts)
    assert scene.up() is Outcome.INSTALLED
    keys = scene.hypervisor.guest("dev").keys
    assert 1 <= len(keys) < 12
    assert set(keys) == {(57,)}


def test_a_missed_prompt_gets_a_fresh_boot_and_three_are_enough(tmp_path: Path) -> None:
    scene = Scene(tmp_path, keys=True)

    def deaf(guest: FakeGuest) -> None:
        guest.after(5, lambda: guest.write_serial(b"Press any key to boot from CD or DVD.....\r\n"))
        guest.after(11, lambda: guest.write_serial(b"UEFI Interactive Shell v2.2\r\n"))

    scene.hypervisor.plays("dev", deaf)
    with pytest.raises(GuestError, match="no key press was answered in 3 boots"):
        scene.up()
    assert scene.leaked() == []


def test_a_domain_of_somebody_else_is_left_alone(scene: Scene) -> None:
    xml = "<domain type='qemu'><name>dev</name><devices/></domain>"
    scene.hypervisor.add_foreign(xml)
    with pytest.raises(RefusedError, match="not made by provisioner"):
        scene.up()
    with pytest.raises(RefusedError, match="not made by provisioner"):
        scene.delete()
    with pytest.raises(RefusedError, match="not made by provisioner"):
        scene.down()
    assert scene.leaked() == ["domain dev"]
    assert scene.hypervisor.domain_xml("dev") == xml


def test_delete_removes_everything_and_can_be_repeated(scene: Scene) -> None:
    scene.up()
    scene.delete()
    assert scene.leaked() == []
    scene.delete()


def test_down_during_the_installation_keeps_it_and_up_goes_on(scene: Scene) -> None:
    def turned_off(guest: FakeGuest) -> None:
        installs(guest)
        guest.after(7, lambda: scene.down())

    scene.hypervisor.plays("dev", turned_off)
    with pytest.raises(InterruptedByUser, match="shut down by `provisioner down`"):
        scene.up()
    assert "domain dev" in scene.leaked()
    scene.hypervisor.plays("dev", installs)
    assert scene.up() is Outcome.INSTALLED
    assert kept(scene) == DEVICES_OF_READY


def test_detach_returns_once_it_installs_and_up_waits_from_the_start_on(scene: Scene) -> None:
    assert scene.up(detach=True) is Outcome.INSTALLING
    assert any(name.endswith("-answers.iso") for name in scene.hypervisor.stored_files())
    scene.clock.advance(5)
    assert scene.up() is Outcome.INSTALLED
    assert kept(scene) == DEVICES_OF_READY
    setup = [m for e, m in scene.console.moments if e == "stage" and m["stage"] == "setup"]
    assert [moment["elapsed"] for moment in setup] == [5.0]


def test_the_time_limit_counts_from_the_start_of_the_machine(scene: Scene) -> None:
    scene.hypervisor.plays("dev", lambda guest: None)
    scene.up(detach=True)
    scene.clock.advance(590)
    with pytest.raises(GuestError, match="not ready within 10 min"):
        scene.up()
    assert scene.clock.monotonic() < 590 + 130


def test_a_file_that_is_there_already_is_not_touched(scene: Scene) -> None:
    scene.hypervisor.disks["dev-1.qcow2"] = 7
    with pytest.raises(RefusedError, match=r"already holds dev-1.qcow2"):
        scene.up()
    assert scene.leaked() == ["file dev-1.qcow2"]


def test_replacing_a_machine_whose_domain_is_gone_keeps_the_new_one(scene: Scene) -> None:
    scene.up()
    scene.hypervisor.destroy("dev")
    scene.hypervisor.undefine("dev")
    scene.edition = "Enterprise"
    assert scene.up(replace=True) is Outcome.INSTALLED
    assert kept(scene) == ["domain dev", "file dev-2-boot.qcow2", "file dev-2.qcow2"]


def test_up_long_after_down_still_waits(scene: Scene) -> None:
    def turned_off(guest: FakeGuest) -> None:
        installs(guest)
        guest.after(7, lambda: scene.down())

    scene.hypervisor.plays("dev", turned_off)
    with pytest.raises(InterruptedByUser):
        scene.up()
    scene.clock.advance(24 * 3600)
    scene.hypervisor.plays("dev", installs)
    assert scene.up() is Outcome.INSTALLED


def test_up_long_after_ctrl_c_finds_the_guest_ready(scene: Scene) -> None:
    scene.up(detach=True)
    scene.clock.advance(24 * 3600)
    assert scene.up() is Outcome.INSTALLED


def test_down_is_not_taken_for_a_guest_that_turned_itself_off_when_ready(tmp_path: Path) -> None:
    scene = Scene(tmp_path, when="power-off")
    scene.hypervisor.plays("dev", lambda guest: guest.after(7, lambda: scene.down()))
    with pytest.raises(InterruptedByUser, match="shut down by `provisioner down`"):
        scene.up()
    assert "file dev-1-answers.iso" in scene.leaked()


def test_the_note_of_down_does_not_outlive_a_replacement(scene: Scene) -> None:
    scene.up()
    scene.edition = "Enterprise"
    scene.hypervisor.plays("dev", lambda guest: guest.after(5, guest.power_off))
    with pytest.raises(GuestError, match="turned itself off"):
        scene.up(replace=True)
    assert kept(scene) == DEVICES_OF_READY


def test_a_full_disk_does_not_keep_a_failed_guest(scene: Scene) -> None:
    (scene.folder / "state").mkdir()
    (scene.folder / "state" / "failures").write_text("in the way")
    scene.hypervisor.plays("dev", lambda guest: guest.after(5, guest.power_off))
    with pytest.raises(GuestError, match="turned itself off"):
        scene.up()
    assert any("could not be saved" in line for line in scene.console.warnings)
    assert kept(scene) == []


def test_a_machine_with_a_damaged_state_can_be_deleted(scene: Scene) -> None:
    scene.up()
    (scene.folder / "state" / "dev" / "state.json").write_text("{")
    scene.delete()
    assert scene.hypervisor.domain("dev") is None
    assert not (scene.folder / "state" / "dev").exists()


def test_a_failed_run_keeps_the_passwords_of_a_disc_made_before(scene: Scene) -> None:
    store = scene.world().store
    store.prepare()
    store.secrets_file.write_text("{}")
    store.promised_note.touch()
    scene.hypervisor.fails("define", FailedError("no"))
    with pytest.raises(FailedError, match="no"):
        scene.up()
    assert sorted(path.name for path in store.folder.iterdir()) == ["promised", "secrets.json"]


METHODS = ["store_file", "create_disk", "define", "start"]


@pytest.mark.parametrize("error", [FailedError("disc full"), KeyboardInterrupt()])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_a_failure_while_building_undoes_everything(
    scene: Scene, method: str, after: bool, error: BaseException
) -> None:
    scene.hypervisor.fails(method, error, after=after)
    with pytest.raises((FailedError, InterruptedByUser)):
        scene.up()
    assert scene.leaked() == []
    assert scene.up() is Outcome.INSTALLED


def test_ctrl_c_while_the_guest_installs_leaves_it_installing(scene: Scene) -> None:
    scene.hypervisor.fails("domain", KeyboardInterrupt(), on_call=8)
    with pytest.raises(InterruptedByUser, match="goes on installing") as caught:
        scene.up()
    assert "provisioner delete dev" in (caught.value.hint or "")
    assert scene.up() is Outcome.INSTALLED
    assert scene.hypervisor.guest("dev").starts == 1
    assert kept(scene) == DEVICES_OF_READY


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("verb", ["up", "down", "delete"])
def test_kill_at_every_call_and_the_next_command_finishes_or_cleans(
    tmp_path: Path, verb: str, after: bool
) -> None:
    """kill -9 before and after every single thing `up` does to the host, waiting included."""
    number = 0
    while True:
        number += 1
        scene = Scene(tmp_path / f"{number}")
        if not scene.killed_up(number, after=after):
            break
        if verb == "up":
            assert scene.up() in (Outcome.INSTALLED, Outcome.NOTHING), number
            assert kept(scene) == DEVICES_OF_READY, number
            state = scene.state()
            assert state is not None
            assert state.phase is Phase.READY, number
            continue
        record = scene.hypervisor.domain("dev")
        if verb == "down" and record is not None:
            scene.down()
            record = scene.hypervisor.domain("dev")
            assert record is None or record.state is DomainState.OFF, number
        scene.delete()
        assert scene.leaked() == [], number
    assert number > 30, "the run made fewer calls than an installation needs"


@pytest.mark.parametrize("after", [False, True])
def test_kill_at_every_call_of_a_replacement_loses_no_machine(tmp_path: Path, after: bool) -> None:
    """Either the old machine is back, or the new one is ready; never neither."""
    number = 0
    while True:
        number += 1
        scene = Scene(tmp_path / f"{number}")
        scene.up()
        scene.edition = "Enterprise"
        if not scene.killed_up(number, after=after, replace=True):
            break
        scene.up(replace=True)
        assert kept(scene) in (
            ["domain dev", f"file dev-{n}-boot.qcow2", f"file dev-{n}.qcow2"] for n in (2, 3)
        ), number
        scene.delete()
        assert scene.leaked() == [], number
    assert number > 30
