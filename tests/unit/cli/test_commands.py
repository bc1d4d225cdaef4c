"""Exit codes and streams of the commands: stdout is the result, stderr the story."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli.program import PROGRAM, Home

PROFILE = """\
kind: machine
name: m1
media: {install: disc.iso}
windows:
  product: windows-11
  users: [{name: dev, groups: [Administrators], password: {generate: 20}}]
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    (home.work / "m1.yaml").write_text(PROFILE)
    (home.work / "wrong.yaml").write_text(PROFILE.replace("kind: machine", "kind: lab"))
    (home.work / "page.iso").write_text("<!DOCTYPE html><html>Sign in</html>" * 1000)
    (home.work / "short.iso").write_bytes(bytes(100))
    return home


CODES = [
    pytest.param((), 2, "COMMAND", id="no-command"),
    pytest.param(("upp",), 2, "did you mean 'up'", id="unknown-command"),
    pytest.param(("up",), 2, "PROFILE", id="no-profile"),
    pytest.param(("up", "m1.yaml", "--bogus"), 2, "--bogus", id="unknown-option"),
    pytest.param(("check", "nowhere.yaml"), 2, "nowhere.yaml", id="no-such-profile"),
    pytest.param(("check", "wrong.yaml"), 2, "wrong.yaml:1:7: error[", id="wrong-profile"),
    pytest.param(("plan", "m1.yaml"), 3, "disc.iso", id="no-such-disc"),
    pytest.param(("plan", "m1.yaml", "--media", "install"), 2, "KIND=FILE", id="no-file"),
    pytest.param(("plan", "m1.yaml", "--media", "install=page.iso"), 3, "page.iso", id="web-page"),
    pytest.param(("plan", "m1.yaml", "--media", "install=short.iso"), 3, "short.iso", id="cut-off"),
    pytest.param(("build", "m1.yaml", "-o", "out"), 3, "disc.iso", id="build"),
    pytest.param(("render", "m1.yaml", "-o", "out"), 3, "disc.iso", id="render"),
    pytest.param(("secret", "m1", "dev"), 4, "there is no machine m1", id="no-secret"),
    pytest.param(("status", "../x"), 2, "is not the name of a machine", id="bad-name"),
    pytest.param(("list",), 0, "", id="list"),
    pytest.param(("schema",), 0, "", id="schema"),
    pytest.param(("--version",), 0, "", id="version"),
    pytest.param(("--help",), 0, "", id="help"),
]


@pytest.mark.parametrize(("arguments", "code", "said"), CODES)
def test_exit_codes(home: Home, arguments: tuple[str, ...], code: int, said: str) -> None:
    done = home.run(*arguments)
    assert done.returncode == code, done
    assert said in done.stderr
    assert (done.stdout == "") == (code != 0 or arguments == ("list",)), done
    assert "Traceback" not in done.stderr and "bug" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [param.values[:2] for param in CODES if param.values[0] and param.values[1]],
)
def test_failures_as_json(home: Home, arguments: tuple[str, ...], code: int) -> None:
    done = home.run(*arguments, "--json")
    assert (done.returncode, done.stderr) == (code, "")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    last = events[-1]
    if last["event"] == "error":
        assert last["exit_code"] == code
        assert last["message"]
    else:
        assert last["event"] == "problem" and last["severity"] in ("error", "warning", "note")
        assert any(event["severity"] == "error" for event in events)


def test_debug_shows_where_it_happened(home: Home) -> None:
    done = home.run("plan", "m1.yaml", "--debug")
    assert done.returncode != 0
    assert "Traceback" in done.stderr and "MediaError" in done.stderr


def test_a_mistake_is_shown_with_its_line(home: Home) -> None:
    text = PROFILE.replace("product: windows-11", "product: windows-12")
    (home.work / "m1.yaml").write_text(text)
    said = home.run("check", "m1.yaml").stderr.splitlines()
    assert said[0].startswith("m1.yaml:5:12: error[") and "windows-12" in said[0]
    assert said[1] == "    5 |   product: windows-12"
    assert said[2] == "      |            ^^^^^^^^^^"
    assert said[3].startswith("  hint: ")


def test_a_reader_that_goes_away(home: Home) -> None:
    """As in `provisioner schema | head -1`: no traceback, and the exit code of SIGPIPE."""
    with subprocess.Popen(
        (*PROGRAM, "schema"),
        env=home.environment(),
        cwd=home.work,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
        assert (process.wait(30), said) == (141, b"")


@pytest.mark.parametrize("asked", ["--help", "schema"])
def test_nothing_is_lost_without_a_word_on_a_full_disk(home: Home, asked: str) -> None:
    environment = {**home.environment(), "PYTHONUNBUFFERED": ""}
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            (*PROGRAM, asked),
            env=environment,
            cwd=home.work,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 3 and done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr and "space" in done.stderr


def test_no_plug_in_sees_what_a_profile_holds(home: Home) -> None:
    """Another package's plug-in of pydantic, which would be told of every validation."""
    installed = home.folder / "site/spy-1.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: spy\nVersion: 1\n")
    (installed / "entry_points.txt").write_text("[pydantic]\nspy = spy\n")
    (home.folder / "site/spy.py").write_text("print('the spy is here')\n")
    (home.work / "m1.yaml").write_text(PROFILE)
    environment = home.environment()
    path = os.pathsep.join(filter(None, (str(home.folder / "site"), environment.get("PYTHONPATH"))))
    seen = {}
    for name, argv in (
        ("ours", (*PROGRAM, "check", "m1.yaml")),
        ("pydantic", (sys.executable, "-c", "from pydantic import TypeAdapter as T; T(int)")),
    ):
        done = subprocess.run(
            argv,
            env={**environment, "PYTHONPATH": path},
            cwd=home.work,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,  # the profile's disc is not there
        )
        seen[name] = "the spy is here" in done.stdout
        assert name != "ours" or "disc.iso does not exist" in done.stdout, done.stdout
    assert seen == {"ours": False, "pydantic": True}


def test_a_state_folder_that_cannot_be_written(home: Home) -> None:
    """A file stands where the folder has to be: an error in words, not a bug."""
    (home.folder / "home/.local").write_text("")
    done = home.run("secret", "m1", "dev")
    assert done.returncode in (3, 4)
    assert "bug" not in done.stderr
