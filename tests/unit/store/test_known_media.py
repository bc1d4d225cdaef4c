"""What is remembered of a disc: never more than what looking again would say."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provisioner.errors import MediaError
from provisioner.media import inspect as inspecting
from provisioner.store.known_media import MOST, KnownMedia
from tests.unit.media.discs import CLIENT, WINDOWS_FILES, make_bridge, make_wim


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("disc")
    files: dict[str, bytes | Path] = {"setup.exe": WINDOWS_FILES["setup.exe"], "a/b.txt": b"b"}
    return make_bridge(folder / "disc.iso", files, boot=(), label="ONE")


@pytest.fixture
def disc(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(made, tmp_path / "disc.iso"))


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every look that was really taken."""
    taken: list[Path] = []
    really = inspecting.inspect

    def inspect(path: Path) -> Any:
        taken.append(path)
        return really(path)

    monkeypatch.setattr(inspecting, "inspect", inspect)
    return taken


def entries(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.pickle"))


def age(folder: Path) -> None:
    """As if the entries had been written a minute after everything else."""
    for entry in entries(folder):
        later = entry.stat().st_mtime + 60
        os.utime(entry, (later, later))


def test_the_second_look_is_taken_from_memory(
    disc: Path, tmp_path: Path, looks: list[Path]
) -> None:
    known = KnownMedia(tmp_path / "cache")
    first = known.inspect(disc)
    age(tmp_path / "cache")
    assert known.inspect(disc) == first and looks == [disc]
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700
    assert entries(tmp_path / "cache")[0].stat().st_mode & 0o777 == 0o600
    assert not list((tmp_path / "cache").glob("*.[0-9]*"))


def test_a_disc_of_this_moment_is_looked_at_again(
    disc: Path, tmp_path: Path, looks: list[Path]
) -> None:
    known = KnownMedia(tmp_path / "cache")
    known.inspect(disc)
    known.inspect(disc)
    assert len(looks) == 2


def _touched(disc: Path) -> None:
    status = disc.stat()
    disc.write_bytes(disc.read_bytes())
    os.utime(disc, ns=(status.st_atime_ns, status.st_mtime_ns))  # ctime tells all the same


def _replaced(disc: Path) -> None:
    status = disc.stat()
    copy = Path(shutil.copy(disc, disc.with_suffix(".new")))
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    copy.replace(disc)


def _longer(disc: Path) -> None:
    with disc.open("ab") as file:
        file.write(b"\0" * 2048)


@pytest.mark.parametrize("change", [_touched, _replaced, _longer])
def test_a_changed_disc_is_looked_at_again(
    change: Callable[[Path], None], disc: Path, tmp_path: Path, looks: list[Path]
) -> None:
    known = KnownMedia(tmp_path / "cache")
    known.inspect(disc)
    age(tmp_path / "cache")
    change(disc)
    known.inspect(disc)
    assert len(looks) == 2


def test_a_disc_that_is_gone_or_spoilt_is_an_error(disc: Path, tmp_path: Path) -> None:
    known = KnownMedia(tmp_path / "cache")
    known.inspect(disc)
    age(tmp_path / "cache")
    disc.write_bytes(b"<html>")
    with pytest.raises(MediaError):
        known.inspect(disc)
    disc.unlink()
    with pytest.raises(MediaError):
        known.inspect(disc)


class Evil:
    """What a pickle can do."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (os.environ["EVIL"],))


@pytest.mark.parametrize(
    "data", [b"", b"junk", pickle.dumps(None), pickle.dumps(((), "facts")), "evil"]
)
def test_a_bad_entry_is_no_entry(
    data: bytes | str,
    disc: Path,
    tmp_path: Path,
    looks: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EVIL", str(tmp_path / "evil"))
    known = KnownMedia(tmp_path / "cache")
    known.inspect(disc)
    (entry,) = entries(tmp_path / "cache")
    entry.write_bytes(pickle.dumps(Evil()) if isinstance(data, str) else data)
    age(tmp_path / "cache")
    known.inspect(disc)
    assert len(looks) == 2 and not (tmp_path / "evil").exists()


def test_an_entry_others_may_write_is_not_trusted(
    disc: Path, tmp_path: Path, looks: list[Path]
) -> None:
    known = KnownMedia(tmp_path / "cache")
    known.inspect(disc)
    age(tmp_path / "cache")
    entries(tmp_path / "cache")[0].chmod(0o666)
    known.inspect(disc)
    assert len(looks) == 2


def test_a_wim_file_is_always_looked_at(tmp_path: Path, looks: list[Path]) -> None:
    """What is said of it depends on the other parts of its set."""
    wim = make_wim(tmp_path / "a.wim", CLIENT)
    known = KnownMedia(tmp_path / "cache")
    known.inspect(wim)
    known.inspect(wim)
    assert len(looks) == 2 and not entries(tmp_path / "cache")


def test_old_entries_go(disc: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    for number in range(MOST + 5):
        (cache / f"{number:016}.pickle").write_bytes(b"")
        os.utime(cache / f"{number:016}.pickle", (number, number))
    KnownMedia(cache).inspect(disc)
    left = [entry.name for entry in entries(cache)]
    assert len(left) == MOST and f"{5:016}.pickle" not in left and f"{MOST:016}.pickle" in left


@pytest.mark.parametrize("folder", [None, Path("/proc/no/such/folder")])
def test_without_a_folder_it_only_looks(folder: Path | None, disc: Path, looks: list[Path]) -> None:
    known = KnownMedia(folder)
    assert known.inspect(disc) == known.inspect(disc) and len(looks) == 2
