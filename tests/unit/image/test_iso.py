"""Answer discs, read back with 7-Zip, xorriso, isoinfo and pycdlib's own reader."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

import pycdlib
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pycdlib.dr import DirectoryRecord

from provisioner.errors import FailedError, HostError, ProfileError, RefusedError
from provisioner.image.iso import write_iso
from provisioner.image.names import DISC, find_problems
from provisioner.image.output import replacing
from provisioner.image.verify import verify_iso
from provisioner.secret import Generated, SecretSlot
from provisioner.tree import (
    Bytes,
    Content,
    Directory,
    Entry,
    File,
    HostFile,
    Slice,
    Symlink,
    Text,
    Tree,
)

MORE_THAN_AT_ONCE = 4 * 1024 * 1024
"""Host files are read in blocks of this many bytes."""
EPOCH = 1_700_000_000  # 2023-11-14 22:13:20 UTC
SLOT = SecretSlot(name="administrator", reference=Generated(generate=20), encoding="xml")
ROOT = Path(__file__).parents[3]

Contents = Mapping[str, bytes | None]
Read = Callable[[Path], Contents]
ReadView = Callable[[Path, str], Contents]
Run = Callable[..., str]


def reveal(slot: SecretSlot) -> str:
    return f"secret of {slot.name}"


def made(tree: Tree, destination: Path, *, epoch: int = EPOCH) -> Path:
    write_iso(tree, destination, label="PROVISION", epoch=epoch, reveal=reveal)
    verify_iso(destination, tree, reveal=reveal)
    return destination


def data_file(data: bytes) -> File:
    return File(content=(Bytes(data=data),))


def answer_tree() -> Tree:
    entries: list[tuple[str, Entry]] = [
        ("Autounattend.xml", File(content=(Text(parts=("<a>\n", SLOT, "\n</a>\n")),))),
        ("provision.id", data_file(b"marker")),
        ("empty.txt", data_file(b"")),
        ("scripts/first-logon.ps1", File(content=(Text(parts=("exit 0\n",)),), modified=16)),
        ("$WinPEDriver$/viostor/viostor.inf", data_file(b"[Version]\r\n")),
        ("$WinPEDriver$/viostor/viostor.sys", data_file(bytes(range(256)) * 100)),
        ("$OEM$/$$/Setup", Directory()),
    ]
    return Tree(entries)


ANSWER_CONTENTS: Contents = {
    "Autounattend.xml": b"<a>\r\nsecret of administrator\r\n</a>\r\n",
    "provision.id": b"marker",
    "empty.txt": b"",
    "scripts": None,
    "scripts/first-logon.ps1": b"exit 0\r\n",
    "$WinPEDriver$": None,
    "$WinPEDriver$/viostor": None,
    "$WinPEDriver$/viostor/viostor.inf": b"[Version]\r\n",
    "$WinPEDriver$/viostor/viostor.sys": bytes(range(256)) * 100,
    "$OEM$": None,
    "$OEM$/$$": None,
    "$OEM$/$$/Setup": None,
}


def test_7zip_reads_every_name_and_byte(tmp_path: Path, read_with_7z: Read) -> None:
    assert read_with_7z(made(answer_tree(), tmp_path / "answer.iso")) == ANSWER_CONTENTS


@pytest.mark.parametrize("view", ["any", "ecma119"])
def test_xorriso_reads_both_views(tmp_path: Path, read_with_xorriso: ReadView, view: str) -> None:
    disc = made(answer_tree(), tmp_path / "answer.iso")
    assert read_with_xorriso(disc, view) == ANSWER_CONTENTS


def test_the_shape_of_the_disc(tmp_path: Path, run: Run) -> None:
    disc = made(answer_tree(), tmp_path / "answer.iso")
    described = run("isoinfo", "-d", "-i", disc)
    assert "Volume id: PROVISION\n" in described
    assert "Application id: PROVISIONER\n" in described
    assert "Joliet with UCS level 3 found" in described
    assert "NO Rock Ridge present" in described
    assert b"NSR0" not in disc.read_bytes()[: 64 * 2048]
    assert disc.stat().st_mode & 0o777 == 0o600
    listed = run("isoinfo", "-J", "-f", "-i", disc).splitlines()
    assert sorted(listed) == sorted(f"/{path}" for path in ANSWER_CONTENTS)


def test_names_beyond_ascii(
    tmp_path: Path, read_with_7z: Read, read_with_xorriso: ReadView
) -> None:
    expected: Contents = {
        "Übung": None,
        "Übung/日本語.inf": b"1",
        "Übung/한국어.inf": b"2",
        "Übung/plain.inf": b"3",
        "😀.txt": b"4",
    }
    tree = Tree([(path, data_file(data)) for path, data in expected.items() if data is not None])
    disc = made(tree, tmp_path / "x.iso")
    assert read_with_7z(disc) == expected
    assert read_with_xorriso(disc, "ecma119") == {
        "_bung": None,
        "_bung/___.inf": b"1",
        "_bung/___~2.inf": b"2",
        "_bung/plain.inf": b"3",
        "_.txt": b"4",
    }


def test_deep_trees_long_names_and_wide_folders(
    tmp_path: Path, read_with_7z: Read, read_with_xorriso: ReadView
) -> None:
    deep = "/".join(f"level{number}" for number in range(25))
    paths = [f"{deep}/file.txt", "x" * 60 + ".txt", "i" * 64]
    # More than one sector of records in the root folder: pycdlib leaves the enhanced descriptor
    # at one, which `verify_iso` finds and `write_iso` corrects.
    paths += [f"number-{number:04}/driver-{number}.inf" for number in range(300)]
    tree = Tree([(path, data_file(path.encode())) for path in paths])
    disc = made(tree, tmp_path / "x.iso")
    for found in (
        read_with_7z(disc),
        read_with_xorriso(disc, "any"),
        read_with_xorriso(disc, "ecma119"),
    ):
        assert {p: data for p, data in found.items() if data is not None} == {
            path: path.encode() for path in paths
        }


def test_an_empty_tree_is_an_empty_disc(tmp_path: Path, read_with_7z: Read) -> None:
    assert read_with_7z(made(Tree(), tmp_path / "x.iso")) == {}


def test_big_content_is_streamed(tmp_path: Path, read_with_7z: Read) -> None:
    driver = tmp_path / "guest-agent.msi"
    driver.write_bytes(os.urandom(MORE_THAN_AT_ONCE + 12_345))
    size = driver.stat().st_size
    content: dict[str, Content] = {
        "msi": HostFile(path=driver, size=size),
        "part": Slice(image=driver, offset=1000, length=2_000_001),
        "small": Bytes(data=b"small"),
    }
    tree = Tree([(name, File(content=(part,))) for name, part in content.items()])
    assert read_with_7z(made(tree, tmp_path / "x.iso")) == {
        "msi": driver.read_bytes(),
        "part": driver.read_bytes()[1000:2_001_001],
        "small": b"small",
    }


def test_big_content_takes_little_memory(tmp_path: Path) -> None:
    source = tmp_path / "big"
    with source.open("wb") as stream:
        stream.truncate(150 << 20)
    script = f"""
        import resource
        from pathlib import Path
        from provisioner.image.iso import write_iso
        from provisioner.tree import File, HostFile, Tree
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        content = HostFile(path=Path({str(source)!r}), size={150 << 20})
        tree = Tree([("big", File(content=(content,)))])
        write_iso(tree, Path({str(tmp_path / "x.iso")!r}), label="X", epoch=0, reveal=str)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    assert int(python(script)) < 40 * 1024  # KiB


