"""The scripts of `install_by: apply`, run by Wine's cmd with stand-ins for Windows PE's programs.

Wine's cmd is not Windows': this shows that the script goes where it should, and no more.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

from provisioner.answers import apply
from provisioner.guest.protocol import Frame, decode
from tests.golden.test_answers import answer_xml
from tests.standin.setup.cmd import Cmd, Program, Result, WaitsForPerson

pytestmark = pytest.mark.xdist_group("apply")  # one prefix for all

GOLDEN = Path(__file__).parents[2] / "golden/answers"
WINE = "/usr/lib/wine/wine64"
"""Debian's; the package puts no `wine64` into the path."""
WINESERVER = "/usr/lib/wine/wineserver"
IN_PATH = ("drvload", "diskpart", "dism", "wpeutil", "bcdedit")
IN_WINDOWS = ("bcdboot", "reagentc")


def command_of(case: str) -> ElementTree.Element:
    """The one command of pass windowsPE."""
    (command,) = answer_xml(case).iterfind("{*}settings[@pass='windowsPE']//{*}Path")
    return command


@dataclass(frozen=True)
class WindowsPE:
    """A Wine prefix with the drives of a machine: D: install disc, E: answers, W:, R:, S:."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            "WINEPREFIX": str(self.folder / "prefix"),
            "WINEDEBUG": "-all",
            "WINEDLLOVERRIDES": "mscoree,mshtml=",
            "LC_ALL": "C.UTF-8",
        }

    def wine(self, *arguments: str) -> int:
        return subprocess.run(
            (WINE, *arguments),
            env=self.environment,
            cwd=self.folder,
            # Wine's services outlive the program by seconds, and would hold pipes open.
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=120,
            check=False,
        ).returncode

    def program(self, folder: str, name: str, exit_code: int = 0) -> None:
        """A program that writes down how it was called."""
        path = self.folder / folder / f"{name}.cmd"
        path.parent.mkdir(parents=True, exist_ok=True)
        calls = f"Z:{str(self.folder / 'calls.txt').replace('/', chr(92))}"
        path.write_text(f"@echo off\r\necho {name} %*>> {calls}\r\nexit /b {exit_code}\r\n")

    def play(self, case: str, *, image: str = "install.wim", diskpart: int = 0) -> list[str]:
        """The calls that the command of the answer file leads to."""
        for name in ("answers", "media", "windows", "recovery", "calls.txt"):
            path = self.folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        (self.folder / "media/sources").mkdir(parents=True)
        if image:
            (self.folder / "media/sources" / image).touch()
        answers = self.folder / "answers"
        shutil.copytree(GOLDEN / case, answers)
        for name in ("apply.cmd", "diskpart.txt"):
            text = (answers / "provision" / name).read_text()
            (answers / "provision" / name).write_text(text, newline="\r\n")
        path_of_command = command_of(case)
        marker = re.search(r"exist %d:\\(\S+)", path_of_command.text)
        assert marker is not None
        (answers / marker[1].replace("\\", "/")).touch()
        (answers / "$WinPEDriver$/viostor").mkdir(parents=True)
        (answers / "$WinPEDriver$/viostor/viostor.inf").touch()
        (self.folder / "recovery").mkdir()
        for name in IN_PATH:
            self.program("path", name, diskpart if name == "diskpart" else 0)
        for name in IN_WINDOWS:
            self.program("windows/Windows/System32", name)
        (self.folder / "com1").write_text("")
        command = path_of_command.text.replace("%", "%%")
        path = f"Z:{str(self.folder / 'path').replace('/', chr(92))}"
        start = f"@echo off\r\nset PATH={path};%PATH%\r\n{command}\r\n"
        (self.folder / "run.cmd").write_text(start)
        self.wine("cmd", "/c", f"{path.removesuffix('path')}run.cmd")
        calls = self.folder / "calls.txt"
        return [line.rstrip() for line in calls.read_text().splitlines()] if calls.exists() else []

    @property
    def log(self) -> str:
        return (self.folder / "prefix/drive_c/provisioner-apply.log").read_text()

    @property
    def said(self) -> dict[str, object]:
        """The last line on the first serial port; Wine writes each over the one before."""
        frame = decode((self.folder / "com1").read_bytes())
        assert isinstance(frame, Frame), frame
        return dict(frame.payload)


def leads_to(link: Path, target: str, pe: WindowsPE) -> bool:
    """Whether Wine has linked a device so; a service of it does, some time after its start."""
    pe.wine("cmd", "/c", "ver")
    for _ in range(100):
        if link.is_symlink() and str(link.readlink()) == target:
            return True
        time.sleep(0.05)
    return False


@pytest.fixture(scope="module")
def pe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WindowsPE]:
    folder = tmp_path_factory.mktemp("apply")
    pe = WindowsPE(folder)
    assert pe.wine("cmd", "/c", "ver") == 0, "the package wine64 is missing"
    devices = folder / "prefix/dosdevices"
    for letter, name in zip("dewrs", ("media", "answers", "windows", "recovery", "s"), strict=True):
        (devices / f"{letter}:").unlink(missing_ok=True)
        (devices / f"{letter}:").symlink_to(folder / name)
    port = str(folder / "com1")
    for _ in range(5):
        key = "HKLM\\System\\CurrentControlSet\\Control"
        pe.wine("reg", "add", key, "/v", "PEFirmwareType", "/t", "REG_DWORD", "/d", "2", "/f")
        pe.wine("reg", "add", "HKLM\\Software\\Wine\\Ports", "/v", "COM1", "/d", port, "/f")
        subprocess.run((WINESERVER, "-k"), env=pe.environment, check=False)
        # A server too busy to end is killed, and forgets what it has not written yet.
        if leads_to(devices / "com1", port, pe):
            break
    else:
        pytest.fail("Wine forgets where its first serial port is")
    yield pe
    subprocess.run((WINESERVER, "-k"), env=pe.environment, check=False)


CALLS = [
    'drvload "E:\\$WinPEDriver$\\viostor\\viostor.inf"',
    "wpeutil UpdateBootInfo",
    'diskpart /s "E:\\provision\\diskpart.txt"',
    'dism /Apply-Image "/ImageFile:D:\\sources\\install.wim"  /Index:6 /ApplyDir:W:\\',
    "bcdboot W:\\Windows /s S: /f UEFI",
    'dism /Image:W:\\ /Add-Driver "/Driver:E:\\$WinPEDriver$" /Recurse',
    "reagentc /Setreimage /Path R:\\Recovery\\WindowsRE /Target W:\\Windows",
    "bcdedit /set {fwbootmgr} bootsequence {bootmgr}",
    "wpeutil reboot",
]
"""What the script calls, in its order: the drive letters are D: install disc, E: answers."""


def test_everything_in_its_order(pe: WindowsPE) -> None:
    assert pe.play("apply") == CALLS
    copied = pe.folder / "windows/Windows/Panther/unattend.xml"
    assert copied.read_bytes() == (GOLDEN / "apply/Autounattend.xml").read_bytes()
    assert pe.said == {"event": "stage", "stage": "image"}
    assert "failed" not in pe.log


@pytest.mark.parametrize(
    ("case", "fails", "calls", "says"),
    [
        ("apply", "", CALLS, ["disks", "image"]),
        ("apply", "diskpart", CALLS[:3], ["disks", "failed"]),
        ("apply", "bcdboot", CALLS[:5], ["disks", "image", "failed"]),
        ("apply-bios", "", CALLS[:2], ["failed"]),
    ],
)
def test_the_stand_ins_cmd_goes_the_same_way(
    tmp_path: Path, case: str, fails: str, calls: list[str], says: list[str]
) -> None:
    """Two readers of batch files, Wine's and the stand-in's, agree on the script."""
    called: list[str] = []
    port: list[str] = []

    def program(name: str) -> Program:
        def call(words: Sequence[str], piped: str) -> Result:
            if name == "wpeutil" and words[0] == "reboot":
                raise StopIteration
            called.append(name)
            return Result(code=int(name == fails))

        return call

    for name in ("media/sources", "windows/Windows/System32", "recovery", "x"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "media/sources/install.wim").touch()
    shutil.copytree(GOLDEN / case, tmp_path / "answers")
    path_of_command = command_of(case)
    (marker,) = re.findall(r"exist %d:\\(\S+)", path_of_command.text)
    (tmp_path / "answers" / marker.replace("\\", "/")).touch()
    (tmp_path / "answers/$WinPEDriver$/viostor").mkdir(parents=True)
    (tmp_path / "answers/$WinPEDriver$/viostor/viostor.inf").touch()
    letters = {"D": "media", "E": "answers", "W": "windows", "R": "recovery", "X": "x"}
    cmd = Cmd(
        drives={letter: tmp_path / name for letter, name in letters.items()},
        programs={
            **{name: program(name) for name in (*IN_PATH, *IN_WINDOWS)},
            "reg": lambda words, piped: Result("    PEFirmwareType    REG_DWORD    0x2\r\n"),
            "find": lambda words, piped: Result(code=int(words[0] not in piped)),
        },
        ports={"com1": port.append},
        environment={"systemdrive": "X:"},
    )
    with pytest.raises(WaitsForPerson if "failed" in says else StopIteration):
        cmd.line(path_of_command.text)
    assert called == [re.split(r"[ .]", call)[0] for call in calls if call != "wpeutil reboot"]
    frames = [decode(line.encode()) for line in port]
    payloads = [dict(frame.payload) for frame in frames if isinstance(frame, Frame)]
    assert [one.get("stage") if one["event"] == "stage" else "failed" for one in payloads] == says
    copied = tmp_path / "windows/Windows/Panther/unattend.xml"
    assert copied.exists() is (calls == CALLS)
    assert "> diskpart" in (tmp_path / "x/provisioner-apply.log").read_text() or len(calls) == 2


def test_a_split_image(pe: WindowsPE) -> None:
    calls = pe.play("apply", image="install.swm")
    assert (
        'dism /Apply-Image "/ImageFile:D:\\sources\\install.swm" '
        "/SWMFile:D:\\sources\\install*.swm /Index:6 /ApplyDir:W:\\"
    ) in calls


def test_nothing_goes_on_behind_a_failure(pe: WindowsPE) -> None:
    calls = pe.play("apply", diskpart=1)
    assert calls[-1].startswith("diskpart")
    assert "provisioner: diskpart failed" in pe.log
    assert pe.said["event"] == "failed"


def test_no_image(pe: WindowsPE) -> None:
    assert pe.play("apply", image="") == []
    assert "no drive has sources\\install.wim" in pe.log
    assert pe.said["event"] == "failed"


def test_another_firmware_than_the_layout_is_for(pe: WindowsPE) -> None:
    calls = pe.play("apply-bios")
    assert not [call for call in calls if call.startswith(("diskpart", "dism"))]
    assert "another firmware" in pe.log


def test_a_pc_is_told_nothing_about(pe: WindowsPE) -> None:
    calls = pe.play("apply-metal")
    assert calls[-1] == "wpeutil reboot"
    assert (pe.folder / "com1").read_text() == ""


def test_the_command_is_short_enough_for_the_longest_machine() -> None:
    command = apply.start_command("provision\\machine-" + "x" * 48)
    assert len(command) <= 255


def test_frames_are_those_of_the_protocol() -> None:
    frame = decode(apply.frame(7, {"event": "stage", "stage": "disks"}).encode())
    assert isinstance(frame, Frame)
    assert (frame.sequence, frame.payload) == (7, {"event": "stage", "stage": "disks"})


@pytest.mark.parametrize(
    ("case", "lines"),
    [
        (
            "apply-bios",
            ["convert mbr", "active", "set id=27", "select disk 1", 'fs=ntfs label="Data"'],
        ),
        ("apply-metal", ["select disk 1", "convert gpt", "create partition msr size=16"]),
        ("apply", ["gpt attributes=0x8000000000000001", "assign letter=W", "assign letter=S"]),
    ],
)
def test_diskpart(case: str, lines: list[str]) -> None:
    text = (GOLDEN / case / "provision/diskpart.txt").read_text()
    for line in lines:
        assert line in text
    assert text.index("clean") < text.index("convert") < text.index("create")
