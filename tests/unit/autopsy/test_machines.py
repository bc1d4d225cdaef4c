"""Machines on a fake host: what is gathered, masked, judged and written."""

from __future__ import annotations

import html
import json
import os
import resource
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from provisioner.autopsy import gather
from provisioner.autopsy.bundle import bundle_folder, bundles, members, write_bundle
from provisioner.autopsy.case import Case, Kind
from provisioner.autopsy.gather import Machine, examine_machine
from provisioner.autopsy.pictures import png, png_of
from provisioner.errors import GuestError, HostError, RefusedError
from provisioner.guest.listener import STAGES
from provisioner.guest.protocol import encode
from provisioner.plan.steps import DefineDomain
from provisioner.ports import Picture
from provisioner.quoting import unattend_password
from provisioner.store.machine import Generation, MachineState, MachineStore, Phase
from provisioner.store.timeline import FILE, Moment, Origin, Timeline
from tests.fakes.guest import FakeGuest
from tests.integration.canary import leaks_in_files, secret_with
from tests.unit.autopsy import disks
from tests.unit.autopsy.pixels import dialog, identify, ppm, rgb
from tests.unit.run.scenes import Scene, frame

MARKER = "Zq7KanariMachine9x"
AT = 1_800_000_000.0


@dataclass
class Bench:
    """A machine `dev` that runs on a fake host, and a state folder."""

    folder: Path
    scene: Scene = field(init=False)

    def __post_init__(self) -> None:
        self.scene = Scene(self.folder)
        self.store = MachineStore(self.folder / "state" / "dev")
        self.store.prepare()
        self.timeline = Timeline(self.store.folder / FILE)

    def define(self, disk: Path | None = None) -> None:
        """Defines and starts it; `disk` is a raw image to take for its own."""
        host = self.scene.hypervisor
        xml = next(s.xml for s in self.scene.plan(1, {}).steps if isinstance(s, DefineDomain))
        if disk is not None:
            own = (
                f'<driver type="qcow2"/>\n  <source file="{host.host.storage.folder}/dev-1.qcow2"/>'
            )
            assert own in xml
            xml = xml.replace(own, f'<driver type="raw"/>\n  <source file="{disk}"/>')
        for name in ("dev-1.qcow2", "dev-1-boot.qcow2", "dev-1-answers.iso"):
            host.disks[name] = 1
        host.define(xml)
        host.plays("dev", lambda guest: None)
        host.start("dev")

    def remember(self) -> None:
        """The machine is one of ours, in the middle of its installation."""
        generation = Generation(number=1, domain="dev", digest="d", intent={"name": "dev"})
        self.store.save(
            MachineState(
                name="dev",
                uri="test:///default",
                phase=Phase.INSTALLING,
                profile="dev.yaml",
                current=generation,
            )
        )

    def happened(self, event: str, at: float = 0, **members_: object) -> None:
        self.timeline.append(
            Moment(at=AT + at, event=event, origin=Origin.REPORTED, members=members_)
        )

    def examine(self, *, reason: str = "", secrets: tuple[str, ...] = ()) -> Case:
        return examine_machine(
            Machine(
                name="dev",
                hypervisor=self.scene.hypervisor,
                store=self.store,
                at=AT + 500,
                reason=reason,
                secrets=secrets,
            )
        )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def signature(case: Case) -> str:
    assert case.verdict is not None
    return case.verdict.signature


