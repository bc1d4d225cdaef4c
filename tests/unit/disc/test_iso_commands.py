"""`provisioner iso ...` as people and programs meet it: exit codes, streams, signals, profiles."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.unit.cli.program import PROGRAM, Home
from tests.unit.disc.readers import contents, made, run
from tests.unit.media.discs import CLIENT, LANG_INI, PE, make_wim


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home")
    made(found.work / "tree", {"a.txt": b"one\n", "sub/b.bin": os.urandom(50_000), "sub/c": b""})
    assert found.run("iso", "create", "tree", "x.iso").returncode == 0
    return found


CODES = [
    (("create", "tree", "x.iso"), 5, "is there already"),
    (("create", "nowhere", "y.iso"), 2, "is not a folder"),
    (("create", "tree", "tree/y.iso"), 5, "would lie inside"),
    (("create", "tree", "no/folder/y.iso"), 3, "there is no folder"),
    (("create", "tree", "y.iso", "--no-boot", "--no-prompt"), 2, "exclude each other"),
    (("ls", "nothing.iso"), 3, "does not exist"),
    (("ls", "tree/a.txt"), 3, "a.txt is no disc image"),
    (("ls", "x.iso", "nothing"), 2, "matches nothing"),
    (("cat", "x.iso", "sub"), 2, "sub is a folder"),
    (("cat", "x.iso", "missing"), 3, "has no missing"),
    (("extract", "x.iso"), 2, "-o"),
    (("diff", "x.iso", "nothing"), 3, "does not exist"),
    (("verify", "x.iso", "x.iso"), 3, "same file"),
    (("verify", "x.iso", "tree"), 3, "is a folder"),
    (("remaster", "x.iso", "x.iso", "--force", "--add", "tree"), 5, "replaced by it"),
    (("remaster", "x.iso", "y.iso", "--set", "a=b"), 2, "belong to a --profile"),
    (("remaster", "x.iso", "y.iso", "--no-prompt"), 2, "has no efi/microsoft/boot"),
    (("mount", "x.iso", "tree"), 5, "is not empty"),
    (("unmount", "tree"), 4, "nothing is mounted"),
    (("rip", "x.iso", "x.iso", "--force"), 5, "is what is read"),
    (("rip", "x.iso", "y.iso", "--speed", "4"), 3, "takes no reading speed"),
    (("rip", "x.iso", "y.iso", "--retries", "0"), 2, "not a number from 1"),
    (("burn", "x.iso", "stdio:x.iso"), 5, "is what is burnt"),
    (("burn", "x.iso", "/dev/null"), 5, "is no optical drive"),
    (("bogus",), 2, "bogus"),
]


@pytest.mark.parametrize(("arguments", "code", "text"), CODES, ids=lambda v: str(v)[:40])
def test_codes(home: Home, arguments: tuple[str, ...], code: int, text: str) -> None:
    before = contents(home.work)
    done = home.run("iso", *arguments)
    words = " ".join(done.stderr.split())
    if text == "matches nothing":
        text = "nothing in x.iso matches nothing"
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert text in words and "Traceback" not in words
    assert contents(home.work) == before


def test_results_go_to_stdout_and_the_story_to_stderr(home: Home) -> None:
    done = home.run("iso", "create", "tree", "y.iso", "--label", "DEMO")
    assert done.stdout == f"{home.work}/y.iso\n"
    assert "DEMO: 3 files" in done.stderr
    assert home.run("iso", "ls", "y.iso").stdout.split() == ["a.txt", "sub/", "sub/b.bin", "sub/c"]
    assert home.run("iso", "cat", "y.iso", "a.txt", "A.TXT").stdout == "one\none\n"
    long = home.run("iso", "ls", "-l", "y.iso", "a.txt").stdout.split()
    assert long[0] == "-rw-r--r--" and long[1] == "4" and long[-1] == "a.txt"
    assert home.run("iso", "diff", "y.iso", "tree").returncode == 0
    assert home.events("iso", "cat", "y.iso", "a.txt")[0]["exit_code"] == 2, "bytes are not JSON"
    (home.work / "tree/a.txt").write_text("two\n")
    done = home.run("iso", "diff", "y.iso", "tree")
    assert (done.returncode, done.stdout) == (3, "≠ a.txt  from byte 0\n")
    assert done.stderr == "1 difference\n"


def test_everything_as_json(home: Home) -> None:
    created = home.events("iso", "create", "tree", "y.iso")[-1]
    assert (created["event"], created["files"], created["shape"]) == ("created", 3, "portable")
    items = home.events("iso", "ls", "y.iso")
    assert [item["path"] for item in items] == ["a.txt", "sub", "sub/b.bin", "sub/c"]
    assert items[2]["size"] == 50_000 and len(items[2]["extents"]) == 1
    assert home.events("iso", "extract", "y.iso", "-o", "out")[-1]["files"] == 3
    assert home.events("iso", "diff", "y.iso", "out") == [{"event": "compared", "differences": 0}]
    events = home.events("iso", "verify", "y.iso", "--manifest", "m.json")
    assert events[-1] == {"event": "verified", "sound": True, "embedded": None}
    assert home.events("iso", "verify", "y.iso", "m.json")[-1]["sound"] is True
    assert home.events("iso", "rip", "y.iso", "z.iso")[-1]["bad"] == []
    assert home.events("iso", "verify", "y.iso", "z.iso")[-1]["sound"] is True
    remastered = home.events("iso", "remaster", "y.iso", "w.iso", "--add", "tree=more")[-1]
    assert remastered["added"] == ["more", "more/a.txt", "more/sub", "more/sub/b.bin", "more/sub/c"]
    burnt = home.events("iso", "burn", "y.iso", "stdio:disc")[-1]
    assert (burnt["event"], burnt["verified"]) == ("burnt", True)


def test_a_damaged_copy_is_exit_3_and_named(home: Home) -> None:
    data = bytearray((home.work / "x.iso").read_bytes())
    data[data.rindex(b"one\n")] ^= 1
    (home.work / "y.iso").write_bytes(data)
    done = home.run("iso", "verify", "x.iso", "y.iso")
    assert done.returncode == 3
    assert "in a.txt" in done.stdout


def test_binary_is_not_sent_to_a_terminal(home: Home) -> None:
    code, screen = home.on_terminal("iso", "cat", "x.iso", "sub/b.bin")
    assert code == 5
    assert "standard output is a terminal" in " ".join(screen.split())
    code, screen = home.on_terminal("iso", "cat", "x.iso", "a.txt")
    assert (code, screen) == (0, "one\n")


def test_names_cannot_steer_the_terminal(home: Home) -> None:
    made(home.work / "evil", {"\x1b[31mred\n": b"1"})
    home.run("iso", "create", "evil", "evil.iso")
    for arguments in (("ls", "evil.iso"), ("diff", "evil.iso", "tree"), ("ls", "-l", "evil.iso")):
        done = home.run("iso", *arguments)
        assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "big", "y.iso"),
        ("remaster", "big.iso", "y.iso"),
        ("extract", "big.iso", "-o", "y"),
    ],
    ids=lambda v: v[0],
)
def test_signals_leave_nothing(
    home: Home, arguments: tuple[str, ...], number: signal.Signals
) -> None:
    big = made(home.work / "big", {}) / "file"
    with big.open("wb") as stream:
        stream.truncate(1 << 30)
    if arguments[0] != "create":
        home.run("iso", "create", "big", "big.iso")
    before = {path.name for path in home.work.iterdir()}
    with subprocess.Popen(
        (*PROGRAM, "iso", *arguments),
        env=home.environment(),
        cwd=home.work,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    ) as process:
        deadline = time.monotonic() + 30
        while process.poll() is None and not list(home.work.rglob(".*.part")):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(number)
        code = process.wait(30)
    if code == 0:
        pytest.fail("it was done before the signal came; the file is too small")
    assert code == 130
    left = {path.name for path in home.work.iterdir()} - before
    assert left <= {"y"} and not list(home.work.rglob("*.part"))
    assert not (home.work / "y.iso").exists() and not (home.work / "y/file").exists()


PROFILE = """\
kind: machine
name: combined
media: {install: whatever.iso}
windows:
  product: windows-11
  edition: Professional
  users: [{name: dev, groups: [Administrators], password: {generate: 20}}]
