"""Files appear whole or not at all; one writer at a time."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from provisioner.errors import FailedError, HostError
from provisioner.host.files import appearing, locked, os_error, private_folder, write_file


def test_a_file_appears_when_complete(tmp_path: Path) -> None:
    target = tmp_path / "a.iso"
    with appearing(target) as temporary:
        temporary.write_bytes(b"half")
        assert not target.exists()
        assert temporary.stat().st_mode & 0o777 == 0o600
    assert target.read_bytes() == b"half"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.iso"
    write_file(target, b"old")
    with pytest.raises(KeyboardInterrupt), appearing(target) as temporary:
        temporary.write_bytes(b"new")
        raise KeyboardInterrupt
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_modes(tmp_path: Path) -> None:
    write_file(tmp_path / "secret", b"")
    write_file(tmp_path / "open", b"", mode=0o644)
    private_folder(tmp_path / "x" / "y")
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "open").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "x" / "y").stat().st_mode & 0o777 == 0o700


def test_no_folder_no_file(tmp_path: Path) -> None:
    with pytest.raises(FailedError, match="no such file or folder"):
        write_file(tmp_path / "missing" / "a", b"")


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ENOSPC, HostError, "no space"),
        (errno.EDQUOT, HostError, "no space"),
        (errno.EACCES, HostError, "permission denied"),
        (errno.EROFS, HostError, "read-only"),
        (errno.EIO, FailedError, "Input/output"),
    ],
)
def test_os_errors(number: int, kind: type[Exception], words: str) -> None:
    error = os_error(OSError(number, os.strerror(number)), "write /a")
    assert type(error) is kind
    assert error.message.startswith("cannot write /a: ") and words in error.message


def test_one_writer(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with (
        locked(lock, busy="w1 is being worked on"),
        pytest.raises(FailedError, match=f"worked on.*{os.getpid()}"),
        locked(lock, busy="w1 is being worked on"),
    ):
        pass
    with locked(lock, busy="free again"):
        pass


def test_a_killed_writer_leaves_no_lock(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from provisioner.host.files import locked\n"
        "with locked(Path(sys.argv[1]), busy=''):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        (sys.executable, "-c", script, str(tmp_path / "lock")),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with pytest.raises(FailedError, match="busy"), locked(tmp_path / "lock", busy="busy"):
            pass
        holder.kill()
        holder.wait()
    with locked(tmp_path / "lock", busy="busy"):
        pass
