"""`config`: what wins, where it came from, and a file that keeps its comments."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.cli.config import SETTINGS, Config, Source, read_config
from provisioner.cli.config_file import changed, read_settings, yaml_text
from provisioner.cli.console import TerminalConsole
from provisioner.cli.environment import Environment
from provisioner.cli.session import Session
from provisioner.errors import FailedError, ProfileError
from provisioner.profile.load import load_profile
from provisioner.resources import Resources, shipped_folder
from provisioner.store.machine import Generation, Machines, MachineState, Phase
from tests.unit.cli.program import Home, members


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def environment(folder: Path, **variables: str) -> Environment:
    for name in ("home", "work", "config"):
        (folder / name).mkdir(exist_ok=True)
    return Environment(
        variables=variables,
        home=folder / "home",
        cwd=folder / "work",
        uid=1000,
        config=folder / "config",
        state=folder / "state",
        cache=folder / "cache",
    )


def config(folder: Path, text: str = "", *, given: dict[str, str] | None = None,
           **variables: str) -> Config:  # fmt: skip
    here = environment(folder, **variables)
    if text:
        (here.config / "config.yaml").write_text(text)
    return read_config(here, given)


# What wins.


def test_without_anything_there_are_defaults(tmp_path: Path) -> None:
    found = config(tmp_path)
    assert {value.source for value in found.values.values()} == {Source.DEFAULT}
    assert list(found.values) == [setting.key for setting in SETTINGS]
    assert found.colour is None and found["connect"].text is None
    assert found.below_profiles() == ()


def test_each_source_goes_before_the_one_below(tmp_path: Path) -> None:
    text = "# mine\nconnect: qemu:///session\n"
    value = config(tmp_path, text)["connect"]
    assert (value.text, value.source) == ("qemu:///session", Source.FILE)
    assert value.origin == f"{tmp_path}/config/config.yaml:2:10"
    value = config(tmp_path, text, LIBVIRT_DEFAULT_URI="qemu:///embed")["connect"]
    assert (value.text, value.origin) == ("qemu:///embed", "LIBVIRT_DEFAULT_URI")
    given = {"connect": "qemu:///system"}
    value = config(tmp_path, text, given=given, LIBVIRT_DEFAULT_URI="qemu:///embed")["connect"]
    assert (value.text, value.origin) == ("qemu:///system", "command line")


@pytest.mark.parametrize(
    ("text", "variables", "colour", "origin"),
    [
        ("", {"NO_COLOR": "1"}, False, "NO_COLOR"),
        ("colour: always", {"NO_COLOR": "1"}, True, "config.yaml:1:9"),
        ("colour: never", {}, False, "config.yaml:1:9"),
        ("colour: auto", {}, None, "config.yaml:1:9"),
    ],
)
def test_colour_follows_no_color_org(
    tmp_path: Path, text: str, variables: dict[str, str], colour: bool | None, origin: str
) -> None:
    found = config(tmp_path, text, **variables)
    assert found.colour is colour
    assert found["colour"].origin.endswith(origin)


def loaded(folder: Path, profile: str, found: Config, media: dict[str, str] | None = None):  # type: ignore[no-untyped-def]
    (folder / "work/vm.yaml").write_text(f"extends: windows-11\n{profile}")
    return load_profile(
        "vm.yaml",
        media=media,
        defaults=found.below_profiles(),
        resources=Resources(shipped=shipped_folder()),
        home=folder / "home",
        cwd=folder / "work",
    )


def test_a_profile_goes_before_the_file(tmp_path: Path) -> None:
    found = config(tmp_path, "media: {install: iso/a.iso, drivers: ~/v.iso}\npool: fast\n")
    profile = loaded(tmp_path, "", found).profile
    assert profile.media.install == f"{tmp_path}/config/iso/a.iso"
    assert profile.media.drivers == f"{tmp_path}/home/v.iso"
    assert profile.machine.pool == "fast"
    own = "media: {install: b.iso, drivers: null}\nmachine: {pool: slow}\n"
    profile = loaded(tmp_path, own, found).profile
    assert profile.media.install == f"{tmp_path}/work/b.iso"
    assert profile.media.drivers is None
    assert profile.machine.pool == "slow"
    profile = loaded(tmp_path, own, found, {"install": "c.iso"}).profile
    assert profile.media.install == f"{tmp_path}/work/c.iso"


def test_a_variable_goes_before_the_file_and_starts_here(tmp_path: Path) -> None:
    found = config(tmp_path, "media: {install: a.iso}\n", PROVISIONER_MEDIA_INSTALL="e.iso")
    result = loaded(tmp_path, "", found)
    assert result.profile.media.install == f"{tmp_path}/work/e.iso"
    assert str(result.places.value("media", "install")) == "PROVISIONER_MEDIA_INSTALL"


def test_the_place_of_a_default_is_the_file(tmp_path: Path) -> None:
    result = loaded(tmp_path, "", config(tmp_path, "\npool: fast\n"))
    assert str(result.places.value("machine", "pool")).endswith("config/config.yaml:2:7")


# What is wrong with a file.


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        ("conect: x", "1:1", "unknown setting 'conect'", "did you mean 'connect'?"),
        ("pool: a\ninstall: x", "2:1", "setting 'install'", "did you mean 'media.install'?"),
        ("media: {driver: x}", "1:9", "'media.driver'", "did you mean 'media.drivers'?"),
        ("color: never", "1:1", "unknown setting 'color'", "did you mean 'colour'?"),
        ("zzz: 1", "1:1", "unknown setting 'zzz'", "known here: connect, media.install"),
        ("colour: no", "1:9", "'no' is not possible for 'colour'", "one of auto, always, never"),
        ("colour: false", "1:9", "'colour' wants a text", "colours on the terminal"),
        ("pool: 4", "1:7", "'pool' wants a text", "storage pool"),
        ("connect: [a]", "1:10", "'connect' wants a text", "libvirt connection"),
        ("pool: a\npool: b", "2:1", "key 'pool' appears twice", "the first is on line 1"),
        ("- a", "1:1", "mapping of keys", ""),
        ("pool: 'a", "", "", ""),
    ],
)  # fmt: skip
def test_mistakes(tmp_path: Path, text: str, place: str, message: str, hint: str) -> None:
    with pytest.raises(ProfileError) as caught:
        config(tmp_path, text)
    problem = caught.value.problems[0]
    assert str(problem.place).startswith(f"{tmp_path}/config/config.yaml:{place}")
    assert message in problem.message
    assert hint in (problem.hint or "")


def test_all_mistakes_at_once(tmp_path: Path) -> None:
    with pytest.raises(ProfileError) as caught:
        config(tmp_path, "conect: x\ncolour: red\nmedia: {iso: a}\n")
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize("text", ["\n", "# nothing\n\n", "media:\n", "media: {}\n", "pool: null\n"])
def test_an_empty_file_says_nothing(tmp_path: Path, text: str) -> None:
    assert config(tmp_path, text)["pool"].source is Source.DEFAULT


# Changing the file.


@pytest.mark.parametrize(
    ("before", "key", "value", "after"),
    [
        ("# c\nconnect: a # why\npool: p\n", "connect", "b", "# c\nconnect: b # why\npool: p\n"),
        ("connect: 'a b'\n", "connect", "c", "connect: c\n"),
        ("connect: a", "pool", "p", "connect: a\npool: p\n"),
        ("connect:\n", "connect", "b", "connect: b\n"),
        ("connect: null # none\n", "connect", "b", "connect: b # none\n"),
        ("media:\n    # mine\n    install: a\n", "media.drivers", "d",
         "media:\n    # mine\n    drivers: d\n    install: a\n"),
        ("media:\npool: p\n", "media.install", "a", "media:\n  install: a\npool: p\n"),
        ("media: {install: a}\n", "media.drivers", "d", "media: {drivers: d, install: a}\n"),
        ("media: {install: a}\n", "media.install", "it's", "media: {install: 'it''s'}\n"),
        ("media: {}\n", "media.install", "a", "media: {install: a}\n"),
        ("pool: p\n", "media.install", "a", "pool: p\nmedia:\n  install: a\n"),
        ("connect: a # why\npool: p\n", "connect", None, "pool: p\n"),
        ("media:\n  install: a\npool: p\n", "media.install", None, "pool: p\n"),
        ("media:\n  install: a\n  drivers: d\n", "media.install", None, "media:\n  drivers: d\n"),
        ("pool: p\n", "connect", None, "pool: p\n"),
    ],
)  # fmt: skip
def test_changing_keeps_the_rest(before: str, key: str, value: str | None, after: str) -> None:
    assert changed(before, tuple(key.split(".")), value) == after


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("connect: >\n  folded\n  text\n", "connect", "b"),
        ("media: {install: a, drivers: d}\n", "media.install", None),
        ("connect: &a x\npool: *a\n", "pool", "b"),
        ("pool: p\n---\npool: q\n", "pool", "b"),
    ],
)
def test_what_cannot_be_changed_in_place_is_refused(text: str, key: str, value: str | None) -> None:
    with pytest.raises(FailedError):
        changed(text, tuple(key.split(".")), value)


@given(st.text(min_size=1, max_size=40))
def test_every_text_survives_the_file(text: str) -> None:
    for before in ("", "media: {install: x}\n", "media:\n  install: x # c\n"):
        try:
            after = changed(before, ("media", "install"), text)
        except FailedError:
            # What strict YAML refuses whatever the quotes: control characters and the like.
            assert not text.isprintable()
            return
        assert after.count("\n") <= max(before.count("\n"), 3)


def test_yaml_text_quotes_only_where_needed() -> None:
    assert yaml_text("~/iso/Win11 x64.iso") == "~/iso/Win11 x64.iso"
    assert yaml_text("~/it's #1.iso") == "'~/it''s #1.iso'"
    assert yaml_text("qemu:///embed?root=/r") == "qemu:///embed?root=/r"
    assert yaml_text("null") == "'null'" and yaml_text("true") == "'true'"
    assert yaml_text("a: b") == "'a: b'" and yaml_text("#x") == "'#x'"


# The command.


def test_the_command(home: Home) -> None:
    (home.work / "a.iso").write_bytes(b"")
    done = home.run("config", "set", "media.install", "a.iso")
    assert (done.returncode, done.stdout) == (0, "")
    assert home.run("config", "set", "colour", "never").returncode == 0
    assert home.config.read_text().splitlines()[1:] == [
        "media:", f"  install: {home.work}/a.iso", "colour: never",
    ]  # fmt: skip
    assert home.run("config", "get", "media.install").stdout == f"{home.work}/a.iso\n"
    home.variables["LIBVIRT_DEFAULT_URI"] = "qemu:///session"
    rows = home.run("config", "--connect", "qemu:///system", "--colour", "always").stdout
    assert [line.split()[0] for line in rows.splitlines()] == [s.key for s in SETTINGS]
    lines = {line.split()[0]: line for line in rows.splitlines()}
    assert lines["connect"].split("  ")[-1].strip() == "command line"
    assert lines["media.install"].endswith(f"{home.config}:3:12")
    events = {event["key"]: event for event in members(home.events("config"), "setting")}
    assert events["connect"]["source"] == "environment"
    assert events["connect"]["where"] == "LIBVIRT_DEFAULT_URI"
    assert events["colour"] | {"meaning": ""} == {
        "event": "setting", "key": "colour", "value": "never", "source": "file",
        "where": f"{home.config}:4:9", "meaning": "",
    }  # fmt: skip
    assert home.run("config", "unset", "media.install").returncode == 0
    assert "media" not in home.config.read_text()


def test_the_command_refuses(home: Home) -> None:
    done = home.run("config", "set", "colour", "red")
    assert done.returncode == 2 and "one of auto, always, never" in done.stderr
    done = home.run("config", "get", "colors")
    assert done.returncode == 2 and "did you mean 'colour'?" in done.stderr
    done = home.run("config", "set", "connect", "xen:///")
    assert done.returncode == 3 and "qemu:///system" in done.stderr
    assert not home.config.exists()


def test_a_wrong_file_stops_every_command(home: Home) -> None:
    home.config.parent.mkdir(parents=True)
    home.config.write_text("conect: x\n")
    done = home.run("list")
    assert done.returncode == 2
    assert f"{home.config}:1:1: error[config.unknown-key]" in done.stderr
    [event] = home.events("list")
    assert (event["event"], event["line"]) == ("problem", 1)


def test_a_link_stays_a_link(home: Home, tmp_path: Path) -> None:
    kept = tmp_path / "dotfiles.yaml"
    kept.write_text("# mine\npool: p\n")
    kept.chmod(0o640)
    home.config.parent.mkdir(parents=True)
    home.config.symlink_to(kept)
    assert home.run("config", "set", "pool", "q").returncode == 0
    assert home.config.is_symlink()
    assert kept.read_text() == "# mine\npool: q\n"
    assert kept.stat().st_mode & 0o777 == 0o640


def test_the_settings_reach_a_profile(home: Home) -> None:
    home.run("config", "set", "media.install", "nowhere.iso")
    done = home.run("check", "windows-11")
    assert done.returncode == 3
    assert "nowhere.iso" in done.stderr


def test_read_settings_has_places(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("media:\n  install: a\n")
    [(path, place, node)], problems = read_settings(file)
    assert (path, str(place), node.value, problems) == (
        ("media", "install"), f"{file}:2:3", "a", (),
    )  # fmt: skip


# Where machines run.


def where(found: Config, folder: Path, uri: str | None = None) -> tuple[str, str]:
    here = environment(folder)
    console = TerminalConsole(out=io.StringIO(), err=io.StringIO())
    with Session(here, console, found) as session:
        chosen = session.where("vm", uri)
    return chosen.uri, chosen.reason


def test_the_connection_of_new_machines(tmp_path: Path) -> None:
    text = "connect: qemu:///session\n"
    assert where(config(tmp_path, text), tmp_path)[0] == "qemu:///session"
    found = config(tmp_path, text, LIBVIRT_DEFAULT_URI="qemu:///embed")
    assert where(found, tmp_path) == ("qemu:///embed", "LIBVIRT_DEFAULT_URI says so")
    assert where(found, tmp_path, "qemu:///system")[0] == "qemu:///system"


def test_a_machine_stays_where_it_is(tmp_path: Path) -> None:
    current = Generation(number=1, domain="vm", digest="0")
    state = MachineState(
        name="vm", uri="qemu:///embed", phase=Phase.READY, profile="p", current=current
    )
    Machines(tmp_path / "state").store("vm").save(state)
    assert where(config(tmp_path, "connect: qemu:///session\n"), tmp_path)[0] == "qemu:///embed"
