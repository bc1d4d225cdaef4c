"""`provisioner usb` from the outside, on loop devices: killed, and run by somebody who is not root.

Needs root, to make the loop devices and to be somebody else.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.usb.spans import MIB
from tests.integration.loops import Loop, loop
from tests.unit.cli.program import Home, plain
from tests.unit.disc.readers import run

pytestmark = pytest.mark.integration

SIZE = 160 * MIB
NOBODY = 65534
ID = "usb-TEST0000"
WRITE = ("write", "a.img", "--to", ID, "--erase", "TEST0000")


@pytest.fixture
def home() -> Iterator[Home]:
    """Of nobody, who may not look into pytest's folders."""
    folder = Path(tempfile.mkdtemp(prefix="provisioner-test-"))
    try:
        found = Home(folder / "person")
        with (found.work / "a.img").open("wb") as file:
            for _ in range(100):
                file.write(os.urandom(MIB))
        run("chown", "-R", str(NOBODY), folder)
        yield found
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def stick(tmp_path: Path) -> Iterator[Loop]:
    with loop(tmp_path / "stick.img", SIZE) as found:
        run("mkfs.vfat", "-n", "HOLIDAY", found.path)
        yield found


def started(home: Home, stick: Loop, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.integration.usb_loops", f"{stick.name}=TEST0000",
         "usb", *arguments],
        env={**home.environment(), **variables},
        cwd=home.work,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip


def said(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=120)
    assert "Traceback" not in output
    return process.returncode, " ".join(plain(output).split())


def digest(stick: Loop) -> str:
    os.sync()
    return hashlib.sha256(stick.file.read_bytes()).hexdigest()


def killed(home: Home, stick: Loop, written: int) -> None:
    """`usb write` as it is after `kill -9`, once the stick was given so many bytes more."""
    before = stick.written
    process = started(home, stick, *WRITE)
    while stick.written - before < written:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.communicate()


def test_killed_before_the_point_of_no_return(home: Home, stick: Loop) -> None:
    before = digest(stick)
    killed(home, stick, 3 * MIB)
    assert digest(stick) != before
    code, words = said(started(home, stick, "list"))
    assert code == 0
    assert f"a write of it did not come to its end; `provisioner usb restore {ID} --undo`" in words
    code, words = said(started(home, stick, "restore", ID, "--undo", "--erase", "TEST0000"))
    assert (code, f"{ID}: as it was before" in words) == (0, True)
    assert digest(stick) == before
    code, words = said(started(home, stick, "list"))
    assert "did not come to its end" not in words


def test_killed_after_it(home: Home, stick: Loop) -> None:
    killed(home, stick, 60 * MIB)
    kept = home.state / "usb"
    assert list(kept.iterdir())
    code, words = said(started(home, stick, "list"))
    assert code == 0
    assert "a write of it did not come to its end" in words
    assert "--undo" not in words
    code, words = said(started(home, stick, "restore", ID, "--undo", "--erase", "TEST0000"))
    assert (code, "there is nothing to put back" in words) == (5, True)
    code, words = said(started(home, stick, *WRITE))
    assert (code, "every byte was read back" in words) == (0, True)
    assert stick.file.read_bytes()[: 100 * MIB] == (home.work / "a.img").read_bytes()
    assert not list(kept.iterdir()), "nothing of the old contents stays on this host"


def test_nobody_without_udisks_and_sudo(home: Home, stick: Loop) -> None:
    """Nothing is written, and it says what would help."""
    before = stick.written
    code, words = said(started(home, stick, *WRITE, PERSON=str(NOBODY)))
    assert code == 3
    assert f"{stick.path} may not be opened by you" in words
    assert "hint: install udisks2, or sudo, or run this as root" in words
    assert stick.written == before


def test_nobody_with_the_helper(home: Home, stick: Loop) -> None:
    """All but opening, reading and writing the node is done by somebody who may not open it."""
    place = home.folder / "root.socket"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place))
        os.chown(place, NOBODY, NOBODY)
        server.listen()
        helper = threading.Thread(target=helped, args=(server, stick))
        helper.start()
        bridge = shutil.copy(Path(__file__).with_name("usb_bridge.py"), home.folder)
        elevate = f"/usr/bin/python3 {bridge} {place}"
        process = started(home, stick, *WRITE, PERSON=str(NOBODY), ELEVATE=elevate)
        uid = owner(process)
        code, words = said(process)
        helper.join()
    assert (code, "every byte was read back" in words) == (0, True), words
    assert uid == NOBODY
    assert stick.file.read_bytes()[: 100 * MIB] == (home.work / "a.img").read_bytes()
    for path in (home.folder / "home").rglob("*"):
        assert path.stat().st_uid == NOBODY, f"{path} was made by root"


def helped(server: socket.socket, stick: Loop) -> None:
    connection, _ = server.accept()
    with connection:
        subprocess.run(
            [sys.executable, "-m", "tests.integration.usb_helper", stick.name, "TEST0000"],
            stdin=connection,
            stdout=connection,
            check=True,
        )


def owner(process: subprocess.Popen[str]) -> int:
    """Who it runs as, once it has dropped root."""
    uid = 0
    while process.poll() is None and not uid:
        time.sleep(0.01)
        status = Path(f"/proc/{process.pid}/status").read_text()
        uid = int(next(line for line in status.splitlines() if line[:4] == "Uid:").split()[1])
    return uid