names = st.text(st.sampled_from(list("abcXYZ019 .-_$()üßЖ漢😀")), min_size=1, max_size=12).map(
    lambda name: name.rstrip(". ") or "name"
)
trees = st.dictionaries(
    st.lists(names, min_size=1, max_size=4).map("/".join),
    st.one_of(st.none(), st.binary(max_size=5000)),
    max_size=12,
)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.filter_too_much,
        HealthCheck.too_slow,
    ],
)
@given(trees)
def test_any_tree_comes_back(
    tmp_path: Path, read_with_7z: Read, raw: Mapping[str, bytes | None]
) -> None:
    tree = Tree([(p, Directory() if d is None else data_file(d)) for p, d in raw.items()])
    assume(not list(find_problems(tree, DISC)))
    found = read_with_7z(made(tree, tmp_path / "x.iso"))
    assert {path: data for path, data in found.items() if path in raw} == raw
    assert all(data is None for path, data in found.items() if path not in raw)


def python(script: str, cwd: Path | None = None, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize("big", [False, True])
def test_same_input_same_bytes(tmp_path: Path, big: bool) -> None:
    """Whatever the clock, the time zone, the hash seed and the working folder."""
    size = MORE_THAN_AT_ONCE if big else 5
    (tmp_path / "elsewhere").mkdir()

    def digest(name: str, shift: int, cwd: Path, **environment: str) -> str:
        return python(
            f"""
            import hashlib, time
            clock = time.time
            time.time = lambda: clock() + {shift}
            from pathlib import Path
            from provisioner.image.iso import write_iso
            from provisioner.tree import Bytes, File, Text, Tree
            files = [(f"Folder{{i % 7}}/f{{i}}ü.txt", File(content=(Bytes(data=b"x" * i),)))
                     for i in range(60)]
            files.append(("big", File(content=(Bytes(data=bytes({size})),), modified=1)))
            for target in ({name!r}, {name!r}):
                write_iso(Tree(reversed(files)), Path(target), label="PROVISION",
                          epoch={EPOCH}, reveal=str)
            print(hashlib.sha256(Path({name!r}).read_bytes()).hexdigest())
            """,
            cwd,
            **environment,
        )

    plain = digest("a.iso", 0, tmp_path, TZ="UTC", PYTHONHASHSEED="1")
    day = 86_400
    assert plain == digest(
        "b.iso", 200 * day, tmp_path / "elsewhere", TZ="Asia/Kathmandu", PYTHONHASHSEED="2"
    )
    assert plain == digest("c.iso", -9000 * day, tmp_path, TZ="America/St_Johns", LC_ALL="C")


def test_dates_are_the_epoch_or_earlier(tmp_path: Path) -> None:
    tree = Tree(
        [
            ("own", File(content=(), modified=1_600_000_000)),  # 2020-09-13 12:26:40
            ("later", File(content=(), modified=EPOCH + 1)),
            ("ancient", File(content=(), modified=-5)),
            ("folder/none", File(content=())),
        ]
    )
    disc = pycdlib.PyCdlib()
    disc.open(str(made(tree, tmp_path / "x.iso")))
    for view in ("iso_path", "joliet_path"):

        def date(path: str, view: str = view) -> tuple[int, ...]:
            record = disc.get_record(**{view: path})
            assert isinstance(record, DirectoryRecord)
            when = record.date
            return (
                when.years_since_1900 + 1900,
                when.month,
                when.day_of_month,
                when.hour,
                when.minute,
                when.second,
                when.gmtoffset,
            )

        epoch = (2023, 11, 14, 22, 13, 20, 0)
        assert date("/own") == (2020, 9, 13, 12, 26, 40, 0)
        assert date("/ancient") == (1970, 1, 1, 0, 0, 0, 0)
        assert {date(p) for p in ("/", "/later", "/folder", "/folder/none")} == {epoch}
    for volume in (disc.pvd, *disc.svds):
        assert volume.volume_creation_date.date_str == b"2023111422132000\0"
        assert volume.volume_modification_date.date_str == b"2023111422132000\0"
        assert volume.volume_expiration_date.date_str == b"0" * 16 + b"\0"
    disc.close()


def test_secrets_and_content_change_the_bytes_and_the_clock_does_not(tmp_path: Path) -> None:
    first = made(answer_tree(), tmp_path / "1.iso").read_bytes()
    write_iso(
        answer_tree(), tmp_path / "2.iso", label="PROVISION", epoch=EPOCH, reveal=lambda _: "other"
    )
    assert first != (tmp_path / "2.iso").read_bytes()
    assert first != made(answer_tree(), tmp_path / "3.iso", epoch=EPOCH + 1).read_bytes()


def test_everything_wrong_is_told_at_once_and_nothing_is_written(tmp_path: Path) -> None:
    tree = Tree(
        [("a:b", data_file(b"")), ("A.TXT", data_file(b"")), ("a.txt", Symlink(target="x"))]
    )
    with pytest.raises(ProfileError) as caught:
        write_iso(tree, tmp_path / "x.iso", label="much too long a label", epoch=-1, reveal=reveal)
    assert [problem.rule for problem in caught.value.problems] == [
        "disc.label",
        "disc.epoch",
        "disc.case",
        "disc.symlink",
        "disc.character",
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("padding", [0, MORE_THAN_AT_ONCE])
def test_a_failing_source_leaves_the_old_disc_alone(tmp_path: Path, padding: int) -> None:
    old = tmp_path / "x.iso"
    old.write_bytes(b"old")
    tree = Tree(
        [
            ("a", data_file(bytes(padding))),
            ("b", File(content=(HostFile(path=tmp_path / "gone", size=5),))),
        ]
    )
    with pytest.raises(FailedError, match="gone: No such file"):
        write_iso(tree, old, label="X", epoch=0, reveal=reveal)
    assert old.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [old]


def test_a_source_is_not_replaced_by_the_disc_made_of_it(tmp_path: Path) -> None:
    source = tmp_path / "x.iso"
    source.write_bytes(b"precious")
    tree = Tree([("a", File(content=(Slice(image=source, offset=0, length=3),)))])
    with pytest.raises(RefusedError, match="would be replaced"):
        write_iso(tree, source, label="X", epoch=0, reveal=reveal)
    assert source.read_bytes() == b"precious"


def test_folders_that_cannot_be_written_to(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="there is no folder"):
        write_iso(Tree(), tmp_path / "none" / "x.iso", label="X", epoch=0, reveal=reveal)
    (tmp_path / "taken").mkdir()
    with pytest.raises(FailedError, match="Is a directory"):
        write_iso(Tree(), tmp_path / "taken", label="X", epoch=0, reveal=reveal)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_left_overs_of_a_killed_process_are_replaced(tmp_path: Path) -> None:
    (tmp_path / f".x.iso.{os.getpid()}.part").write_bytes(b"half")
    made(answer_tree(), tmp_path / "x.iso")
    assert [path.name for path in tmp_path.iterdir()] == ["x.iso"]


def test_a_full_disk_is_found_before_or_while_writing(tmp_path: Path, run: Run) -> None:
    """In a mount namespace of its own, on file systems of 256 KiB; whoever runs it."""
    script = f"""
        mount -t tmpfs -o size=256k,nr_inodes=3 none {tmp_path}
        exec {sys.executable} - <<'EOF'
        from pathlib import Path
        from provisioner.errors import FailedError, HostError
        from provisioner.image.iso import write_iso
        from provisioner.image.output import replacing
        from provisioner.tree import Bytes, File, Tree
        folder = Path({str(tmp_path)!r})
        def attempt(size, needed=None):
            try:
                if needed is None:
                    tree = Tree([("a", File(content=(Bytes(data=bytes(size)),)))])
                    write_iso(tree, folder / "x.iso", label="X", epoch=0, reveal=str)
                else:
                    with replacing(folder / "x.iso", needed=needed) as out:
                        for _ in range(size >> 10):
                            out.write(bytes(1024))
            except (FailedError, HostError) as err:
                print(type(err).__name__, err.message.replace(str(folder), "F"), "|", err.hint[:9])
            print(sorted(path.name for path in folder.iterdir()))
        attempt(1 << 10)
        (folder / "x.iso").unlink()
        attempt(1 << 20)
        attempt(8 << 20)
        attempt(1 << 20, needed=0)
        (folder / "one").touch()
        (folder / "two").touch()
        attempt(1 << 10)
        EOF
    """
    script = textwrap.dedent(script)
    ways = (["unshare", "-m"], ["unshare", "-U", "-r", "-m"], ["sudo", "-n", "unshare", "-m"])
    probe = ["mount", "-t", "tmpfs", "none", "/mnt"]
    works = (w for w in ways if subprocess.run([*w, *probe], capture_output=True).returncode == 0)
    way = next(works, None)
    assert way, "this test mounts a small tmpfs: it needs root, user namespaces or sudo"
    out = run(*way, "env", f"PYTHONPATH={ROOT}", "sh", "-ec", script).splitlines()
    assert out == [
        "['x.iso']",
        "HostError F has 262144 bytes free, 1112064 are needed | free some",
        "[]",
        "HostError F has 262144 bytes free, 8452096 are needed | free some",
        "[]",
        "FailedError no space left in F while writing x.iso | free some",
        "[]",
        "FailedError no space left in F while writing x.iso | free some",
        "['one', 'two']",
    ]


def test_a_file_size_limit_is_told(tmp_path: Path) -> None:
    script = f"""
        import resource
        from pathlib import Path
        from provisioner.errors import FailedError
        from provisioner.image.iso import write_iso
        from provisioner.tree import Bytes, File, Tree
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        for size in (2 << 20, 5 << 20):
            try:
                tree = Tree([("a", File(content=(Bytes(data=bytes(size)),)))])
                write_iso(tree, Path({str(tmp_path / "x.iso")!r}), label="X", epoch=0, reveal=str)
            except FailedError as err:
                print(err.message.partition("x.iso ")[2])
    """
    assert python(script).splitlines() == [
        "is bigger than the file system or `ulimit -f` allows",
        "is bigger than the file system or `ulimit -f` allows",
    ]
    assert list(tmp_path.iterdir()) == []


def test_interrupted_at_any_moment_nothing_partial_is_left(tmp_path: Path) -> None:
    """Ctrl-C after 1, 2, 3 ... milliseconds of work, in a process of its own."""
    script = f"""
        import os, signal
        from pathlib import Path
        from provisioner.image.iso import write_iso
        from provisioner.image.verify import verify_iso
        from provisioner.tree import Bytes, File, Tree
        def interrupt(*_):
            raise KeyboardInterrupt
        signal.signal(signal.SIGPROF, interrupt)
        disc = Path({str(tmp_path / "x.iso")!r})
        tree = Tree([(f"f{{i}}", File(content=(Bytes(data=bytes(i)),))) for i in range(1500)])
        stopped = 0
        for attempt in range(1, 41):
            try:
                signal.setitimer(signal.ITIMER_PROF, attempt / 1000)
                write_iso(tree, disc, label="X", epoch=0, reveal=str)
                signal.setitimer(signal.ITIMER_PROF, 0)
            except KeyboardInterrupt:
                stopped += 1
            left = os.listdir(disc.parent)
            assert left in ([], ["x.iso"]), left
            if left:
                verify_iso(disc, tree, reveal=str)
                disc.unlink()
        print(stopped)
    """
    assert int(python(script)) > 3


def test_a_terminated_block_removes_its_file(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "x", needed=0) as out:
        out.write(b"half")
        assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600]
        os.kill(os.getpid(), signal.SIGINT)
        signal.pause()
    assert list(tmp_path.iterdir()) == []
