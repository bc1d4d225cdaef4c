"""Rules of a disc: every violation at once, each naming its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.errors import ProfileError
from provisioner.image.names import DISC, FOLDER, ascii_names, check, find_problems, folders_of
from provisioner.tree import Bytes, Directory, Entry, File, HostFile, Symlink, Text, Tree

EMPTY = File(content=())


def rules_broken(*paths: str) -> list[str]:
    return [problem.rule for problem in find_problems(Tree([(p, EMPTY) for p in paths]), DISC)]


@pytest.mark.parametrize(
    "path",
    [
        "Autounattend.xml",
        "$WinPEDriver$/viostor/w11/amd64/viostor.inf",
        "$OEM$/$$/Setup/Scripts/SetupComplete.cmd",
        "a b/c+d,e;".rstrip(";"),
        ".hidden",
        "x" * 64,
        "ü" * 64,
        "Straße/STRASSE",
        "日本語/ドライバー.inf",
        "console.txt",
        "com10.txt",
        "/".join(["deep"] * 40),
    ],
)
def test_good_names_pass(path: str) -> None:
    assert rules_broken(path) == []


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("x" * 65, "disc.name-length"),
        ("f/" + "x" * 65 + "/a", "disc.name-length"),
        ("\U0001f600" * 33, "disc.name-length"),  # two UTF-16 units each
        ("a*b", "disc.character"),
        ("a:b", "disc.character"),
        ("a;1", "disc.character"),
        ("a?b", "disc.character"),
        ("a\\b", "disc.character"),
        ('a"b', "disc.character"),
        ("a<b", "disc.character"),
        ("a|b", "disc.character"),
        ("a\nb", "disc.character"),
        ("a\x7fb", "disc.character"),
        ("undecodable\udce9", "disc.character"),
        ("con", "disc.reserved"),
        ("NUL.txt", "disc.reserved"),
        ("scripts/Com1.tar.gz", "disc.reserved"),
        ("aux/file", "disc.reserved"),
        ("LPT²", "disc.reserved"),
        ("nul .txt", "disc.reserved"),
        ("dot.", "disc.name-end"),
        ("space ", "disc.name-end"),
        ("folder./a", "disc.name-end"),
        ("/".join(["twelve-chars"] * 20), "disc.path-length"),
    ],
)
def test_bad_names_are_named(path: str, rule: str) -> None:
    (problem,) = find_problems(Tree([(path, EMPTY)]), DISC)
    assert problem.rule == rule
    assert problem.hint
    assert repr(path)[1:-1].split("/")[0][:30] in problem.message


@pytest.mark.parametrize(
    "paths",
    [
        ("a.txt", "A.TXT"),
        ("f/ä", "f/Ä"),
        ("Folder/a", "folder/b"),
        ("folder", "Folder/b"),
    ],
)
def test_names_that_differ_only_in_case_collide(paths: tuple[str, ...]) -> None:
    assert set(rules_broken(*paths)) == {"disc.case"}


def test_a_file_is_not_a_folder_too() -> None:
    assert rules_broken("a", "a/b") == ["disc.kind"]


def test_sizes_and_links() -> None:
    big = HostFile(path=Path("/install.wim"), size=4 << 30)
    entries: list[tuple[str, Entry]] = [
        ("install.wim", File(content=(big,))),
        ("largest", File(content=(HostFile(path=Path("/x"), size=0xFFFFF800),))),
        ("link", Symlink(target="install.wim")),
        ("sum", File(content=(big, Bytes(data=b"x"), Text(parts=("y",))))),
    ]
    found = list(find_problems(Tree(entries), DISC))
    assert [problem.rule for problem in found] == [
        "disc.file-size",
        "disc.symlink",
        "disc.file-size",
    ]
    assert "'sum' has 4294967298 bytes" in found[2].message
    assert [problem.rule for problem in find_problems(Tree(entries), FOLDER)] == ["disc.symlink"]


def test_too_many_folders() -> None:
    tree = Tree([(f"{i:05}", Directory()) for i in range(0x10000)])
    assert [problem.rule for problem in find_problems(tree, DISC)] == ["disc.folders"]


def test_all_problems_come_at_once_in_order() -> None:
    with pytest.raises(ProfileError) as caught:
        check(Tree([(path, EMPTY) for path in ("a.", "CON", "con", "x" * 70)]), DISC)
    assert [problem.rule for problem in caught.value.problems] == [
        "disc.reserved",
        "disc.name-end",
        "disc.case",
        "disc.name-length",
    ]


def test_folders_are_named_once_and_before_their_content() -> None:
    tree = Tree([("b/c/d/e", EMPTY), ("b/c/f", EMPTY), ("a", Directory()), ("b-x/y", EMPTY)])
    assert folders_of(tree) == ["a", "b", "b-x", "b/c", "b/c/d"]


def test_names_of_the_plain_side_are_ascii_and_distinct() -> None:
    paths = ["Ä", "plain", "Ä/ß.inf", "Ä/ü.inf", "Ä/_.inf", "Ä/_~2.inf", "plain/日本", "plain/__"]
    assert ascii_names(paths) == {
        "Ä": "_",
        "plain": "plain",
        "Ä/ß.inf": "_/_.inf",
        "Ä/ü.inf": "_/_~2.inf",
        "Ä/_.inf": "_/_~3.inf",
        "Ä/_~2.inf": "_/_~2~2.inf",
        "plain/日本": "plain/__~2",
        "plain/__": "plain/__",
    }
