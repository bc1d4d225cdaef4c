"""Files of this host on the way into Windows: what is refused, and what is only told."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.answers.hostfiles import HostFileError, found, one
from provisioner.plan.model import differences
from provisioner.plan.rules.settings import check_settings
from provisioner.profile.load import load_profile
from provisioner.resources import Resources, shipped_folder
from tests.unit.plan.scene import SOUND, Scene


def _scene(source: Path) -> Scene:
    text = f"  settings: {{files: [{{source: {source}, to: 'C:\\Tools'}}]}}\nmachine:"
    return Scene(profile=SOUND.replace("machine:", text))


def test_much_is_told(tmp_path: Path) -> None:
    source = tmp_path / "files"
    source.mkdir()
    for name in ("a", "b"):
        with (source / name).open("wb") as file:
            file.truncate(2**31 - 1)
    (tmp_path / "machine.yaml").write_text(_scene(source).profile)
    shipped = Resources(shipped=shipped_folder())
    loaded = load_profile(tmp_path / "machine.yaml", resources=shipped, home=tmp_path, cwd=tmp_path)
    # Not by `problems`: that would compose the disc, and hash 4 GiB.
    (problem,) = check_settings(loaded.profile, None, lambda key: None)
    assert (problem.rule, problem.severity.value) == ("windows.large-files", "note")
    assert "4.0 GiB" in problem.message


def test_a_file_that_no_disc_can_hold(tmp_path: Path) -> None:
    source = tmp_path / "image"
    with source.open("wb") as file:
        file.truncate(2**32)
    (problem,) = _scene(source).problems(tmp_path)
    assert problem.rule == "windows.host-file" and "4294967296 bytes" in problem.message


def test_a_folder_in_order_with_windows_paths(tmp_path: Path) -> None:
    for name in ("b/2.txt", "b/10.txt", "a.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "link.txt").symlink_to("a.txt")
    sources = found(tmp_path, "C:\\T")
    assert [(s.to, s.size) for s in sources] == [
        ("C:\\T\\a.txt", 5),
        ("C:\\T\\link.txt", 5),
        ("C:\\T\\b\\10.txt", 8),
        ("C:\\T\\b\\2.txt", 7),
    ]


def _fifo(folder: Path) -> None:
    os.mkfifo(folder / "pipe")


def _colon(folder: Path) -> None:
    (folder / "a:b").touch()


def _not_text(folder: Path) -> None:
    Path(os.fsdecode(bytes(folder) + b"/\xff")).touch()


def _dangling(folder: Path) -> None:
    (folder / "link").symlink_to("nowhere")


def _empty(folder: Path) -> None:
    (folder / "sub").mkdir()


@pytest.mark.parametrize("make", [_fifo, _colon, _not_text, _dangling, _empty])
def test_refused(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path)
    with pytest.raises(HostFileError) as raised:
        found(tmp_path, "C:\\T")
    assert raised.value.hint
    raised.value.message.encode()


def test_too_many(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / str(number)).touch()
    with pytest.raises(HostFileError, match="more than 2 files"):
        found(tmp_path, "C:\\T", most=2)


def test_a_package_is_one_file(tmp_path: Path) -> None:
    (tmp_path / "only").touch()
    with pytest.raises(HostFileError, match="is a folder"):
        one(tmp_path)


def test_a_changed_file_is_a_change_of_the_plan(tmp_path: Path) -> None:
    """Also where its size stays."""
    source = tmp_path / "files"
    source.mkdir()
    (source / "a.txt").write_text("one")
    before = _scene(source).plan(tmp_path)
    assert _scene(source).plan(tmp_path).digest == before.digest
    os.utime(source / "a.txt", ns=(1, 1))
    assert _scene(source).plan(tmp_path).digest == before.digest, "touched, not changed"
    (source / "a.txt").write_text("two")
    after = _scene(source).plan(tmp_path)
    assert differences(before.intent, after.intent) == (
        "answer disc: provision/files.json differs",
        "answer disc: provision/files/00001 differs",
    )
