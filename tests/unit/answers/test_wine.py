"""Every kind of batch file that is rendered, run by Wine's cmd: another reader of its syntax.

Programs that Wine has not, or that would do something, are shell scripts that write down what they
were called with. Wine hands those no exit code back and does not wait for them: exit codes are
tested with batch files, and what a script wrote is complete when its last line is there.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

from provisioner.answers import steps
from provisioner.profile.model import Profile
from provisioner.resources import Resources, shipped_folder
from provisioner.templating import Templates
from provisioner.tree import File, HostFile, Text

pytestmark = [pytest.mark.xdist_group("wine"), pytest.mark.timeout(180)]

WINE = Path("/usr/lib/wine")
"""Where Debian's package wine64 has its programs; only the package wine puts them in the path."""
TEMPLATES = Templates(Resources(shipped=shipped_folder()).template_folders())
GOLDEN = Path(__file__).parents[2] / "golden/answers"
END = "that was all"
RECORDER = f'#!/bin/sh\nfor word in "$@" "{END}"; do printf \'%s\\n\' "$word"; done\n'
RECORDED = ("dism.exe", "winget.exe", "choco.exe", "msiexec.exe", "powershell.exe")
EXE_ARGUMENTS = ["/install", "/log:C:\\my logs\\", "a&b|c<d>^e", "50% of %PATH%", "", "(x)", "C:\\"]


@dataclass(frozen=True, kw_only=True)
class Wine:
    """A prefix of its own, and the answer disc's folder beside it."""

    folder: Path

    @property
    def drive_c(self) -> Path:
        return self.folder / "prefix/drive_c"

    @property
    def said(self) -> Path:
        """Standard output of the step that ran last."""
        return self.drive_c / "base.stdout.log"

    def call(self, *argv: str, server: bool = False) -> subprocess.CompletedProcess[str]:
        """Wine itself, without a display."""
        environment = {
            **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
            "HOME": str(self.folder),
            "WINEPREFIX": str(self.folder / "prefix"),
            "WINEDEBUG": "-all",
            "WINEDLLOVERRIDES": "mscoree,mshtml,winemenubuilder.exe=",
        }
        program = WINE / ("wineserver64" if server else "wine64")
        # Files and not pipes: what Wine leaves running would keep a pipe open.
        with tempfile.TemporaryFile("w+", errors="replace") as output:
            done = subprocess.run(
                [program, *argv],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=60,
                check=False,
            )
            output.seek(0)
            return subprocess.CompletedProcess(done.args, done.returncode, output.read())

    def disc(self, *listed: object) -> Path:
        """The steps as they stand on an answer disc, written as its writer would."""
        folder = self.folder / "disc"
        windows = {"product": "windows-11", "steps": listed}
        profile = Profile.model_validate_json(json.dumps({"name": "w", "windows": windows}))
        for path, entry in steps.files(profile.windows.steps, TEMPLATES):
            assert isinstance(entry, File)
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            (part,) = entry.content
            if isinstance(part, Text):
                text = "".join(map(str, part.parts)).replace("\n", part.newline)
                target.write_bytes(text.encode(part.encoding))
            else:
                assert isinstance(part, HostFile)
                target.write_bytes(part.path.read_bytes())
                target.chmod(0o755)
        return folder

    def run(self, *listed: object, file: str) -> tuple[int, str, str]:
        """What run.cmd keeps of a step: exit code, standard output, standard error."""
        disc = self.disc(*listed)
        base = self.drive_c / "base"
        for old in self.drive_c.glob("base.*"):
            old.unlink()
        script = "Z:" + str(disc / "provision/run.cmd").replace("/", "\\")
        done = self.call("cmd", "/d", "/c", script, file, "C:\\base")
        code = base.with_name("base.code")
        assert code.exists(), done
        said = [base.with_name(f"base.{name}.log").read_text() for name in ("stdout", "stderr")]
        return int(code.read_text()), said[0], said[1]


@pytest.fixture(scope="module")
def wine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wine]:
    made = Wine(folder=tmp_path_factory.mktemp("wine"))
    (made.folder / "prefix").mkdir()
    assert (WINE / "wine64").exists(), "apt-get install wine64"
    made.call("-p", server=True)
    made.call("wineboot.exe", "-i")
    for name in RECORDED:
        stub = made.drive_c / "windows/system32" / name
        stub.unlink(missing_ok=True)
        stub.write_text(RECORDER)
        stub.chmod(0o755)
    yield made
    made.call("-k", server=True)


def step(**keys: object) -> dict[str, object]:
    return {"name": "a", **keys}


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("exit 5", 5),
        ("@exit /b 3010", 3010),
        ("exit -1", -1),
        ("@ver >nul\n@cmd /c exit 7", 7),
        ("@echo off\necho done", 0),
    ],
)
def test_exit_codes(wine: Wine, script: str, code: int) -> None:
    """Also of a script that ends its own cmd."""
    assert wine.run(step(cmd=script), file="01-a.cmd")[0] == code


