"""The order in which drives are searched for an answer file (docs/facts/windows-setup.md §2.1)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.standin.setup.search import Drive, find_answer_file


@pytest.fixture
def drives(tmp_path: Path) -> dict[str, Drive]:
    """D: the distribution, E: and F: discs, G: a stick; all empty."""
    made = {}
    for letter in "DEFG":
        (tmp_path / letter).mkdir()
        made[letter] = Drive(letter=letter, root=tmp_path / letter, writable=letter == "G")
    return made


def chosen(drives: dict[str, Drive], pass_name: str = "windowsPE") -> str | None:
    """The path of the file that is chosen."""
    found, _ = find_answer_file(pass_name, tuple(drives.values()), distribution=drives["D"])
    return None if found is None else found.answer.path


def put(drive: Drive, name: str, content: str) -> None:
    """Write a file below a drive's root."""
    path = drive.root / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content.encode())


def test_nothing(drives: dict[str, Drive]) -> None:
    assert chosen(drives) is None


def test_stick_beats_disc(drives: dict[str, Drive], sample: str) -> None:
    put(drives["E"], "Autounattend.xml", sample)
    assert chosen(drives) == "E:\\Autounattend.xml"
    put(drives["G"], "Autounattend.xml", sample)
    assert chosen(drives) == "G:\\Autounattend.xml"


def test_lower_letter_wins(drives: dict[str, Drive], sample: str) -> None:
    put(drives["F"], "Autounattend.xml", sample)
    put(drives["E"], "AUTOUNATTEND.XML", sample)
    assert chosen(drives) == "E:\\AUTOUNATTEND.XML"


def test_root_of_the_distribution_is_a_disc_like_others(
    drives: dict[str, Drive], sample: str
) -> None:
    put(drives["E"], "Autounattend.xml", sample)
    put(drives["D"], "autounattend.xml", sample)
    assert chosen(drives) == "D:\\autounattend.xml"


def test_sources_is_last(drives: dict[str, Drive], sample: str) -> None:
    put(drives["D"], "sources/Autounattend.xml", sample)
    assert chosen(drives) == "D:\\Sources\\Autounattend.xml"
    put(drives["F"], "Autounattend.xml", sample)
    assert chosen(drives) == "F:\\Autounattend.xml"


@pytest.mark.parametrize(
    "name", ["unattend.xml", "AUTOUNAT.XML", "autounattend.xml.txt", "answers/Autounattend.xml"]
)
def test_other_names_do_not_count(drives: dict[str, Drive], sample: str, name: str) -> None:
    put(drives["E"], name, sample)
    assert chosen(drives) is None


def test_unusable_and_unfitting_files_are_skipped(drives: dict[str, Drive], sample: str) -> None:
    put(drives["G"], "Autounattend.xml", sample[:-20])
    put(drives["E"], "Autounattend.xml", sample.replace('"windowsPE"', '"auditUser"'))
    put(drives["F"], "Autounattend.xml", sample)
    found, notes = find_answer_file("windowsPE", tuple(drives.values()))
    assert found is not None
    assert found.drive is drives["F"]
    assert [note.split(" ", 1)[0] for note in notes] == [
        "G:\\Autounattend.xml",
        "E:\\Autounattend.xml",
    ]
    assert "ignored" in notes[0]
    assert "nothing for pass windowsPE" in notes[1]


def test_cached_copy_outranks_discs_if_it_has_the_pass(
    drives: dict[str, Drive], sample: str
) -> None:
    put(drives["G"], "Autounattend.xml", sample)
    cached = [("C:\\Windows\\Panther\\unattend.xml", sample.encode())]
    found, _ = find_answer_file("specialize", tuple(drives.values()), cached=cached)
    assert found is not None
    assert found.answer.path == "C:\\Windows\\Panther\\unattend.xml"
    without = [(cached[0][0], sample.replace('"specialize"', '"auditUser"').encode())]
    found, _ = find_answer_file("specialize", tuple(drives.values()), cached=without)
    assert found is not None
    assert found.answer.path == "G:\\Autounattend.xml"
