"""Rates from reports and from counters."""

from __future__ import annotations

from provisioner.guest.inference import Counters
from provisioner.guest.throughput import Throughput

MIB = 2**20


def test_counters_while_the_image_is_applied() -> None:
    throughput = Throughput(usual_bytes=100 * MIB)
    nothing, some = Counters(), Counters(disc_read=20 * MIB, disk_written=70 * MIB)
    assert throughput.counted("image", nothing, nothing, now=0) is None
    assert throughput.counted("image", nothing, some, now=10) == {
        "stage": "image",
        "done": 20 * MIB,
        "total": 100 * MIB,
        "rate": 2 * MIB,
    }
    more = Counters(disc_read=120 * MIB)
    told = throughput.counted("image", some, more, now=20)
    assert told is not None and told["total"] == 120 * MIB, "more than usual is not over 100 %"


def test_a_stage_that_comes_to_rest_says_so_once() -> None:
    throughput = Throughput()
    start, end = Counters(), Counters(disk_written=50 * MIB)
    throughput.counted("oobe", start, start, now=0)
    moving = throughput.counted("oobe", start, end, now=5)
    assert moving == {"stage": "oobe", "done": None, "total": None, "rate": 10 * MIB}
    resting = throughput.counted("oobe", end, end, now=10)
    assert resting is not None and resting["rate"] == 0
    assert throughput.counted("oobe", end, end, now=15) is None


def test_what_the_guest_reports_goes_before_counters() -> None:
    throughput = Throughput()
    one = throughput.reported({"done": 10, "total": 100}, 10, now=1)
    assert "rate" not in one
    assert throughput.reported({"done": 40, "total": 100}, 40, now=4)["rate"] == 10
    assert throughput.reported({"done": 60, "rate": 7}, 60, now=5)["rate"] == 7, "it knows best"
    assert "rate" not in throughput.reported({"done": 5}, 5, now=6), "it went back"
    assert "rate" not in throughput.reported({"done": "x"}, None, now=7)
    moved = Counters(disc_read=50 * MIB)
    throughput.counted("image", Counters(), Counters(), now=8)
    assert throughput.counted("image", Counters(), moved, now=9) is None
    throughput.entered()
    assert throughput.counted("image", Counters(), moved, now=10) is not None