def test_what_a_step_says(wine: Wine) -> None:
    code, out, err = wine.run(step(cmd="@echo one\n@echo two>&2\n@cd"), file="01-a.cmd")
    assert (code, err) == (0, "two\n")
    assert out.splitlines() == ["one", "C:\\"]


def exported(path: Path) -> dict[str, tuple[str, object]]:
    """The values of the one key in a .reg file (Microsoft, "Windows Registry Editor 5.00")."""
    found: dict[str, tuple[str, object]] = {}
    text = path.read_text("utf-16").replace("\\\n", "").replace("\\\r\n", "")
    for line in text.splitlines():
        if not line.startswith(("@=", '"')):
            continue
        name, data = ("", line[2:]) if line.startswith("@=") else line[1:].split('"=', 1)
        kind, _, rest = data.partition(":")
        if data.startswith('"'):
            found[name] = ("REG_SZ", data[1:-1].replace('\\"', '"').replace("\\\\", "\\"))
        elif kind == "dword":
            found[name] = ("REG_DWORD", int(rest, 16))
        else:
            raw = bytes(int(pair, 16) for pair in rest.replace(" ", "").split(",") if pair)
            found[name] = {
                "hex": lambda raw: ("REG_BINARY", raw),
                "hex(2)": lambda raw: ("REG_EXPAND_SZ", raw.decode("utf-16-le").rstrip("\0")),
                "hex(7)": lambda raw: (
                    "REG_MULTI_SZ",
                    tuple(raw.decode("utf-16-le").rstrip("\0").split("\0")),
                ),
                "hex(b)": lambda raw: ("REG_QWORD", int.from_bytes(raw, "little")),
            }[kind](raw)
    return found


def test_the_registry_is_what_the_profile_says(wine: Wine) -> None:
    values: list[tuple[str | None, str | None, object]] = [
        (None, None, "the default value"),
        ("syntax", None, "a & b | c < d > ^ (e) 'f' ; g, h = `"),
        ("percent", None, "%PATH% 100% %%x"),
        ("backslash", None, "C:\\Program Files\\"),
        ("slash", None, "/v"),
        ("empty", None, ""),
        ("a name", None, "x"),
        ("number", None, 4294967295),
        ("zero", None, 0),
        ("long", "REG_QWORD", 2**40 + 1),
        ("expand", "REG_EXPAND_SZ", "%SystemRoot%\\x"),
        ("list", None, ["one", "two words", "C:\\"]),
        ("bytes", "REG_BINARY", "00ffA0"),
    ]
    asked = [
        {"name": name, "data": data, **({"type": kind} if kind else {})}
        for name, kind, data in values
    ]
    key = "HKLM\\SOFTWARE\\Example 100%\\A & B"
    code, _, err = wine.run(step(registry=key, values=asked), file="01-a.cmd")
    assert (code, err) == (0, "")
    wine.call("reg", "export", key, "C:\\x.reg", "/y")
    assert exported(wine.drive_c / "x.reg") == {
        "": ("REG_SZ", "the default value"),
        "syntax": ("REG_SZ", "a & b | c < d > ^ (e) 'f' ; g, h = `"),
        "percent": ("REG_SZ", "%PATH% 100% %%x"),
        "backslash": ("REG_SZ", "C:\\Program Files\\"),
        "slash": ("REG_SZ", "/v"),
        "empty": ("REG_SZ", ""),
        "a name": ("REG_SZ", "x"),
        "number": ("REG_DWORD", 4294967295),
        "zero": ("REG_DWORD", 0),
        "long": ("REG_QWORD", 2**40 + 1),
        "expand": ("REG_EXPAND_SZ", "%SystemRoot%\\x"),
        "list": ("REG_MULTI_SZ", ("one", "two words", "C:\\")),
        "bytes": ("REG_BINARY", b"\0\xff\xa0"),
    }
    assert wine.run(step(registry="HKCU\\Software\\Only Key"), file="01-a.cmd")[0] == 0
    asked_back = wine.call("reg", "query", "HKCU\\Software\\Only Key")
    assert asked_back.returncode == 0, "the key is there"


def test_files_are_copied(wine: Wine, tmp_path: Path) -> None:
    (tmp_path / "sub/deep").mkdir(parents=True)
    (tmp_path / "sub/one.txt").write_text("one")
    (tmp_path / "sub/deep/two words.txt").write_text("two")
    listed = [
        step(copy=str(tmp_path / "sub"), to="C:\\New Folder\\below\\"),
        step(copy=str(tmp_path / "sub/one.txt"), to="C:\\Tools"),
        step(copy=str(tmp_path / "sub/one.txt"), to="C:\\"),
    ]
    for number in (1, 2, 3, 2):
        assert wine.run(*listed, file=f"{number:02}-a.cmd")[0] == 0
    below = wine.drive_c / "New Folder/below"
    assert (below / "one.txt").read_text() == "one"
    assert (below / "deep/two words.txt").read_text() == "two"
    assert (wine.drive_c / "Tools/one.txt").read_text() == "one"
    assert (wine.drive_c / "one.txt").read_text() == "one"


