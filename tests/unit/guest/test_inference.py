"""What is concluded from evidence, and when nothing moves any more."""

from __future__ import annotations

import json
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from provisioner.errors import FailedError
from provisioner.guest.firmware import BootAttempt, boot_attempt
from provisioner.guest.inference import MARGIN, Counters, Inference, Pulse
from provisioner.guest.screen import PNG_MAGIC, mark, png
from provisioner.guest.stages import PATIENCE, STAGES, patience, rank
from provisioner.guest.steps import RunningStep
from provisioner.ports import Picture

MIB = 2**20
DISC = BootAttempt(entry="Boot0001", description="UEFI QEMU DVD-ROM", optical=True)
DISK = BootAttempt(entry="Boot0003", description="UEFI Misc Device", optical=False)


def test_a_silent_installation_from_power_on_to_the_agent() -> None:
    """No line of the guest: firmware, counters, restarts and the agent are enough."""
    inference = Inference()
    said = [
        inference.spoke(),
        inference.boot(DISC),
        inference.count(Counters(disc_read=1 * MIB)),
        inference.count(Counters(disc_read=500 * MIB)),
        inference.count(Counters(disc_read=520 * MIB, disk_written=1 * MIB)),
        inference.count(Counters(disc_read=2000 * MIB, disk_written=900 * MIB)),
        inference.boot(DISK),
        inference.spoke(),
        inference.boot(DISK),
        inference.agent(),
    ]
    assert [concluded.stage if concluded else None for concluded in said] == [
        *("firmware", "boot-disc", None, "setup", "disks", "image"),
        *("first-boot", None, "oobe", "agent"),
    ]
    assert not inference.reported
    assert "900.0 MiB written" in said[5].evidence  # type: ignore[union-attr]


def test_a_silent_firmware_leaves_counters_and_restarts() -> None:
    """BIOS writes nothing to the serial port."""
    inference = Inference()
    said = [
        inference.count(Counters(disk_read=512)),
        inference.count(Counters(disc_read=300 * 2**10)),
        inference.restarted(now=5),
        inference.count(Counters(disc_read=500 * MIB)),
        inference.count(Counters(disc_read=520 * MIB, disk_written=1 * MIB)),
        inference.count(Counters(disc_read=2000 * MIB, disk_written=900 * MIB)),
        inference.restarted(now=100),
        inference.restarted(now=101),
        inference.restarted(now=200),
        inference.restarted(now=300),
        inference.agent(),
    ]
    assert [concluded.stage if concluded else None for concluded in said] == [
        *(None, "boot-disc", None, "setup", "disks", "image", "first-boot", None, "oobe", None),
        "agent",
    ]
    assert said[6] is not None and said[6].evidence == "restart 1 of the machine"


def test_a_restart_counts_once_where_the_firmware_tells_of_it() -> None:
    inference = Inference()
    inference.boot(DISC)
    inference.count(Counters(disc_read=2000 * MIB, disk_written=900 * MIB))
    assert inference.restarted(now=100) is None
    assert inference.boot(DISK) is not None and inference.boots == 1


TRACES = sorted(Path(__file__).with_name("traces").glob("*.json"))
LATE = 5
"""Seconds, as between two looks at the counters."""


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_a_recorded_installation_without_what_the_guest_said(path: Path) -> None:
    """`tests/boot/traces.py` recorded it: each stage is concluded after the guest itself had begun
    the one before it, and no later than when it said so."""
    inference, told = Inference(), dict[str, int]()
    concluded, restarts = dict[str, int](), 0
    for seconds, kind, *what in json.loads(path.read_text()):
        found = None
        match kind:
            case "bytes":
                disc_read, disk_read, disk_written = what
                found = inference.count(
                    Counters(disc_read=disc_read, disk_read=disk_read, disk_written=disk_written)
                )
            case "restarts":
                found = inference.restarted(now=seconds) if what[0] > restarts else None
                restarts = what[0]
            case "boot":
                attempt = boot_attempt(what[0])
                assert attempt is not None
                found = inference.boot(attempt)
            case _:
                told.setdefault(what[0], seconds)
        if found is not None:
            concluded[found.stage] = seconds
    assert list(concluded) == ["boot-disc", "setup", "disks", "image", "first-boot"]
    assert inference.boots == 1, "the stand-in restarts once"
    before = 0
    for stage in ("setup", "disks", "image", "first-boot"):
        assert before <= concluded[stage] <= told[stage] + LATE, stage
        before = told[stage]


def test_what_the_guest_reports_goes_before_what_we_conclude() -> None:
    inference = Inference()
    inference.report("image")
    assert inference.count(Counters(disc_read=500 * MIB)) is None
    assert (inference.stage, inference.reported) == ("image", True)
    concluded = inference.boot(DISK)
    assert concluded is not None and concluded.stage == "first-boot"
    inference.report("something new")
    assert inference.stage == "something new"
    assert inference.boot(DISK) is not None, "an unknown stage does not stop the order"


def test_a_disk_that_is_tried_before_anything_was_installed_is_no_first_boot() -> None:
    inference = Inference()
    assert inference.boot(DISK) is None
    assert inference.boot(DISC) is not None


def test_every_stage_has_its_place_and_a_patience() -> None:
    assert [rank(stage) for stage in STAGES] == list(range(len(STAGES)))
    assert set(PATIENCE) <= set(STAGES)
    assert all(patience(stage) >= 120 for stage in (*STAGES, "unheard of"))