@pytest.mark.parametrize("stage", STAGES)
def test_a_guest_that_hangs_is_judged_by_its_stage(tmp_path: Path, stage: str) -> None:
    """Through `up` itself: the guest says so many stages and no more; its time runs out."""
    scene = Scene(tmp_path)
    said = list(STAGES)[: list(STAGES).index(stage) + 1]

    def hangs(guest: FakeGuest) -> None:
        for number, name in enumerate(said, start=1):
            line = frame(number, event="stage", stage=name)
            guest.after(number, lambda line=line: guest.write_serial(line))  # type: ignore[misc]

    scene.hypervisor.plays("dev", hangs)
    with pytest.raises(GuestError) as caught:
        scene.up()
    (folder,) = (tmp_path / "state" / "failures").iterdir()
    told = json.loads((folder / "autopsy.json").read_text())
    assert told["verdict"]["signature"] == f"stage.{stage}"
    assert told["stage"] == STAGES[stage]
    autopsy = caught.value.autopsy
    assert autopsy is not None and autopsy.cause == told["verdict"]["cause"]
    assert autopsy.see == str(folder / "index.html")
    assert f"last stage: {STAGES[stage]}" in html.unescape((folder / "index.html").read_text())


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ({"stage": "answers", "message": "language page shown: no answer file is used"},
         "page.language"),
        ({"stage": "answers", "message": "select image page shown: several images match"},
         "page.image"),
        ({"stage": "disks", "message": "there is no disk 0"}, "disk.none"),
        ({"stage": "specialize", "message": "could not parse or process unattend answer file "
          "[x] for pass [specialize]. A component or setting specified in the answer file does not "
          "exist. (more)"}, "answers.unknown-setting"),
        ({"stage": "oobe", "message": "OOBE privacy page shown: no default"}, "oobe.page"),
        ({"stage": "first-logon", "message": "step 'runtime' exited 3010"}, "step.reboot-code"),
        ({"stage": "first-logon", "message": "step 'x' was ended after 60 seconds"},
         "step.time-limit"),
        ({"stage": "agent", "message": "the installer of the guest agent exited 1603"},
         "agent.installer"),
    ],
)  # fmt: skip
def test_what_the_guest_says_when_it_gives_up(
    bench: Bench, said: dict[str, str], verdict: str
) -> None:
    bench.define()
    bench.store.serial_log.write_bytes(
        encode(1, {"event": "stage", "stage": said["stage"]})
        + encode(2, {"event": "failed", **said})
    )
    assert signature(bench.examine(reason="dev gave up")) == verdict


@pytest.mark.parametrize(
    ("reason", "verdict"),
    [
        ("dev was paused by QEMU, which happens when the disk under it is full", "host.paused"),
        ("dev turned itself off during: applying the image", "guest.turned-off"),
        ("dev turned itself off while it was to boot from the install disc", "guest.turned-off"),
        ("dev did not boot from the install disc: no key press was answered in 3 boots",
         "boot.prompt-missed"),
        ("the firmware found nothing to boot from and waits in its own shell or menu",
         "boot.nothing"),
        ("the boot loader found no system and waits at its own prompt", "boot.loader-prompt"),
        ("the firmware refused the disc's boot loader (Security Violation)",
         "boot.security-violation"),
    ],
)  # fmt: skip
def test_what_up_itself_says(bench: Bench, reason: str, verdict: str) -> None:
    bench.define()
    assert signature(bench.examine(reason=reason)) == verdict


def test_a_machine_that_somebody_else_made(bench: Bench) -> None:
    """Nobody listened to it: that nothing was heard says nothing. Its disk is read all the same."""
    error = b"2026-11-22 10:00:00, Error IBS  No images are available.\r\n"
    disk = disks.gpt_disk(bench.folder, {"Windows/Panther/setuperr.log": error})
    bench.define(disk)
    case = bench.examine()
    assert signature(case) == "key.no-images" and len(case.findings) == 1
    assert any("made elsewhere" in remark for remark in case.remarks)


def test_nothing_heard_and_only_firmware(bench: Bench) -> None:
    bench.define()
    bench.remember()
    assert signature(bench.examine()) == "stage.power-on"
    bench.store.serial_log.write_bytes(b'BdsDxe: starting Boot0001 "UEFI QEMU DVD-ROM"\r\n')
    case = bench.examine()
    assert signature(case) == "stage.firmware"
    assert [moment.event for moment in case.moments] == ["boot"]


def test_a_ready_machine_has_no_verdict(bench: Bench) -> None:
    bench.define()
    bench.happened("stage", stage="cleanup")
    bench.happened("ready", 3)
    case = bench.examine()
    assert case.verdict is None and case.stage == "ready"


