"""The steps on the answer disc: the list the runner follows, and what steps bring along."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from provisioner.answers import steps
from provisioner.answers.hostfiles import LARGEST, MOST
from provisioner.errors import ProfileError
from provisioner.profile.model import Profile
from provisioner.resources import Resources, shipped_folder
from provisioner.templating import Templates
from provisioner.tree import File, HostFile, Text

TEMPLATES = Templates(Resources(shipped=shipped_folder()).template_folders())


def files(*listed: object) -> dict[str, File]:
    windows = {"product": "windows-11", "steps": listed}
    profile = Profile.model_validate_json(json.dumps({"name": "x", "windows": windows}))
    made = steps.files(profile.windows.steps, TEMPLATES)
    assert all(isinstance(entry, File) for _, entry in made)
    return {path: entry for path, entry in made if isinstance(entry, File)}


def text(file: File) -> str:
    (part,) = file.content
    assert isinstance(part, Text)
    return "".join(map(str, part.parts))


def listed(*given: object) -> list[dict[str, Any]]:
    parsed = json.loads(text(files(*given)[steps.LIST]))
    assert parsed["version"] == 1
    return list(parsed["steps"])


def test_nothing_without_steps() -> None:
    assert files() == {}


def test_the_list() -> None:
    one, two, three = listed(
        {"name": "Ä b", "cmd": "x", "exit_codes": [0, 4294967295], "run_as": "system"},
        {"reboot": {"when": "needed"}, "only_if": {"exists": "C:\\x"}},
        {"wait": "2 min", "timeout": "5 min"},
    )
    assert one == {
        "number": 1,
        "name": "Ä b",
        "file": "01-b.cmd",
        "run_as": "system",
        "exit_codes": [0, -1],
        "seconds": 1800,
        "retries": 0,
        "outputs": [],
    }
    assert two == {
        "number": 2,
        "name": "restart",
        "condition": "02-restart.if.cmd",
        "restart": "needed",
    }
    assert (three["file"], three["seconds"], three["exit_codes"]) == ("03-wait.cmd", 300, [0])


def test_every_file_of_the_list_is_there() -> None:
    given = (
        {"name": "a", "powershell": "1", "only_if": {"powershell": "2"}},
        {"name": "b", "cmd": "1", "only_if": {"service": "x"}},
        {"wait": {"missing": "C:\\x"}},
    )
    there = files(*given)
    for step in listed(*given):
        for member in ("file", "condition"):
            if member in step:
                assert f"provision/steps/{step[member]}" in there
    assert "provision/run.cmd" in there
    assert text(there["provision/steps/01-a.ps1"]) == "1\n"


def test_what_steps_bring_along(tmp_path: Path) -> None:
    (tmp_path / "folder/deep").mkdir(parents=True)
    (tmp_path / "folder/a.txt").write_text("1")
    (tmp_path / "folder/deep/b c.txt").write_text("22")
    (tmp_path / "my tool.msi").write_text("333")
    there = files(
        {"name": "a", "copy": str(tmp_path / "folder"), "to": "C:\\T"},
        {"name": "b", "msi": str(tmp_path / "my tool.msi")},
        {"name": "c", "copy": str(tmp_path / "my tool.msi"), "to": "C:\\T"},
    )
    brought = {
        path.removeprefix("provision/steps/"): part.size
        for path, file in there.items()
        for part in file.content
        if isinstance(part, HostFile)
    }
    assert brought == {
        "01-a/a.txt": 1,
        "01-a/deep/b c.txt": 2,
        "02-b/file.msi": 3,
        "03-c/my tool.msi": 3,
    }


def test_files_that_cannot_travel(tmp_path: Path) -> None:
    """The same bounds as for files of the settings: number, size, kind."""
    (tmp_path / "many").mkdir()
    for number in range(MOST + 1):
        (tmp_path / "many" / str(number)).touch()
    with (tmp_path / "large").open("wb") as stream:
        stream.truncate(LARGEST + 1)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "links").mkdir()
    (tmp_path / "links/broken").symlink_to("nowhere")
    for name, says in (
        ("many", "more than 20000 files"),
        ("large", "no file of an answer disc can have"),
        ("pipe", "neither a file nor a folder"),
        ("links", "there is no file .*broken"),
    ):
        with pytest.raises(ProfileError, match=says):
            files({"name": "a", "copy": str(tmp_path / name), "to": "C:\\x"})


@pytest.mark.parametrize("name", ["n" * 61 + ".txt", "a:b", "a;1", "what?"])
def test_names_that_no_disc_holds(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder/sub").mkdir(parents=True)
    (tmp_path / "folder/sub" / name).touch()
    for source in ("folder", f"folder/sub/{name}"):
        with pytest.raises(ProfileError, match=r"cannot hold this name|can have no file of that"):
            files({"name": "a", "copy": str(tmp_path / source), "to": "C:\\x"})


@pytest.mark.parametrize("name", ["nothing", "empty", "folder"])
def test_what_they_cannot_bring(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/x").touch()
    kind = "exe" if name == "folder" else "copy"
    step = {"name": "a", kind: str(tmp_path / name), **({"to": "C:\\x"} if kind == "copy" else {})}
    with pytest.raises(ProfileError) as caught:
        files(step)
    assert caught.value.problems[0].rule == "windows.step-file"
    assert str(tmp_path / name) in caught.value.message