def counted(pulse: Pulse, before: int, after: int, now: float) -> None:
    pulse.counted(Counters(disc_read=before), Counters(disc_read=after), now=now)


@pytest.mark.parametrize("stage", [*STAGES, "unheard of"])
def test_a_hang_at_each_stage_is_noticed(stage: str) -> None:
    pulse = Pulse(now=0)
    limit = patience(stage)
    pulse.listened()
    counted(pulse, 0, 10 * MIB, 5)
    assert pulse.stall(stage, now=5 + limit - 1) is None
    stall = pulse.stall(stage, now=5 + limit)
    assert stall is not None
    assert (stall.stage, stall.seconds) == (stage, limit)
    assert stall.looked_at == ("the serial line", "disc reads", "disk reads", "disk writes")


def test_what_puts_it_off() -> None:
    pulse = Pulse(now=0, every_stage=100)
    counted(pulse, 0, 1000, 90)
    assert pulse.stall("image", now=100) is not None, "a few bytes are no progress"
    counted(pulse, 0, MIB, 90)
    assert pulse.stall("image", now=189) is None
    assert pulse.screen(b"one", now=180)
    assert pulse.stall("image", now=279) is None
    assert not pulse.screen(b"one", now=200), "the same picture again"
    assert pulse.stall("image", now=281) is not None


def test_a_blinking_cursor_and_a_spinner() -> None:
    """Two pictures in turn are no change; ever new ones put it off thrice, not for ever."""
    pulse = Pulse(now=0, every_stage=100)
    for now in range(10, 120, 10):
        pulse.screen(b"%d" % (now % 20), now=now)
    assert pulse.stall("oobe", now=121) is not None
    pulse = Pulse(now=0, every_stage=100)
    for now in range(10, 290, 10):
        pulse.screen(b"frame %d" % now, now=now)
        assert pulse.stall("oobe", now=now) is None
    pulse.screen(b"another", now=299)
    assert pulse.stall("oobe", now=300) is not None


def test_it_can_be_switched_off_and_forgives_an_absence() -> None:
    assert Pulse(now=0, every_stage=0).stall("image", now=10**6) is None
    pulse = Pulse(now=0, factor=3)
    assert pulse.stall("image", now=3 * patience("image") - 1) is None
    pulse.forgive(now=5000)
    assert pulse.stall("image", now=5001) is None


def test_a_step_may_be_silent_for_its_own_limit() -> None:
    pulse = Pulse(now=0)
    long, short = (RunningStep(number=1, name="s", timeout=seconds) for seconds in (7200, 30))
    assert pulse.stall("steps", now=7200 + MARGIN - 1, step=long) is None
    stall = pulse.stall("steps", now=7200 + MARGIN, step=long)
    assert stall is not None and (stall.seconds, stall.step) == (7200 + MARGIN, long)
    assert pulse.stall("steps", now=30 + MARGIN, step=short) is not None
    pulse.spoke(now=60)
    assert pulse.stall("steps", now=30 + MARGIN, step=short) is None, "it wrote a line"


@pytest.mark.parametrize(
    ("every_stage", "factor", "limit"), [(None, 1, 60), (None, 3, 180), (200, 3, 200)]
)
def test_what_moves_without_a_word_may_be_a_restart(
    every_stage: float | None, factor: float, limit: float
) -> None:
    """Busy disks put a step's end off as long as they are busy; a screen that changes does not."""
    pulse = Pulse(now=0, every_stage=every_stage, factor=factor)
    step = RunningStep(number=1, name="s", timeout=30)
    counted(pulse, 0, MIB, now=100)
    pulse.screen(b"one", now=100 + limit / 2)
    assert pulse.stall("steps", now=100 + limit - 1, step=step) is None
    assert pulse.stall("steps", now=max(100, 30 + limit) + limit, step=step) is not None
    assert Pulse(now=0, every_stage=0).stall("steps", now=10**6, step=step) is None


def test_a_ppm_becomes_png(tmp_path: Path) -> None:
    """Read by ImageMagick's or libpng's own reader: `file`, and the pixels by zlib."""
    pixels = bytes(range(36))
    picture = Picture(media_type="image/x-portable-pixmap", data=b"P6\n4 3\n255\n" + pixels)
    data = png(picture)
    path = tmp_path / "x.png"
    path.write_bytes(data)
    said = subprocess.run(["file", "-b", str(path)], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "PNG image data, 4 x 3, 8-bit/color RGB, non-interlaced"
    length = struct.unpack(">I", data[33:37])[0]
    rows = zlib.decompress(data[41 : 41 + length])
    assert b"".join(rows[y * 13 + 1 : y * 13 + 13] for y in range(3)) == pixels
    assert png(Picture(media_type="image/png", data=data)) == data
    assert mark(picture) != mark(Picture(media_type="image/png", data=data))


@pytest.mark.parametrize(
    "data", [b"", b"P6\n4 3\n255\n" + bytes(35), b"P6\n0 0\n255\n", b"P6 99999 99999 255 ", b"GIF8"]
)
def test_a_picture_that_is_none(data: bytes) -> None:
    assert not data.startswith(PNG_MAGIC)
    with pytest.raises(FailedError):
        png(Picture(media_type="image/x-portable-pixmap", data=data))