def test_the_timeline_and_its_pictures(bench: Bench) -> None:
    bench.define()
    bench.happened("started")
    screens = bench.store.folder / "screens"
    screens.mkdir()
    for number, stage in enumerate(["setup", "answers", "image", "specialize"] * 10):
        bench.happened("stage", number * 10, stage=stage)
        path = screens / f"{number}.ppm"
        path.write_bytes(ppm(8, 6))
        bench.happened("screen", number * 10 + 1, file=f"screens/{number}.ppm")
    (bench.folder / "outside.png").write_bytes(b"\x89PNG\r\n\x1a\n not ours")
    (screens / "text.png").write_bytes(b"no picture")
    for file in ("../../outside.png", "/etc/passwd", "screens/gone.png", "screens/text.png", "."):
        bench.happened("screen", 450, file=file)
    bench.happened("stalled", 460, stage="image", seconds=360)
    case = bench.examine(reason="dev stalled")
    film = [shot for shot in case.shots if shot.name.startswith("screens/")]
    assert 15 <= len(film) <= 24 and all(shot.png.startswith(b"\x89PNG") for shot in film)
    assert film[0].caption == "Setup started" and film[0].at == AT + 1
    assert signature(case) == "stage.image"
    page = write_bundle(case, bench.folder / "out")
    assert page.read_text().count("data:image/png;base64,") == len(film) + 1
    assert "stalled: no sign of progress for 360 s in applying the image" in page.read_text()
    for shot in film:
        assert identify(page.parent / shot.name)[:3] == ("PNG", 8, 6)


def test_a_hostile_timeline_and_serial_log(bench: Bench) -> None:
    bench.define()
    noise = os.urandom(200_000) + b"\x1b[2J<script>alert(1)</script>\xf3\xb5\xbb\x80\r\n"
    bench.store.serial_log.write_bytes(noise * 12 + "\U000f5ec0".encode() + b"0\n")
    (bench.store.folder / FILE).write_text(
        '{"at":1e308,"event":"stage","origin":"reported","stage":{"a":[1]}}\n'
        '{"at":0,"event":"failed","origin":"reported","stage":5,"message":"<b>&amp;"}\n'
        '{"at":"x"}\nnull\n'
    )
    case = bench.examine(reason="<i>x</i>")
    page = write_bundle(case, bench.folder / "out").read_text()
    assert "<script" not in page and "<i>" not in page and "<b>" not in page
    assert "\x1b" not in page and "\U000f5ec0" not in page
    serial = next(each for each in case.documents if each.kind is Kind.SERIAL)
    assert serial.cut and len(serial.text) < 3_000_000


def test_words_on_the_display_are_read(bench: Bench, tmp_path: Path) -> None:
    """Windows PE leaves no log on the disk: the dialog is all there is."""
    picture = dialog(
        tmp_path / "dialog.png",
        "Windows Setup",
        "Setup has failed to validate the product key.",
        "OK",
    )
    bench.define()
    shown = Picture(media_type="image/png", data=picture.read_bytes())
    bench.scene.hypervisor.screenshot = lambda name: shown  # type: ignore[method-assign]
    bench.happened("stage", stage="answers")
    case = bench.examine(reason="dev stalled")
    assert signature(case) == "key.validation"
    assert case.verdict is not None and case.verdict.document == "screen.txt"


def test_the_disk_of_the_domain_is_read(bench: Bench) -> None:
    error = b"Error: This package was installed for a user, but not provisioned for all users.\r\n"
    disk = disks.gpt_disk(bench.folder, {"Windows/System32/Sysprep/Panther/setuperr.log": error})
    bench.define(disk)
    case = bench.examine()
    assert signature(case) == "sysprep.store-app"
    assert any(text.startswith("partition 3: Basic data") for _, text in case.facts)


# --- secrets -------------------------------------------------------------------------------------


def test_no_secret_is_in_a_bundle(bench: Bench) -> None:
    secret = secret_with(MARKER)
    hidden = unattend_password(secret, "Password")
    answers = f"<AutoLogon><Password><Value>{hidden}</Value></Password></AutoLogon>"
    disk = disks.gpt_disk(
        bench.folder,
        {
            "Windows/Panther/unattend.xml": answers.encode(),
            "Windows/Panther/setupact.log": f"RunSynchronous: net user dev {secret}".encode(),
            "Windows/Panther/UnattendGC/setupact.log": hidden.encode("utf-16"),
            "ProgramData/provisioner/1 x.log": secret.encode("utf-16-le"),
        },
    )
    bench.define(disk)
    bench.store.serial_log.write_bytes(
        secret.encode() + encode(1, {"event": "failed", "stage": "oobe", "message": secret})
    )
    bench.happened("output", step="x", stream="stdout", text=secret)
    bench.happened("failed", stage="oobe", message=f"wrong: {secret}")
    # The plan's own secret is not given here: what the disk holds is enough to know it.
    case = bench.examine(reason=f"gave up: {secret}")
    folder = write_bundle(case, bench.folder / "bundle").parent
    assert leaks_in_files(folder, [MARKER], may_hold=()) == []
    assert "[masked]" in (folder / "index.html").read_text()
    told = json.dumps(members(case))
    assert MARKER not in told

    planted = folder / "logs" / "planted.log"
    planted.write_text(hidden)
    assert leaks_in_files(folder, [MARKER], may_hold=()) != [], "the test could not fail"


