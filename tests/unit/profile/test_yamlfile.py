"""The strict YAML reader: YAML 1.2 scalars, a place for everything, and nothing crashes it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.errors import Place
from provisioner.profile.places import places_of
from provisioner.profile.veil import veiled_lines
from provisioner.profile.yamlfile import (
    LARGEST_FILE,
    Document,
    Node,
    read_file,
    read_text,
    read_value,
)
from provisioner.resources import shipped_folder


def plain(node: Node) -> object:
    if isinstance(node.value, tuple):
        return [plain(item) for item in node.value]
    if isinstance(node.value, dict):
        return {key: plain(entry.node) for key, entry in node.value.items()}
    return node.value


def read(text: str) -> Document:
    return read_text(text, shown="vm.yaml")


def value(text: str) -> object:
    document = read_value(text, place=Place(file="here"))
    assert not document.problems
    assert document.root is not None
    return plain(document.root)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("12:30:00", "12:30:00"),
        ("52:54:00:12:34:56", "52:54:00:12:34:56"),
        ("0777", "0777"),
        ("00", "00"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("2024-01-01", "2024-01-01"),
        ("=", "="),
        (".inf", ".inf"),
        ("-.INF", "-.INF"),
        (".nan", ".nan"),
        ("1e999", "1e999"),
        ("1" + "0" * 31, 1e31),
        ("true", True),
        ("False", False),
        ("TRUE", True),
        ("null", None),
        ("~", None),
        ("", None),
        ("0", 0),
        ("-7", -7),
        ("+7", 7),
        ("0o17", 15),
        ("0xfF", 255),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("'7'", "7"),
        ('"true"', "true"),
        ("'null'", "null"),
        ("[1, no, {a: ~}]", [1, "no", {"a": None}]),
        (r"'C:\Tools'", r"C:\Tools"),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, expected: object) -> None:
    found = value(text)
    assert (found, type(found)) == (expected, type(expected))


REFUSED = [
    pytest.param("a: 1\na: 2\n", "yaml.duplicate-key", "2:1", 1, id="duplicate key"),
    pytest.param("a: {bb: 1, bb: 2}", "yaml.duplicate-key", "1:12", 2, id="duplicate in flow"),
    pytest.param("<<: {b: 1}\n", "yaml.merge-key", "1:1", 2, id="merge key"),
    pytest.param("a: *nobody\n", "yaml.alias", "1:4", 7, id="unknown alias"),
    pytest.param("a: &x [*x]\n", "yaml.alias", "1:8", 2, id="alias to itself"),
    pytest.param("a: !!int '3'\n", "yaml.tag", "1:4", 9, id="tag"),
    pytest.param("a: !secret x\n", "yaml.tag", "1:4", 9, id="own tag"),
    pytest.param("a: 1\n---\nb: 2\n", "yaml.documents", "2:1", 1, id="two documents"),
    pytest.param("- a\n", "yaml.root", "1:1", 1, id="list at the top"),
    pytest.param("just words\n", "yaml.root", "1:1", 10, id="text at the top"),
    pytest.param("", "yaml.root", "1:1", 1, id="empty"),
    pytest.param("# nothing\n", "yaml.root", "2:1", 1, id="only a comment"),
    pytest.param("a:\n\tb: 1\n", "yaml.tab", "2:1", 1, id="tab"),
    pytest.param("1: a\n", "yaml.key", "1:1", 1, id="number as key"),
    pytest.param("? [a]\n: b\n", "yaml.key", "1:3", 3, id="list as key"),
    pytest.param("a: \x07\n", "yaml.control-character", "1:4", 1, id="raw control character"),
    pytest.param('a: "\\e[2J"\n', "yaml.control-character", "1:4", 7, id="escaped escape"),
    pytest.param('a: "\\x9b2J"\n', "yaml.control-character", "1:4", 8, id="C1"),
    pytest.param('a: "\\ud800"\n', "yaml.control-character", "1:4", 8, id="surrogate"),
    pytest.param('a: "\\U00110000"\n', "yaml.syntax", "1:1", 1, id="beyond Unicode"),
    pytest.param('a: "C:\\Tools"\n', "yaml.syntax", "1:8", 1, id="backslash"),
    pytest.param('a: "open\nb: 1\n', "yaml.syntax", "1:4", 1, id="open quote"),
    pytest.param("a: [1, 2\nb: 3\n", "yaml.syntax", "1:4", 1, id="open bracket"),
    pytest.param("a: b: c\n", "yaml.syntax", "1:5", 1, id="colon in a value"),
    pytest.param("a: @x\n", "yaml.syntax", "1:4", 1, id="reserved character"),
    pytest.param("a: 1\nb\nc: 3\n", "yaml.syntax", "2:1", 1, id="key without colon"),
    pytest.param("  a: 1\n b: 2\n", "yaml.syntax", "2:2", 1, id="indentation"),
    pytest.param("a: " + "[" * 60, "yaml.depth", "1:28", 1, id="too deep"),
]


@pytest.mark.parametrize(("text", "rule", "position", "length"), REFUSED)
def test_refused_with_a_place(text: str, rule: str, position: str, length: int) -> None:
    problem = read(text).problems[0]
    assert problem.rule == rule
    assert problem.place is not None
    assert str(problem.place) == f"vm.yaml:{position}"
    assert problem.place.length == length


def test_all_problems_of_a_file_at_once() -> None:
    found = read("a: 1\na: 2\nb: !x 1\nc: *d\n<<: {}\n2: 3\n").problems
    assert [problem.rule for problem in found] == [
        "yaml.duplicate-key",
        "yaml.tag",
        "yaml.alias",
        "yaml.merge-key",
        "yaml.key",
    ]
    assert found[0].hint == "the first is on line 1; keep one"


def test_aliases_are_allowed() -> None:
    document = read("a: &x {n: [1]}\nb: *x\n")
    assert document.root is not None
    assert plain(document.root) == {"a": {"n": [1]}, "b": {"n": [1]}}


def test_billion_laughs() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    [problem] = read("\n".join(lines)).problems
    assert problem.rule == "yaml.alias"
    assert "20000" in problem.message


def test_more_values_than_any_profile_has() -> None:
    [problem] = read("a: [" + "x, " * 30_000 + "]").problems
    assert (problem.rule, problem.severity) == ("yaml.size", "error")


def test_every_path_has_a_place() -> None:
    document = read("windows:\n  users:\n    - {name: dev, n: 12}\n  text: |\n    a\n    b\n")
    assert document.root is not None
    places = places_of(document.root)
    name = places.value("windows", "users", 0, "name")
    assert (str(name), name.length) == ("vm.yaml:3:14", 3)
    assert name.source == "    - {name: dev, n: 12}"
    key = places.key("windows", "users", 0, "name")
    assert (str(key), key.length) == ("vm.yaml:3:8", 4)
    user = places.value("windows", "users", 0)
    assert (str(user), user.length) == ("vm.yaml:3:7", 18)
    text = places.value("windows", "text")
    assert (str(text), text.length) == ("vm.yaml:4:9", 1)
    assert str(places.value("windows", "users", 0, "missing")) == "vm.yaml:3:7"
    assert str(places.value("windows", "locale", "format")) == "vm.yaml:1:1"
    assert str(places.value("machine")) == "vm.yaml:1:1"


def test_a_quoted_line_cannot_steer_a_terminal() -> None:
    problem = read("a: 1 # \x1b[2J\n").problems[0]
    assert problem.place is not None
    assert problem.place.source == "a: 1 # \ufffd[2J"


@pytest.mark.parametrize(
    "text",
    [
        "password: hunter2\nhunter2x: [",
        "password: {plain: hunter2",
        "password: {plain: 'hunter2}\n",
        "password:\n  plain:\n    hunter2: 1: 2\n",
        "password:\n  plain: |\n    hunter2\n   :x hunter2: [\n",
        "password: {plain:\nhunter2, a: [}\n",
        "users: [{name: a, passwd: hunter2, name: b}]\n",
        "product_key: {plain: &a hunter2}\nx: {plain: *hunter2}\n",
        "plain: !hunter2 x\n",
        "'plain' : hunter2 : 3\n",
        "password: {hunter2}\npassword: 1\n",
        'plain: "hunter2\nmore\n',
        "users: [{name: a, pasword: hunter2, name: b}]\n",
        "users: [{name: a, Pwd: hunter2, name: b}]\n",
    ],
)
def test_no_place_quotes_a_line_with_a_literal_secret(text: str) -> None:
    shown = text.replace("\nhunter2x: [", "")
    document = read(shown)
    sources = [problem.place.source for problem in document.problems if problem.place]
    if document.root is not None:
        places = places_of(document.root)
        sources += [place.source for place in (*places.values.values(), *places.keys.values())]
    assert not any("hunter2" in source for source in sources if source)
    assert not any("hunter2" in repr((p.message, p.hint)) for p in document.problems)


@pytest.mark.parametrize(
    "line",
    [
        "password: {env: DEV_PASSWORD}",
        "  password: {generate: 20} # a comment",
        "- {name: dev, password: {keyring: a/b}, groups: [Users]}",
        "product_key: {file: keys/win11.txt}",
        "keyboard: de-DE",
    ],
)
def test_lines_with_references_may_be_quoted(line: str) -> None:
    assert not veiled_lines([line])


def test_a_long_line_costs_no_more_than_its_length() -> None:
    assert not veiled_lines(["passw" * 40_000, "a" * 200_000, "'" + " " * 200_000])


def test_the_block_below_a_secret_is_veiled_and_what_follows_is_not() -> None:
    lines = ["windows:", "  password:", "    plain: |", "      x", "", "      y", "  users: []"]
    assert veiled_lines(lines) == {1, 2, 3, 5}


@pytest.mark.parametrize(
    ("content", "rule", "position"),
    [
        (b"a: 1\nb: \xff\n", "yaml.encoding", "2:4"),
        ("a: 1\n".encode("utf-16"), "yaml.encoding", "1:1"),
        (b"a: 1 #" + b"x" * LARGEST_FILE, "yaml.size", ""),
    ],
)
def test_unreadable_bytes(tmp_path: Path, content: bytes, rule: str, position: str) -> None:
    path = tmp_path / "vm.yaml"
    path.write_bytes(content)
    [problem] = read_file(path, shown="vm.yaml").problems
    assert problem.rule == rule
    assert str(problem.place) == "vm.yaml" + (f":{position}" if position else "")


def test_a_byte_order_mark_and_crlf_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "vm.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: x\r\n")
    document = read_file(path, shown="vm.yaml")
    assert document.root is not None
    assert plain(document.root) == {"a": 1, "b": "x"}
    place = places_of(document.root).value("b")
    assert (str(place), place.source) == ("vm.yaml:2:4", "b: x")


def test_a_folder_is_no_profile(tmp_path: Path) -> None:
    [problem] = read_file(tmp_path, shown="folder").problems
    assert problem.message == "'folder' is not a file"


YAML_PIECES = st.sampled_from(
    (
        *"a:,{}[]!|>\"'#\\%\t\r\n \u2028\x85\ufeff\x1b~",
        *("- ", "&a ", "*a", "---", "...", "? ", "<<: ", "0x", "1e9", "\\U", "1" * 40),
        *("plain: ", "password: "),
    )
)


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(), st.lists(YAML_PIECES, max_size=40).map("".join)))
def test_arbitrary_text_never_crashes_the_reader(text: str) -> None:
    document = read(text)
    assert document.root is not None or document.problems
    for problem in document.problems:
        assert problem.place is not None
        assert problem.place.line >= 1
        assert problem.place.length >= 1
        assert "\n" not in (problem.place.source or "")


@pytest.mark.parametrize("path", sorted((shipped_folder() / "profiles").glob("*.yaml")), ids=str)
def test_both_readers_of_yaml_see_the_same(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """libyaml and PyYAML's own: values, places and their lengths."""
    text = (
        path.read_text("utf-8")
        + "a: {b: [1, 'é', \"\\u00e9\"], c: ~}\nd: |\n  x\n   y\ne: >-\n  z\n"
    )
    assert yaml.__with_libyaml__, "PyYAML was built without libyaml"
    by_libyaml = read(text)
    monkeypatch.setattr("yaml.__with_libyaml__", False)
    assert by_libyaml == read(text)
    assert by_libyaml.root is not None


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_crash_the_reader(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "arbitrary.yaml"
    path.write_bytes(content)
    document = read_file(path, shown="vm.yaml")
    assert document.root is not None or document.problems
