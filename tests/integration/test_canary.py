"""No secret is written anywhere but where it must be (house §5): a marked one goes everywhere."""

from __future__ import annotations

import base64
import shlex
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.integration.canary import (
    ProcessWatch,
    leaks_in_bytes,
    leaks_in_files,
    secret_with,
    traces,
)
from tests.integration.home import Done, Home

pytestmark = pytest.mark.integration

KINDS = ("environment", "file", "command", "plain", "administrator")
MARKERS = {kind: f"Zq7Kanari{kind.capitalize()}9x" for kind in KINDS}

ACCOUNTS = """\
windows:
  administrator: {{enabled: true, password: {{file: {folder}/administrator}}}}
  users:
    - {{name: u-env, groups: [Administrators], password: {{env: CANARY}}}}
    - {{name: u-file, password: {{file: {folder}/file}}}}
    - {{name: u-command, password: {{command: [cat, {folder}/command]}}}}
    - {{name: u-plain, password: {{plain: {plain}}}}}
    - {{name: u-generated, password: {{generate: 24}}}}
  autologon: {{user: u-env}}
"""


@dataclass
class Canary:
    """A home whose profile holds a marked secret of every kind."""

    home: Home
    markers: list[str]
    may_hold: list[Path] = field(default_factory=list)
    profile: str = ""

    def __post_init__(self) -> None:
        home = self.home
        vault = home.folder / "v"
        vault.mkdir(mode=0o700)
        for kind in ("file", "command", "administrator"):
            (vault / kind).write_text(secret_with(MARKERS[kind]) + "\n")
        home.environment["CANARY"] = secret_with(MARKERS["environment"])
        plain = "'" + secret_with(MARKERS["plain"]).replace("'", "''") + "'"
        self.profile = home.profile(ACCOUNTS.format(folder=vault, plain=plain))
        self.may_hold += [vault, Path(self.profile)]

    def run(self, *arguments: str, expect: int | None = 0) -> Done:
        """Runs a command, and again with --debug, and looks at what it printed and wrote."""
        done = self.home.run(*arguments, expect=expect)
        self.look(done)
        return done

    def look(self, done: Done) -> None:
        """At the output of a command, and at every file."""
        command = " ".join(done.argv)
        found = leaks_in_bytes(done.out.encode(), self.markers, f"stdout of {command}")
        found += leaks_in_bytes(done.err.encode(), self.markers, f"stderr of {command}")
        found += self.on_disk()
        assert found == []

    def on_disk(self) -> list[str]:
        """Everything below the home, and the shared cache."""
        places = [self.home.folder, *([self.home.cache] if self.home.cache else [])]
        return [
            line
            for place in places
            for line in leaks_in_files(place, self.markers, may_hold=self.may_hold)
        ]


@pytest.fixture
def canary(home: Home) -> Canary:
    return Canary(home=home, markers=list(MARKERS.values()))


def test_commands_that_only_look(canary: Canary) -> None:
    with ProcessWatch(canary.markers) as watch:
        for command in (
            ("check", canary.profile),
            ("check", canary.profile, "--json"),
            ("plan", canary.profile),
            ("plan", canary.profile, "--json"),
            ("plan", canary.profile, "--xml", "--debug"),
            ("render", canary.profile, "-o", "redacted"),
            ("render", canary.profile, "-o", "redacted2", "--json"),
            ("list",),
            ("doctor",),
            ("schema",),
        ):
            canary.run(*command)
    assert watch.found == set() and watch.looks > 10
    assert (
        "users.u-env: environment variable CANARY"
        in (canary.home.work / "redacted" / "Autounattend.xml").read_text()
    )


def test_what_may_hold_them(canary: Canary) -> None:
    """The disc of `build` and `render --reveal` hold every secret, and only the owner may look."""
    revealed, built = canary.home.work / "revealed", canary.home.work / "built"
    canary.may_hold += [revealed, built, canary.home.state / "m1" / "secrets.json"]
    canary.run("render", canary.profile, "-o", "revealed", "--reveal")
    canary.run("build", canary.profile, "-o", "built")
    for path in (*revealed.rglob("*"), *built.rglob("*")):
        if path.is_file() and leaks_in_bytes(path.read_bytes(), canary.markers, str(path)):
            assert path.stat().st_mode & 0o077 == 0, path
    disc = (built / "m1-answers.iso").read_bytes()
    answers = (revealed / "Autounattend.xml").read_bytes()
    for marker in canary.markers:
        assert any(trace in disc for trace in traces(marker).values()), marker
        assert any(trace in answers for trace in traces(marker).values()), marker
    # What was made up for the disc is kept, for `secret`, until the machine is deleted.
    assert len(canary.home.run("secret", "m1", "u-generated").out.strip()) == 24
    canary.run("delete", "m1", "--yes")


