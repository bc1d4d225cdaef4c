"""The same tree as a folder to look at."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.errors import FailedError, HostError, ProfileError, RefusedError
from provisioner.image.folder import write_folder
from provisioner.secret import Generated, SecretSlot
from provisioner.tree import Bytes, Directory, File, HostFile, Text, Tree

SLOT = SecretSlot(name="administrator", reference=Generated(generate=20), encoding="xml")
TREE = Tree(
    [
        ("Autounattend.xml", File(content=(Text(parts=("<a>", SLOT, "</a>\n")),))),
        ("scripts/a/first.ps1", File(content=(Bytes(data=b"exit"),), modified=1_600_000_000)),
        ("empty", Directory()),
    ]
)


def written(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes()
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("exists", [False, True])
def test_into_an_absent_or_empty_folder(tmp_path: Path, exists: bool) -> None:
    out = tmp_path / "out"
    if exists:
        out.mkdir()
    write_folder(TREE, out, reveal=SecretSlot.masked)
    assert written(out) == {
        "Autounattend.xml": b"<a>[secret administrator: generated, 20 characters]</a>\r\n",
        "scripts": None,
        "scripts/a": None,
        "scripts/a/first.ps1": b"exit",
        "empty": None,
    }
    assert (out / "Autounattend.xml").stat().st_mode & 0o777 == 0o600
    assert (out / "scripts/a/first.ps1").stat().st_mode & 0o777 & ~0o644 == 0
    assert (out / "scripts/a/first.ps1").stat().st_mtime == 1_600_000_000
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_is_there_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("full")
    for name, words in (("full", "not empty"), ("file", "not a folder"), ("link", "not a folder")):
        with pytest.raises(RefusedError, match=words):
            write_folder(TREE, tmp_path / name, reveal=SecretSlot.masked)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full", "link"]
    assert written(tmp_path / "full") == {"mine": b"mine"}


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        ((("con.txt", File(content=()))), ProfileError),
        ((("a", File(content=(HostFile(path=Path("/nonexistent"), size=1),)))), FailedError),
        ((("a", File(content=(Text(parts=("é",)),)))), FailedError),
    ],
)
def test_failures_leave_nothing(
    tmp_path: Path, entry: tuple[str, File], error: type[Exception]
) -> None:
    with pytest.raises(error):
        write_folder(Tree([*TREE.items(), entry]), tmp_path / "out", reveal=SecretSlot.masked)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(_: SecretSlot) -> str:
        assert len(list(tmp_path.iterdir())) == 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_folder(TREE, tmp_path / "out", reveal=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_needs_a_place(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="there is no folder"):
        write_folder(TREE, tmp_path / "none" / "out", reveal=SecretSlot.masked)


def test_names_too_long_for_a_disc_can_be_looked_at(tmp_path: Path) -> None:
    name = "x" * 100
    write_folder(Tree([(name, File(content=()))]), tmp_path / "out", reveal=SecretSlot.masked)
    assert written(tmp_path / "out") == {name: b""}
