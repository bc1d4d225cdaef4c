"""The media library: what it remembers, what it notices, and which disc it finds."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from provisioner.errors import FailedError, MediaError, Severity, UsageError
from provisioner.profile.media_query import BuildRange, MediaQuery
from provisioner.profile.values import BadValue
from provisioner.store.find_media import find, remark, resolve
from provisioner.store.library import Library, Standing
from tests.unit.media.discs import CLIENT, PE, SERVER, WINDOWS_FILES, make_bridge, make_wim


def windows(folder: Path, name: str, *, build: int = 26100, language: str = "en-US") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    images = SERVER if name.startswith("server") else CLIENT
    wim = make_wim(folder / f"{name}.wim", images, build=build, languages=(language,))
    boot = make_wim(folder / f"{name}.boot.wim", PE[:1], languages=(language,))
    files: dict[str, bytes | Path] = {
        "setup.exe": WINDOWS_FILES["setup.exe"],
        "sources/boot.wim": boot,
        "sources/install.wim": wim,
    }
    return make_bridge(folder / f"{name}.iso", files, boot=(), label=name.upper())


@pytest.fixture(scope="session")
def discs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("discs")
    virtio: dict[str, bytes | Path] = {
        f"viostor/w11/amd64/viostor.{kind}": b"x" for kind in ("inf", "sys", "cat")
    }
    return {
        "new": windows(folder, "new"),
        "old": windows(folder, "old", build=22631),
        "german": windows(folder, "german", language="de-DE"),
        "server": windows(folder, "server", build=20348),
        "virtio": make_bridge(folder / "v.iso", virtio, boot=(), label="virtio-win-0.1.285"),
        "virtio-old": make_bridge(folder / "o.iso", virtio, boot=(), label="virtio-win-0.1.96"),
    }


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "state" / ".library")


@pytest.fixture
def copy(discs: dict[str, Path], tmp_path: Path) -> Path:
    path = tmp_path / "media" / "Win11.iso"
    path.parent.mkdir()
    path.write_bytes(discs["new"].read_bytes())
    return path


def test_what_is_remembered(library: Library, copy: Path) -> None:
    assert library.entries() == ()
    steps: list[tuple[int, int]] = []
    entry = library.add(copy, now=5.0, progress=lambda done, total: steps.append((done, total)))
    assert entry.sha256 == hashlib.sha256(copy.read_bytes()).hexdigest()
    assert entry.id == entry.sha256[:12]
    assert entry.what == "Windows 11 24H2 installation disc, build 26100.1742, amd64, en-US"
    assert (entry.product, entry.version, entry.languages) == (
        "windows-11",
        (26100, 1742),
        ("en-US",),
    )
    assert steps[-1] == (copy.stat().st_size,) * 2
    assert library.entries() == (entry,)
    assert library.standing(entry) == (Standing.OK, copy)


def test_its_file_is_for_its_owner_only(library: Library, copy: Path) -> None:
    library.add(copy, now=1.0)
    assert stat.S_IMODE(library.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(library.folder.stat().st_mode) == 0o700
    assert sorted(path.name for path in library.folder.iterdir()) == ["lock", "media.json"]


def test_a_medium_is_known_once(library: Library, copy: Path, tmp_path: Path) -> None:
    """By its digest: added again from another place, the entry moves."""
    library.add(copy, now=1.0)
    other = tmp_path / "other.iso"
    copy.rename(other)
    entry = library.add(other, now=2.0)
    assert [(e.path, e.added) for e in library.entries()] == [(str(other), 1.0)]
    assert entry.added == 1.0


def test_another_medium_at_the_same_place(
    library: Library, copy: Path, discs: dict[str, Path]
) -> None:
    library.add(copy, now=1.0)
    copy.write_bytes(discs["old"].read_bytes())
    library.add(copy, now=2.0)
    assert [e.version[0] for e in library.entries()] == [22631]


@pytest.mark.parametrize("identity", ["id", "sha256", "path", "name", "start"])
def test_names_of_a_medium(library: Library, copy: Path, identity: str) -> None:
    entry = library.add(copy, now=1.0)
    name = {
        "id": entry.id,
        "sha256": entry.sha256.upper(),
        "path": str(copy),
        "name": "Win11.iso",
        "start": entry.sha256[:4],
    }[identity]
    assert library.entry(name) == entry
    assert library.remove(name) == entry
    assert library.entries() == ()
    assert copy.exists()


def test_unknown_and_ambiguous_names(library: Library, discs: dict[str, Path], copy: Path) -> None:
    library.add(copy, now=1.0)
    for name in ("nothing", "", "abc"):
        with pytest.raises(UsageError, match="has no medium"):
            library.entry(name)
    twin = discs["old"].parent / "twin" / "Win11.iso"
    twin.parent.mkdir(exist_ok=True)
    twin.write_bytes(discs["old"].read_bytes())
    library.add(twin, now=1.0)
    with pytest.raises(UsageError, match="means 2 media"):
        library.entry("Win11.iso")


def test_a_missing_file(library: Library, copy: Path) -> None:
    entry = library.add(copy, now=1.0)
    copy.unlink()
    assert library.standing(entry) == (Standing.MISSING, None)
    assert library.verify(entry) == (Standing.MISSING, None)


def test_a_renamed_file_is_found(library: Library, copy: Path) -> None:
    entry = library.add(copy, now=1.0)
    moved = copy.with_name("renamed.iso")
    copy.rename(moved)
    assert library.standing(entry) == (Standing.MOVED, moved)
    assert library.entries()[0].path == str(copy)  # looking changes nothing
    assert library.verify(entry) == (Standing.MOVED, moved)
    assert library.entries()[0].path == str(moved)
    assert library.standing(library.entries()[0]) == (Standing.OK, moved)


def test_a_touched_file(library: Library, copy: Path) -> None:
    entry = library.add(copy, now=1.0)
    os.utime(copy, (1, 1))
    assert library.standing(entry)[0] is Standing.TOUCHED
    assert library.verify(entry) == (Standing.OK, copy)
    assert library.standing(library.entries()[0])[0] is Standing.OK


def test_changed_files(library: Library, copy: Path, discs: dict[str, Path]) -> None:
    entry = library.add(copy, now=1.0)
    data = bytearray(copy.read_bytes())
    with copy.open("ab") as stream:
        stream.write(b"x")
    assert library.standing(entry)[0] is Standing.CHANGED
    data[len(data) // 2] ^= 1  # somewhere in a file: only the digest tells
    copy.write_bytes(data)
    assert library.standing(entry)[0] in {Standing.TOUCHED, Standing.OK}
    assert library.verify(entry)[0] is Standing.CHANGED
    copy.write_bytes(b"no disc at all".ljust(entry.size))
    assert library.standing(entry)[0] is Standing.CHANGED


def test_what_is_no_medium_is_not_added(library: Library, tmp_path: Path) -> None:
    (tmp_path / "x.iso").write_bytes(b"x")
    with pytest.raises(MediaError):
        library.add(tmp_path / "x.iso", now=1.0)
    assert library.entries() == ()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"format": 2, "media": []}',
        b'{"format": 1, "media": [{}]}',
        b'{"format": 1, "media": 3}',
        b'{"format": 1}',
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_a_damaged_library_says_so(library: Library, content: bytes, copy: Path) -> None:
    library.folder.mkdir(parents=True)
    library.file.write_bytes(content)
    for attempt in (library.entries, lambda: library.add(copy, now=1.0)):
        with pytest.raises(FailedError, match="is damaged"):
            attempt()
    assert library.file.read_bytes() == content


@pytest.mark.parametrize(
    "change",
    [
        {"path": 3},
        {"sha256": "short"},
        {"facts": []},
        {"size": "1"},
        {"extra": 1},
        {"facts": {"version": 5}},
        {"facts": {"kind": "windows-setup", "product": 11}},
        {"facts": {"languages": [1]}},
        {"facts": {"editions": ["x"]}},
    ],
)
def test_a_damaged_entry_says_so(library: Library, copy: Path, change: dict[str, Any]) -> None:
    library.add(copy, now=1.0)
    raw = json.loads(library.file.read_text())
    raw["media"][0] |= change
    library.file.write_text(json.dumps(raw))
    with pytest.raises(FailedError, match="is damaged"):
        library.entries()


def add_many(folder: Path, paths: list[Path]) -> None:
    for path in paths:
        Library(folder).add(path, now=1.0)


def test_two_at_the_same_time(library: Library, discs: dict[str, Path]) -> None:
    paths = list(discs.values())
    context = multiprocessing.get_context("fork")
    workers = [
        context.Process(target=add_many, args=(library.folder, part))
        for part in (paths[::2], paths[1::2])
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert {entry.path for entry in library.entries()} == {str(path) for path in paths}


@pytest.fixture
def full(library: Library, discs: dict[str, Path]) -> Library:
    for number, path in enumerate(discs.values()):
        library.add(path, now=float(number))
    return library


def query(**wanted: Any) -> MediaQuery:
    return MediaQuery.model_validate_json(json.dumps(wanted))


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ({"product": "windows-11", "language": "en-US"}, "new"),
        ({"product": "windows-11", "build": ">=26100", "language": "en-us"}, "new"),
        ({"product": "windows-11", "build": "<26100"}, "old"),
        ({"product": "windows-11", "build": ">=22000, <26100", "language": "en-US"}, "old"),
        ({"product": "windows-11", "build": "22631.1742"}, "old"),
        ({"product": "windows-11", "language": "de-DE", "edition": "professional"}, "german"),
        ({"product": "windows-server-2022", "architecture": "amd64"}, "server"),
        ({"product": "windows-server-2022", "evaluation": True}, "server"),
        ({"product": "virtio-win"}, "virtio"),
    ],
)
def test_the_disc_that_is_meant(
    full: Library, discs: dict[str, Path], wanted: dict[str, Any], name: str
) -> None:
    assert resolve(full, query(**wanted)).path == discs[name]


def test_the_newest_comes_first(full: Library) -> None:
    found = find(full, query(product="windows-11", language="en-US"))
    assert [entry.version for entry in found] == [(26100, 1742), (22631, 1742)]
    drivers = find(full, query(product="virtio-win"))
    assert [entry.version for entry in drivers] == [(0, 1, 285), (0, 1, 96)]


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        (
            {"product": "windows-11", "build": ">26100", "language": "en-US"},
            "new.iso: build 26100.1742 is not >26100\n",
        ),
        ({"product": "windows-11", "language": "fr-FR"}, "new.iso: it is in en-US"),
        ({"product": "windows-11", "architecture": "arm64"}, "new.iso: it is for amd64"),
        ({"product": "windows-11", "edition": "Pro X"}, "it has no edition Pro X"),
        ({"product": "windows-11", "evaluation": True}, "it is no evaluation"),
        ({"product": "windows-server-2022", "evaluation": False}, "it is an evaluation"),
        ({"product": "windows-10"}, "new.iso: is windows-11"),
    ],
)
def test_none_fits(full: Library, wanted: dict[str, Any], hint: str) -> None:
    with pytest.raises(MediaError, match="the library has no medium that is") as caught:
        resolve(full, query(**wanted))
    assert str(caught.value.hint).startswith("nearest in the library:\n")
    assert hint in str(caught.value.hint)


def test_an_empty_library(library: Library) -> None:
    with pytest.raises(MediaError) as caught:
        resolve(library, query(product="windows-11"))
    assert "library add" in str(caught.value.hint)


def test_two_of_the_same_build(full: Library) -> None:
    with pytest.raises(MediaError, match="2 media of the library are windows-11") as caught:
        resolve(full, query(product="windows-11"))
    assert "new.iso" in str(caught.value.hint)
    assert "german.iso" in str(caught.value.hint)


def test_a_disc_that_is_gone(library: Library, copy: Path, discs: dict[str, Path]) -> None:
    older = copy.with_name("older.iso")
    older.write_bytes(discs["old"].read_bytes())
    library.add(older, now=1.0)
    library.add(copy, now=1.0)
    copy.unlink()
    wanted = query(product="windows-11", build=">=26100")
    with pytest.raises(MediaError, match=r"not where it is now: .*Win11.iso is missing"):
        resolve(library, wanted)
    # A newer disc that is gone does not stop an older one that will do.
    found = resolve(library, query(product="windows-11"))
    assert found.path == older
    (said,) = remark(found, None)
    assert said.rule == "media.passed-over"
    assert said.message == f"{copy} is missing; {older} is taken instead"


def test_a_moved_disc_is_found(library: Library, copy: Path) -> None:
    entry = library.add(copy, now=1.0)
    moved = copy.with_name("moved.iso")
    copy.rename(moved)
    found = resolve(library, query(product="windows-11"))
    assert found.path == moved
    (said,) = remark(found, None)
    assert (said.rule, said.message) == ("media.moved", f"Win11.iso has moved: it is {moved} now")
    assert entry.id in str(said.hint)


def test_what_happened_to_a_disc_is_told(library: Library, copy: Path) -> None:
    library.add(copy, now=1.0)
    wanted = query(product="windows-11")
    assert list(remark(resolve(library, wanted), None)) == []
    os.utime(copy, (1, 1))
    (said,) = remark(resolve(library, wanted), None)
    assert (said.rule, said.severity) == ("media.touched", Severity.WARNING)
    copy.write_bytes(copy.read_bytes() + bytes(2048))
    with pytest.raises(MediaError, match=r"Win11\.iso is changed"):
        resolve(library, wanted)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        (">=26100", [(26100, 0), (26200, 1)], [(22631, 9)]),
        ("26100", [(26100, 1742)], [(26101, 0)]),
        ("==26100.1742", [(26100, 1742)], [(26100, 1741)]),
        ("> 26100.1000, <26200", [(26100, 1001)], [(26100, 1000), (26200, 0)]),
        ("!=26100", [(22631, 1)], [(26100, 5)]),
        ("<=22631", [(22631, 9999)], [(22632, 0)]),
    ],
)
def test_ranges_of_builds(
    text: str, inside: list[tuple[int, int]], outside: list[tuple[int, int]]
) -> None:
    builds = BuildRange(text)
    assert all(builds.contains(*build) for build in inside)
    assert not any(builds.contains(*build) for build in outside)
    assert str(builds) == text


@pytest.mark.parametrize("text", ["", "24H2", "=26100", ">=", "26100,", ">=26100 <3", "9" * 50])
def test_ranges_that_are_none(text: str) -> None:
    with pytest.raises(BadValue, match="no range of Windows builds"):
        BuildRange(text)


def test_words_for_a_query() -> None:
    wanted = query(product="windows-11", build=">=26100", language="en-US", evaluation=False)
    assert str(wanted) == "windows-11, build >=26100, en-US, not an evaluation"