def test_the_life_of_a_machine(canary: Canary) -> None:
    home = canary.home
    home.direct_guest()
    folder = home.state / "m1"
    answers = folder / "m1-1-answers.iso"
    with ProcessWatch(canary.markers) as watch:
        canary.may_hold += [answers, folder / "secrets.json"]
        running = home.start("up", canary.profile)
        running.wait_for_step("wait until")
        disc = answers.read_bytes()
        assert answers.stat().st_mode & 0o777 == 0o600
        for marker in canary.markers:
            assert any(trace in disc for trace in traces(marker).values()), marker
        canary.run("status", "m1")
        canary.run("list", "--json")
        ended = running.finish()
        assert ended.code == 0, ended
        assert not answers.exists()
        # From now on the generated password is one of the marked.
        password = home.run("secret", "m1", "u-generated").out.strip()
        assert len(password) == 24
        canary.markers.append(password)
        assert (folder / "secrets.json").stat().st_mode & 0o777 == 0o600
        canary.look(ended)
        refused = home.run("secret", "m1", "u-env", expect=4)
        canary.look(refused)
        for command in (
            ("status", "m1", "--screenshot", "screen.png"),
            ("status", "m1", "--json"),
            ("drive", "attach", "m1", str(home.media.drivers)),
            ("drive", "eject", "m1", "--drive", "sdc"),
            ("up", canary.profile),
            ("down", "m1"),
            ("plan", canary.profile, "--json"),
        ):
            canary.run(*command)
        changed = canary.run("up", canary.profile, "--set", "windows.owner=x", expect=5)
        assert "windows.owner: x" in changed.err
        home.environment["CANARY"] += "!"
        other = canary.run("up", canary.profile, expect=5)
        assert "users.u-env: another value" in other.err
        canary.run("delete", "m1", "--yes")
    assert watch.found == set()
    assert not folder.exists()


MISTAKES = {
    "unknown key": "{plain: SECRET, plane: 1}",
    "two kinds": "{plain: SECRET, env: HOME}",
    "no mapping": "SECRET",
    "a list": "[SECRET]",
    "a duplicate": "{plain: SECRET, plain: SECRET}",
    "a wrong type": "{plain: {x: SECRET}}",
    "no YAML": "{plain: SECRET",
    "a number": "{generate: SECRET}",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_beside_a_literal(mistake: str, canary: Canary) -> None:
    """The line with the caret is not shown where a literal secret stands in it."""
    literal = f"'A1a{MARKERS['plain']}z'"
    text = f"windows: {{users: [{{name: dev, password: {MISTAKES[mistake]}}}]}}\n"
    profile = canary.home.profile(text.replace("SECRET", literal), name="bad.yaml")
    canary.may_hold.append(Path(profile))
    for command in (("check",), ("plan", "--json"), ("up", "--debug")):
        done = canary.home.run(command[0], profile, *command[1:], expect=None)
        assert done.code != 0, done
        canary.look(done)


def test_failures(canary: Canary) -> None:
    home = canary.home
    folder = home.state / "m1"
    canary.may_hold += [folder / "secrets.json", folder / "m1-1-answers.iso"]
    home.direct_guest("standin.fail=no_room_here")
    for flags in (("--debug",), ("--json", "--keep-failed")):
        failed = canary.run("up", canary.profile, *flags, expect=None)
        assert failed.code != 0
    assert list((home.state / "failures").iterdir())
    canary.run("delete", "m1", "--yes")

    vault = home.folder / "v"
    (vault / "file").write_text(f"{MARKERS['file']}\a{MARKERS['file']}")
    for flags in ((), ("--debug",)):
        refused = canary.run("up", canary.profile, *flags, expect=None)
        assert refused.code != 0 and "control character" in refused.err
    (vault / "file").write_bytes(MARKERS["file"].encode() + b"\xff")
    refused = canary.run("up", canary.profile, "--debug", expect=None)
    assert refused.code != 0 and "UTF-8" in refused.err
    (vault / "file").write_text(secret_with(MARKERS["file"]))
    (vault / "command").unlink()
    refused = canary.run("up", canary.profile, expect=3)
    assert "u-command" in refused.err
    del home.environment["CANARY"]
    refused = canary.run("up", canary.profile, expect=3)
    assert "environment variable CANARY" in refused.err


@pytest.mark.parametrize("form", traces("Zq7KanariPlanted9x"))
def test_a_planted_leak_is_found(form: str, tmp_path: Path) -> None:
    marker = "Zq7KanariPlanted9x"
    (tmp_path / "harmless").write_bytes(b"nothing here")
    assert leaks_in_files(tmp_path, [marker], may_hold=()) == []
    (tmp_path / "log").write_bytes(b"before " + traces(marker)[form] + b" behind")
    assert leaks_in_files(tmp_path, [marker], may_hold=()) != []
    assert leaks_in_files(tmp_path, [marker], may_hold=[tmp_path / "log"]) == []


@pytest.mark.parametrize("before", range(6))
def test_encoded_passwords_are_found_at_any_place(before: int) -> None:
    """As Setup wants them: base64 of UTF-16 with the element's name behind, inside anything."""
    marker = "Zq7KanariPlanted9x"
    for suffix in ("Password", "AdministratorPassword"):
        text = "x" * before + secret_with(marker) + suffix
        assert leaks_in_bytes(_base64(text).encode(), [marker], "x")


def test_a_command_line_is_seen() -> None:
    marker = "Zq7KanariPlanted9x"
    with ProcessWatch([marker]) as watch:
        script = f"sleep 0.5; : {shlex.quote(marker)}"
        subprocess.run(["sh", "-c", script], check=True)
    assert watch.found


def _base64(text: str) -> str:
    return base64.b64encode(text.encode("utf-16-le")).decode()