# --- the bundle ----------------------------------------------------------------------------------


def test_a_bundle_is_private_whole_and_never_overwritten(bench: Bench) -> None:
    bench.define()
    case = bench.examine(reason="dev stalled")
    state = bench.folder / "state"
    first = bundle_folder(state, "dev", AT)
    write_bundle(case, first)
    second = bundle_folder(state, "dev", AT)
    assert second != first
    write_bundle(case, second)
    with pytest.raises(RefusedError, match="exists already"):
        write_bundle(case, first)
    assert bundles(state, "dev") == (first, second)
    assert bundles(state, "de") == () == bundles(state, "dev-20270115")
    assert first.parent.stat().st_mode & 0o777 == 0o700 == first.stat().st_mode & 0o777
    for path in first.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0
    told = json.loads((first / "autopsy.json").read_text())
    for document in told["documents"]:
        assert (first / document["file"]).is_file()
    assert {"index.html", "domain.xml", "serial.log", "reason.txt", "screen.png"} <= {
        path.name for path in first.iterdir()
    }


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_leaves_nothing_half_and_still_tells_why(bench: Bench, full_disk: Path) -> None:
    bench.define()
    bench.store.serial_log.write_bytes(os.urandom(300_000))
    case = bench.examine(reason="dev stalled")
    with pytest.raises(HostError, match="no space is left"):
        write_bundle(case, full_disk / "failures" / "dev-1")
    assert [path for path in full_disk.rglob("*") if path.name != "failures"] == []


def test_up_tells_why_although_nothing_can_be_written(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.hypervisor.plays(
        "dev",
        lambda guest: guest.after(
            3,
            lambda: guest.write_serial(
                frame(1, event="failed", stage="first-logon", message="step 'x' exited 5")
            ),
        ),
    )
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "failures").write_text("in the way")
    with pytest.raises(GuestError) as caught:
        scene.up()
    autopsy = caught.value.autopsy
    assert autopsy is not None and "access was denied" in autopsy.cause and autopsy.see == ""
    assert any("could not be saved" in line for line in scene.console.warnings)
    assert scene.hypervisor.domains() == ()


def test_a_bug_in_the_autopsy_does_not_keep_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*_: object, **__: object) -> list[str]:
        raise ZeroDivisionError("nobody thought of this")

    scene = Scene(tmp_path)
    scene.hypervisor.plays("dev", lambda guest: guest.after(9, guest.crash))
    monkeypatch.setattr(gather, "event_lines", wrong)
    with pytest.raises(GuestError, match="turned itself off"):
        scene.up()
    assert any("a bug in its autopsy: ZeroDivisionError" in line for line in scene.console.warnings)
    assert scene.hypervisor.domains() == ()
    assert scene.leaked() == []


# --- pictures ------------------------------------------------------------------------------------


def test_ppm_becomes_png_of_the_same_pixels(tmp_path: Path) -> None:
    data = ppm(317, 41)
    path = tmp_path / "x.png"
    converted = png_of(Picture(media_type="image/x-portable-pixmap", data=data))
    assert converted is not None
    path.write_bytes(converted)
    assert identify(path)[:3] == ("PNG", 317, 41)
    assert rgb(path) == data[data.index(b"255\n") + 4 :]
    commented = data.replace(b"P6\n", b"P6\n# made by QEMU\n")
    assert png(commented) == converted


@pytest.mark.parametrize(
    "data",
    [b"", b"P6", b"P6\n0 0\n255\n", b"P6\n9 9\n255\nshort", b"P6\n9 9\n65535\n" + bytes(500),
     b"GIF89a", b"P6\n99999 99999\n255\n"],
)  # fmt: skip
def test_what_is_no_picture_is_none(data: bytes) -> None:
    assert png(data) is None


def test_memory_stays_bounded(bench: Bench) -> None:
    """A serial log of 200 MB costs what its ends cost."""
    bench.define()
    with bench.store.serial_log.open("wb") as file:
        file.truncate(200 << 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    bench.examine()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10
