"""Protocol lines and report lines survive the noise of a real serial port."""

from __future__ import annotations

import json
import zlib

import pytest

from tests.standin.setup.serial_report import (
    SerialReport,
    frame,
    parse_report,
    read_events,
    report_lines,
)


def test_frame_by_hand() -> None:
    payload = '{"event":"stage","stage":"setup"}'
    crc = zlib.crc32(b"1 " + payload.encode())
    assert frame(1, {"event": "stage", "stage": "setup"}) == f"PROVISIONER/1 1 {crc:08x} {payload}"


def test_numbers_and_stages() -> None:
    lines: list[str] = []
    serial = SerialReport(write=lines.append)
    serial.begin("setup")
    serial.begin("disks")
    serial.failed('no "disk"\n\u00e4')
    assert all(line.isascii() and line.count("\n") == 1 for line in lines)
    assert read_events("".join(lines)) == (
        (1, {"event": "stage", "stage": "setup"}),
        (2, {"event": "stage", "stage": "disks"}),
        (3, {"event": "failed", "stage": "disks", "message": 'no "disk"\n\u00e4'}),
    )


@pytest.mark.parametrize(
    ("line", "valid"),
    [
        ("\x1b[2J\x1b[01;01HVBLK noise " + frame(1, {"event": "ready"}) + " \r", True),
        (frame(1, {"event": "ready"}).replace("ready", "readY"), False),
        (frame(1, {"event": "ready"})[:-1], False),
        ("PROVISIONER/1 1 00000000 {}", False),
    ],
)
def test_noise(line: str, valid: bool) -> None:
    assert bool(read_events(f"before\n{line}\nafter\n")) is valid


def test_report_round_trip() -> None:
    report = {"standin": 1, "users": [{"name": "m\u00fcller"}] * 40, "text": "x" * 3000}
    report["more"] = [f"{number}" for number in range(400)]
    lines = report_lines(report)
    assert len(lines) > 2
    assert all(len(line) <= 200 and line.isascii() for line in lines)
    log = "\r\n".join(["noise", *lines[:2], "[ 1.0] kernel says something", *lines[2:], "end"])
    assert parse_report(log) == report
    assert parse_report("\n".join(lines[:-1])) is None
    assert parse_report(json.dumps(report)) is None
