"""A log that grows, shrinks, rotates and is not always readable."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from provisioner.errors import HostError
from provisioner.host.serial import STEP, FileSerialLog
from provisioner.ports import SerialPosition


def test_it_follows(tmp_path: Path) -> None:
    path = tmp_path / "serial.log"
    log = FileSerialLog(path)
    assert log.read_new() == b""
    path.write_bytes(b"one")
    assert log.read_new() == b"one"
    assert log.read_new() == b""
    with path.open("ab") as file:
        file.write(b"two")
    assert log.read_new() == b"two"
    assert log.position().offset == 6


def test_it_begins_where_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "serial.log"
    path.write_bytes(b"oldnew")
    assert FileSerialLog(path, offset=3).read_new() == b"new"


def test_truncation(tmp_path: Path) -> None:
    path = tmp_path / "serial.log"
    path.write_bytes(b"a long first boot")
    log = FileSerialLog(path)
    log.read_new()
    path.write_bytes(b"second")
    assert log.read_new() == b"second"


def test_rotation_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "serial.log"
    path.write_bytes(b"one")
    log = FileSerialLog(path)
    assert log.read_new() == b"one"
    with path.open("ab") as file:
        file.write(b"rest")
    path.rename(tmp_path / "serial.log.0")
    path.write_bytes(b"new")
    assert log.read_new() == b"rest"
    assert log.read_new() == b"new"


def test_it_is_patient_while_rotating(tmp_path: Path) -> None:
    path = tmp_path / "serial.log"
    path.write_bytes(b"one")
    log = FileSerialLog(path)
    log.read_new()
    path.rename(tmp_path / "serial.log.0")
    assert log.read_new() == b""
    path.write_bytes(b"new")
    assert log.read_new() == b"new"


def test_steps_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "serial.log"
    path.write_bytes(bytes(STEP + 5))
    log = FileSerialLog(path)
    assert [len(log.read_new()) for _ in range(3)] == [STEP, 5, 0]


@pytest.fixture
def nobody() -> Iterator[None]:
    """Root may read everything, so root becomes somebody else for the test."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield
    os.seteuid(before)


def test_no_permission(tmp_path: Path, nobody: None) -> None:
    path = tmp_path / "serial.log"
    with suppress(PermissionError):
        path.touch(0o000)
    with pytest.raises(HostError, match="permission denied") as caught:
        FileSerialLog(path).read_new()
    assert "max_size = 0" in (caught.value.hint or "")


def test_resuming_in_a_log_that_was_rotated_twice_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "serial.log"
    path.write_bytes(b"one two")
    log = FileSerialLog(path)
    log.read_new()
    position = SerialPosition(file=log.position().file, offset=4)
    for number, text in enumerate((b"three", b"four")):
        for older in range(number, 0, -1):
            path.with_name(f"serial.log.{older - 1}").rename(path.with_name(f"serial.log.{older}"))
        path.rename(path.with_name("serial.log.0"))
        path.write_bytes(text)
    again = FileSerialLog(path)
    assert again.resume(position) is None
    assert [again.read_new() for _ in range(4)] == [b"two", b"three", b"four", b""]


@pytest.mark.parametrize(("offset", "reason"), [(0, None), (9, "rotated away")])
def test_resuming_in_a_log_that_is_gone(tmp_path: Path, offset: int, reason: str | None) -> None:
    path = tmp_path / "serial.log"
    path.write_bytes(b"new")
    log = FileSerialLog(path)
    said = log.resume(SerialPosition(file=1, offset=offset))
    assert (said is None) if reason is None else (said is not None and reason in said)
    assert log.read_new() == b"new"


def test_resuming_in_a_log_that_was_emptied(tmp_path: Path) -> None:
    path = tmp_path / "serial.log"
    path.write_bytes(b"new")
    position = SerialPosition(file=path.stat().st_ino, offset=9)
    log = FileSerialLog(path)
    assert log.resume(position) == "the serial log was emptied"
    assert log.read_new() == b"new"
