"""Loading: what a profile extends, options on top, and every problem at once in its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provisioner.errors import Problem, ProfileError, Severity
from provisioner.profile.units import Size
from provisioner.secret import FromEnvironment, FromFile, Generated

Check = Callable[..., tuple[Problem, ...]]

BASE = """\
windows:
  product: windows-11
  edition: Professional
  locale: {language: en-US, timezone: Europe/Berlin}
  users:
    - {name: a, password: {env: A}}
    - {name: b, password: {env: B}}
  administrator: {password: {env: ADMIN}}
machine:
  memory: 8 GiB
  graphics: spice
"""


def shown(problem: Problem) -> str:
    return f"{problem.place}: {problem.severity}[{problem.rule}] {problem.message}"


# --- extends -----------------------------------------------------------------------------------


def test_mappings_merge_sequences_replace_null_removes(desk: Any) -> None:
    desk.write("base.yaml", BASE)
    desk.write(
        "vm.yaml",
        """\
        extends: base.yaml
        windows:
          edition: null
          locale: {timezone: UTC}
          users: [{name: c, password: {env: C}}]
        machine: {memory: null}
        """,
    )
    profile = desk.load("vm.yaml").profile
    assert profile.windows.edition is None
    assert (profile.windows.locale.language, profile.windows.locale.timezone) == ("en-US", "UTC")
    assert [user.name for user in profile.windows.users] == ["c"]
    assert profile.machine.memory == Size("4 GiB")
    assert profile.machine.graphics == "spice"


def test_null_is_a_value_where_it_means_none(desk: Any) -> None:
    desk.write("base.yaml", BASE)
    desk.write(
        "vm.yaml", "extends: base.yaml\nmachine: {graphics: null}\nwindows: {recovery: null}\n"
    )
    profile = desk.load("vm.yaml").profile
    assert profile.machine.graphics is None
    assert profile.windows.recovery is None


def test_null_may_take_away_a_mapping_and_a_later_layer_bring_it_back(desk: Any) -> None:
    desk.write("one.yaml", BASE + "  ready: {within: 1 h, when: serial}\n")
    desk.write("two.yaml", "extends: one.yaml\nmachine: {ready: null}\n")
    desk.write("three.yaml", "extends: two.yaml\nmachine: {ready: {within: 2 h}}\n")
    assert desk.load("two.yaml").profile.machine.ready.within.seconds == 5400
    ready = desk.load("three.yaml").profile.machine.ready
    assert (ready.within.seconds, ready.when) == (7200, None)


def test_a_required_key_taken_away_is_missing_there(desk: Any) -> None:
    desk.write("base.yaml", BASE)
    desk.write("vm.yaml", "extends: base.yaml\nwindows: {product: null}\n")
    [problem] = desk.problems("vm.yaml")
    assert shown(problem) == "vm.yaml:2:11: error[profile.missing-key] missing key 'product'"


def test_a_secret_is_replaced_and_not_merged(desk: Any) -> None:
    desk.write("base.yaml", BASE)
    desk.write(
        "vm.yaml",
        "extends: base.yaml\nwindows: {administrator: {password: {generate: 16}}}\n",
    )
    assert desk.load("vm.yaml").profile.windows.administrator.password == Generated(generate=16)
    found = desk.load("vm.yaml", sets=["windows.users[1].password={file: ~/b}"])
    assert found.profile.windows.users[1].password == FromFile(file=str(desk.home / "b"))


def test_a_step_of_another_kind_replaces_the_whole_step(desk: Any) -> None:
    desk.write("vm.yaml", BASE.replace("  users:", "  steps: [{name: x, cmd: old}]\n  users:"))
    [step] = desk.load("vm.yaml", sets=["windows.steps[0].cmd=new"]).profile.windows.steps
    assert (step.name, step.cmd) == ("x", "new")
    text = "windows.steps[0]={name: y, powershell: dir}"
    [step] = desk.load("vm.yaml", sets=[text]).profile.windows.steps
    assert (step.name, step.powershell) == ("y", "dir")


def test_names_of_one_machine_are_not_inherited(desk: Any) -> None:
    desk.write("base.yaml", "name: base\n" + BASE + "  cpus: 4\n")
    desk.write("base2.yaml", "extends: base.yaml\nwindows: {computer_name: BASE}\n")
    desk.write("vm.yaml", "extends: base2.yaml\n")
    assert desk.load("base.yaml").profile.name == "base"
    profile = desk.load("vm.yaml").profile
    assert (profile.name, profile.windows.computer_name, profile.machine.cpus) == ("vm", None, 4)


def test_a_chain_across_folders_and_where_its_paths_begin(desk: Any) -> None:
    desk.write("deep/base.yaml", BASE + "media: {install: isos/w.iso, drivers: ~/v.iso}\n")
    desk.write("deep/mid/mid.yaml", "extends: ../base.yaml\nmedia: {drivers: ../v.iso}\n")
    desk.write("vm.yaml", "extends: deep/mid/mid.yaml\n")
    loaded = desk.load("vm.yaml", sets=["windows.administrator.password={file: pw}"])
    assert loaded.profile.media.install == str(desk.cwd / "deep/isos/w.iso")
    assert loaded.profile.media.drivers == str(desk.cwd / "deep/v.iso")
    assert loaded.profile.windows.administrator.password == FromFile(file=str(desk.cwd / "pw"))
    assert [path.name for path in loaded.files] == ["vm.yaml", "mid.yaml", "base.yaml"]
    assert str(loaded.places.value("media", "install")) == "deep/base.yaml:12:18"
    assert str(loaded.places.value("windows", "administrator", "password")).startswith(
        "--set windows."
    )


def test_a_path_behind_a_symbolic_link(desk: Any) -> None:
    (desk.cwd / "elsewhere/sub").mkdir(parents=True)
    (desk.cwd / "link").symlink_to("elsewhere/sub")
    desk.write("vm.yaml", BASE + "media: {install: link/../w.iso}\n")
    assert desk.load("vm.yaml").profile.media.install == str(desk.cwd / "elsewhere/w.iso")


def test_a_shipped_profile_by_name(desk: Any) -> None:
    desk.write("vm.yaml", "extends: windows-11\nwindows: {edition: Core}\n")
    profile = desk.load("vm.yaml").profile
    assert (profile.name, profile.windows.edition) == ("vm", "Core")
    assert desk.load("windows-11").profile.name == "windows-11"


def test_a_users_profile_may_carry_and_extend_a_shipped_name(desk: Any) -> None:
    mine = desk.user / "profiles/windows-11.yaml"
    mine.write_text("extends: windows-11\nmachine: {cpus: 8}\n")
    loaded = desk.load("windows-11")
    assert (loaded.profile.name, loaded.profile.machine.cpus) == ("windows-11", 8)
    assert loaded.profile.windows.edition == "Professional"
    assert loaded.files[0] == mine


CYCLES = [
    ({"a.yaml": "a.yaml"}, "a.yaml -> a.yaml", "a.yaml:1:10"),
    ({"a.yaml": "b.yaml", "b.yaml": "a.yaml"}, "a.yaml -> b.yaml -> a.yaml", "b.yaml:1:10"),
    (
        {"a.yaml": "b.yaml", "b.yaml": "c.yaml", "c.yaml": "./b.yaml"},
        "b.yaml -> c.yaml -> b.yaml",
        "c.yaml:1:10",
    ),
]


@pytest.mark.parametrize(("files", "chain", "position"), CYCLES)
def test_cycles(desk: Any, files: dict[str, str], chain: str, position: str) -> None:
    for name, extends in files.items():
        desk.write(name, f"extends: {extends}\n")
    [problem] = desk.problems("a.yaml")
    assert problem.rule == "profile.extends-cycle"
    assert problem.message == f"these profiles extend each other: {chain}"
    assert str(problem.place) == position


@pytest.mark.parametrize(
    ("extends", "message", "hint"),
    [
        ("windows-1", "there is no profile 'windows-1' to extend", "did you mean 'windows-11'?"),
        ("bsae.yaml", "there is no profile 'bsae.yaml' to extend", "did you mean 'base.yaml'?"),
        ("base", "there is no profile 'base' to extend", "'base.yaml'"),
        ("sub/x.yaml", "there is no profile 'sub/x.yaml' to extend", "looked for "),
        (
            "qqqq",
            "there is no profile 'qqqq' to extend",
            "known profiles: demo, usb-laptop, windows-10, ",
        ),
        ("3", "'extends' wants the name of a profile, or a file", "a list of profiles"),
        ("[a, b]", "'extends' wants the name of a profile, or a file", "a list of profiles"),
        ("''", "'extends' wants the name of a profile, or a file", "a list of profiles"),
        ("x" * 300, "there is no profile '", "known profiles"),
        ("./" + "x" * 300, "there is no profile '", "looked for"),
    ],
)
def test_nothing_to_extend(desk: Any, extends: str, message: str, hint: str) -> None:
    desk.write("base.yaml", BASE)
    desk.write("vm.yaml", f"extends: {extends}\n")
    [problem] = desk.problems("vm.yaml")
    assert problem.rule == "profile.extends"
    assert message in problem.message
    assert hint in (problem.hint or "")
    assert str(problem.place) == "vm.yaml:1:10"


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("windows11", "did you mean 'windows-11'?"),
        ("vn.yaml", "did you mean 'vm.yaml'?"),
        ("vm", "to name the file in this folder, write 'vm.yaml'"),
        ("LICENSE", "to name the file in this folder, write './LICENSE'"),
        ("empty/windows-11.yaml", "did you mean the shipped profile 'windows-11'?"),
        ("a\0b.yaml", "looked for"),
    ],
)
def test_no_such_profile(desk: Any, source: str, hint: str) -> None:
    desk.write("vm.yaml", BASE)
    desk.write("LICENSE", "")
    with pytest.raises(ProfileError) as caught:
        desk.load(source)
    [problem] = caught.value.problems
    assert problem.rule == "profile.not-found"
    assert hint in (problem.hint or "")
    assert caught.value.exit_code == 2


# --- options -----------------------------------------------------------------------------------


def test_sets_are_yaml_and_come_last(desk: Any) -> None:
    desk.write("vm.yaml", BASE)
    profile = desk.load(
        "vm.yaml",
        sets=[
            "machine.cpus=4",
            "machine.memory=2 GiB",
            "windows.users[0].name=x",
            "windows.remote={rdp: true}",
            "windows.edition=",
            "description=a=b",
            "name=other",
        ],
    ).profile
    assert (profile.machine.cpus, profile.machine.memory) == (4, Size("2 GiB"))
    assert profile.windows.users[0].name == "x"
    assert profile.windows.users[0].password == FromEnvironment(env="A")
    assert profile.windows.remote.rdp
    assert profile.windows.edition is None
    assert (profile.description, profile.name) == ("a=b", "other")


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("machine.cpus=four", "--set machine.cpus=…", "'cpus' wants a whole number"),
        ("machine.cpu=4", "--set machine.cpu=…", "unknown key 'cpu'"),
        ("machine.cpus", "--set", "--set needs a key and a value"),
        ("=4", "--set =…", "'' is not a path of keys"),
        ("machine..cpus=4", "--set machine..cpus=…", "is not a path of keys"),
        ("[0]=4", "--set [0]=…", "is not a path of keys"),
        ("machine.cpus=[", "--set machine.cpus=…", "a bracket or brace is still open"),
        ("machine.cpus=!x 4", "--set machine.cpus=…", "tags are not used"),
        ("windows.users[2].name=x", "--set windows.users[2].name=…", "has no [2]"),
        ("windows.users.name=x", "--set windows.users.name=…", "has no keys"),
        ("windows[0]=x", "--set windows[0]=…", "'windows' is not a list"),
        ("windows.edition.x=x", "--set windows.edition.x=…", "has no keys"),
        ("extends=windows-11", "--set extends=…", "can only stand in a file"),
    ],
)
def test_bad_sets(problems_of: Check, text: str, place: str, message: str) -> None:
    [problem] = problems_of(BASE, text)
    assert str(problem.place) == place
    assert message in problem.message
    assert problem.place is not None
    assert problem.place.source is None


def test_a_set_never_repeats_its_value(problems_of: Check) -> None:
    options = [
        "windows.administrator.password=hunter2",
        "windows.administrator.passwd={plain: hunter2}",
        "windows.users[0].password={plain: hunter2, env: A}",
        "windows.users[7].password={plain: hunter2}",
        "windows.users[1].password={plain: 'hunter2}",
    ]
    found = problems_of(BASE, *options)
    assert len(found) == len(options)
    assert "hunter2" not in repr(found)


def test_media_are_relative_to_the_current_folder(desk: Any) -> None:
    desk.write("sub/vm.yaml", BASE + "media: {install: a.iso, drivers: b.iso}\n")
    profile = desk.load("sub/vm.yaml", media={"install": "w.iso"}).profile
    assert profile.media.install == str(desk.cwd / "w.iso")
    assert profile.media.drivers == str(desk.cwd / "sub/b.iso")
    assert desk.load("sub/vm.yaml", media={"install": "~/w.iso"}).profile.media.install == str(
        desk.home / "w.iso"
    )
    with pytest.raises(ProfileError) as caught:
        desk.load("sub/vm.yaml", media={"instal": "w.iso", "drivers": ""})
    assert [shown(problem) for problem in caught.value.problems] == [
        "--media instal=w.iso: error[profile.unknown-key] unknown key 'instal'",
        "--media drivers=: error[profile.range] 'drivers' is empty",
    ]


# --- problems ----------------------------------------------------------------------------------


def test_every_problem_of_every_file_in_file_order(desk: Any) -> None:
    desk.write(
        "base.yaml",
        """\
        machine: {cpus: many, tpm: yes}
        windows:
          locale: {keyboard: de-GE}
          locale: {}
        """,
    )
    desk.write(
        "vm.yaml",
        """\
        windows:
          product: windows-12
          users: [{name: dev}]
        extends: base.yaml
        nmae: x
        """,
    )
    assert [shown(problem) for problem in desk.problems("vm.yaml", sets=["machine.memory=1"])] == [
        "vm.yaml:2:12: error[profile.choice] 'product' cannot be 'windows-12'",
        "vm.yaml:3:11: error[profile.missing-key] missing key 'password'",
        "vm.yaml:5:1: error[profile.unknown-key] unknown key 'nmae'",
        "base.yaml:1:17: error[profile.type] 'cpus' wants a whole number, and this is text",
        "base.yaml:1:28: error[profile.type] 'tpm' wants true or false, and this is text",
        "base.yaml:3:22: error[windows.keyboard] unknown keyboard 'de-GE'",
        "base.yaml:4:3: error[yaml.duplicate-key] key 'locale' appears twice in this mapping",
        "--set machine.memory=…: error[profile.type] 'memory' wants a size, and this is a number",
    ]


def test_a_base_that_cannot_be_read_makes_nothing_missing(desk: Any) -> None:
    desk.write("base.yaml", "windows: {product: windows-11\n")
    desk.write("vm.yaml", "extends: base.yaml\nmachine: {cpus: 0}\n")
    assert [problem.rule for problem in desk.problems("vm.yaml")] == [
        "profile.range",
        "yaml.syntax",
    ]


def test_warnings_and_notes_come_with_the_profile(desk: Any) -> None:
    desk.write(
        "vm.yaml",
        BASE.replace("{env: A}", "{plain: hunter2}") + "  networks: [{model: virtio}]\n",
    )
    loaded = desk.load("vm.yaml")
    assert [(problem.severity, str(problem.place)) for problem in loaded.problems] == [
        (Severity.NOTE, "vm.yaml:6:27"),
        (Severity.WARNING, "vm.yaml:12:22"),
    ]
    assert "hunter2" not in repr(loaded)


def test_the_name_is_that_of_the_file(desk: Any) -> None:
    desk.write("dev.11.yaml", BASE)
    assert desk.load("dev.11.yaml").profile.name == "dev.11"
    desk.write("my pc.yaml", BASE)
    [problem] = desk.problems("my pc.yaml")
    assert shown(problem) == ("my pc.yaml: error[profile.name] 'my pc' cannot be a machine's name")


def test_places_name_the_file_as_it_was_given(desk: Any) -> None:
    path = desk.write("vm.yaml", "machine: 3\nwindows: {product: windows-10}\n")
    for source in ("vm.yaml", "./vm.yaml", str(path), path):
        problem = desk.problems(source)[0]
        assert str(problem.place) == f"{source}:1:10"


def test_a_file_that_is_a_circle_of_links_is_no_crash(desk: Any) -> None:
    (desk.cwd / "vm.yaml").symlink_to("vm.yaml")
    assert desk.problems("vm.yaml")[0].rule == "profile.not-found"


KEYS = st.sampled_from(
    (
        *("windows", "machine", "media", "users", "name", "password", "plain", "steps", "cmd"),
        *("disks", "size", "locale", "keyboard", "edition", "product", "ready", "extends"),
        *("file", "env", "x"),
    )
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(("8 GiB", "windows-11", "de-DE", "~/x", "a" * 50))
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_arbitrary_values_never_crash_the_loader(desk: Any, data: dict[str, Any]) -> None:
    import yaml

    text = yaml.safe_dump(data, allow_unicode=True)
    (desk.cwd / "vm.yaml").write_text(text, encoding="utf-8", errors="replace")
    for problem in desk.problems("vm.yaml"):
        assert problem.message
        assert problem.place is not None


def test_resources_are_not_asked_from_the_environment(
    desk: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", "/nowhere")
    monkeypatch.chdir(tmp_path)
    desk.write("vm.yaml", BASE + "media: {install: ~/w.iso}\n")
    assert desk.load("vm.yaml").profile.media.install == str(desk.home / "w.iso")