def test_conditions_and_waiting(wine: Wine) -> None:
    (wine.drive_c / "there & here").mkdir(exist_ok=True)
    listed = [
        step(cmd="x", only_if={"exists": "C:\\there & here"}),
        step(cmd="x", only_if={"missing": "C:\\there & here"}),
        step(wait={"exists": "C:\\there & here"}),
        step(wait="1 s"),
        step(cmd="x", only_if={"service": "no such"}),
    ]
    names = ("01-a.if.cmd", "02-a.if.cmd", "03-a.cmd", "04-a.cmd", "05-a.if.cmd")
    assert [wine.run(*listed, file=name)[0] for name in names] == [0, 1, 0, 0, 1]


def test_what_programs_are_called_with(wine: Wine, tmp_path: Path) -> None:
    program = tmp_path / "set up.exe"
    program.write_text(RECORDER)
    listed = [
        step(exe=str(program), arguments=EXE_ARGUMENTS),
        step(msi=str(program), arguments=["INSTALLDIR=C:\\My Tools\\", "ADDLOCAL=ALL"]),
        step(feature=["NetFx3", "Telnet Client"]),
        step(feature="TFTP", state="disabled"),
        step(winget="Git.Git", version="2.50 & more"),
        step(choco="7zip"),
        step(powershell="1", only_if={"powershell": "2"}),
    ]

    def called(file: str) -> list[str]:
        wine.run(*listed, file=file)
        deadline = time.monotonic() + 30
        while not (lines := wine.said.read_text().splitlines()) or lines[-1] != END:
            assert time.monotonic() < deadline, lines
            time.sleep(0.01)
        return lines[:-1]

    assert called("01-a.cmd") == EXE_ARGUMENTS
    beside = "Z:" + str(wine.folder / "disc/provision/steps").replace("/", "\\")
    log = "C:\\ProgramData\\provisioner\\steps\\02-a.msi.log"
    package = called("02-a.cmd")
    assert package[:6] == ["/i", f"{beside}\\02-a\\file.exe", "/qn", "/norestart", "/log", log]
    assert package[6:] == ["INSTALLDIR=C:\\My Tools\\", "ADDLOCAL=ALL"]
    switches = ["/online", "/english", "/norestart"]
    features = ["/featurename:NetFx3", "/featurename:Telnet Client"]
    assert called("03-a.cmd") == [*switches, "/enable-feature", "/all", *features]
    assert called("04-a.cmd") == [*switches, "/disable-feature", "/featurename:TFTP"]
    winget = called("05-a.cmd")
    assert winget[:4] == ["install", "--id", "Git.Git", "--exact"]
    assert winget[-2:] == ["--version", "2.50 & more"]
    assert called("06-a.cmd") == ["install", "7zip", "--yes", "--no-progress"]
    for file, script in (("07-a.cmd", "07-a.ps1"), ("07-a.if.cmd", "07-a.if.ps1")):
        words = called(file)
        assert words[:5] == ["-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass",
                             "-Command"]  # fmt: skip
        assert f"& '{beside}\\{script}'" in words[5]
        assert len(words) == 6


def test_the_commands_for_setup_set_what_they_name(wine: Wine) -> None:
    """What the answer file runs in Setup, as its golden file has it."""
    answers = ElementTree.parse(GOLDEN / "bypass/Autounattend.xml")
    commands = [path.text for path in answers.iter() if path.tag.endswith("}Path")]
    commands = [command for command in commands if command and command.startswith("reg.exe ")]
    assert len(commands) == 3
    script = "".join(f"@{command}\n@if errorlevel 1 exit /b 1\n" for command in commands)
    assert wine.run(step(cmd=script), file="01-a.cmd")[0] == 0
    wine.call("reg", "export", "HKLM\\SYSTEM\\Setup\\LabConfig", "C:\\lab.reg", "/y")
    assert exported(wine.drive_c / "lab.reg") == dict.fromkeys(
        ("BypassTPMCheck", "BypassSecureBootCheck", "BypassRAMCheck"), ("REG_DWORD", 1)
    )


def test_every_reg_add_of_the_golden_files_is_one_that_was_tried() -> None:
    """Registry steps are rendered by one template and three forms of data, and nothing else is."""
    lines = {
        re.sub(r'"[^"]*"|(?<=/d )\S+|(?<=/v )\S+|HK\S+', "X", line)
        for path in GOLDEN.rglob("*.cmd")
        for line in path.read_text("utf-8").splitlines()
        if "reg.exe" in line
    }
    kinds = ("SZ", "EXPAND_SZ", "MULTI_SZ", "DWORD", "QWORD", "BINARY")
    known = {f"@reg.exe add X /v X /t REG_{kind} /d X /f" for kind in kinds}
    assert lines <= {*known, "@reg.exe add X /ve /t REG_SZ /d X /f", "@reg.exe add X /f"}
    assert len(lines) == 8