machine: {firmware: uefi}
"""


@pytest.fixture
def windows(home: Home, tmp_path: Path) -> Path:
    files = {
        "boot/etfsboot.com": b"B" * 4096,
        "boot/bootfix.bin": b"F",
        "efi/microsoft/boot/efisys.bin": b"P" * 4096,
        "efi/microsoft/boot/efisys_noprompt.bin": b"S" * 4096,
        "efi/boot/bootx64.efi": b"MZ",
        "setup.exe": b"MZ",
        "sources/lang.ini": LANG_INI,
    }
    folder = made(home.work / "win", files)
    make_wim(tmp_path / "install.wim", CLIENT).rename(folder / "sources/install.wim")
    make_wim(tmp_path / "boot.wim", PE).rename(folder / "sources/boot.wim")
    (home.work / "combined.yaml").write_text(PROFILE)
    assert home.run("iso", "create", "win", "win.iso").returncode == 0
    return home.work / "win.iso"


@pytest.mark.parametrize("overlay", [False, True])
def test_answers_of_a_profile(home: Home, windows: Path, overlay: bool) -> None:
    out = home.work / ("y.qcow2" if overlay else "y.iso")
    extra = ["--overlay"] if overlay else []
    done = home.run(
        *("iso", "remaster", "win.iso", out.name, "--profile", "combined.yaml", "--no-prompt"),
        *extra,
    )
    assert done.returncode == 0, done.stderr
    assert "+ Autounattend.xml" in done.stderr
    assert out.stat().st_mode & 0o777 == 0o600, "it holds a password"
    if overlay:
        run("qemu-img", "convert", "-O", "raw", out, home.work / "y.iso")
    answers = home.run("iso", "cat", "y.iso", "Autounattend.xml").stdout
    password = home.run("secret", "combined", "dev").stdout.strip()
    assert "<Name>dev</Name>" in answers
    assert len(password) == 20 and password not in done.stdout + done.stderr
    described = json.loads(home.run("inspect", "y.iso", "--json").stdout.splitlines()[-1])
    assert [entry["path"] for entry in described["boot"]] == [
        "boot/etfsboot.com",
        "efi/microsoft/boot/efisys_noprompt.bin",
    ]


def test_one_edition_alone(home: Home, windows: Path) -> None:
    done = home.run("iso", "remaster", "win.iso", "y.iso", "--edition", "Professional")
    assert done.returncode == 0, done.stderr
    described = json.loads(home.run("inspect", "y.iso", "--json").stdout.splitlines()[-1])
    assert [edition["edition_id"] for edition in described["editions"]] == ["Professional"]
    assert sorted(path.name for path in home.work.iterdir() if "provisioner-" in path.name) == []
    done = home.run("iso", "remaster", "win.iso", "z.iso", "--edition", "Bogus")
    assert done.returncode == 3 and "Bogus" in done.stderr
    home.program("wimlib-imagex", "echo 'ERROR: the file is damaged' >&2; exit 1")
    done = home.run("iso", "remaster", "win.iso", "z.iso", "--edition", "Core")
    assert done.returncode == 4 and "wimlib-imagex failed" in done.stderr
    assert not (home.work / "z.iso").exists()
