"""cmd and diskpart, as far as the stand-in plays them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.standin.setup.cmd import (
    NOT_FOUND,
    UNKNOWN_PROGRAM,
    Cmd,
    NotPlayed,
    Result,
    WaitsForPerson,
)
from tests.standin.setup.diskpart import DiskpartError, read_script
from tests.standin.setup.layout import GPT_TYPES, Disk, Partition

DISK = Disk(disk_id=0, device="sda", bus="sata", size_mib=65536)
USED = Disk(
    disk_id=1,
    device="sdb",
    bus="sata",
    size_mib=4096,
    table="mbr",
    existing=(Partition(number=1, kind="Primary", start_mib=1, size_mib=100, type_id="0x07"),),
)


def run(folder: Path, script: str) -> tuple[str, int]:
    """What a script prints to a person, and its exit code. Its drive is E:."""
    (folder / "X.CMD").write_text(script.replace("\n", "\r\n"))

    def fails(words: Sequence[str], piped: str) -> Result:
        return Result(f"{'+'.join(words)}|{piped.strip()}\r\n", int(words[0]))

    cmd = Cmd(drives={"E": folder}, programs={"fails": fails}, ports={})
    code = cmd.line(
        'cmd.exe /c for %d in (C D E F) do if exist %d:\\x.cmd cmd /c %d:\\x.cmd %d: "a b"'
    )
    return "".join(cmd.said).replace("\r\n", "\n"), code


@pytest.mark.parametrize(
    ("script", "said", "code"),
    [
        ("@echo off\nrem x\necho a ^> b & c", "a > b & c\n", 0),
        ("echo %~1%2 %* %none%.", 'E:"a b" E: "a b" .\n', 0),
        ('set "x=1"\nif defined x echo %X%%%\nset "x="\nif not defined x echo no', "1%\nno\n", 0),
        ("fails 3 | fails 4", "4|3|\n", 4),
        ("fails 3\nif errorlevel 4 echo no\nif errorlevel 3 echo yes", "3|\nyes\n", 3),
        ("call :part W:\\a\\b.exe\nexit /b 5\n:part\necho %~n1\nexit /b 2", "b\n", 5),
        ("goto on\necho never\n:on\necho on\ngoto :eof\necho never", "on\n", 0),
        ("md E:\\Sub\necho a> E:\\sub\\f\necho b>> E:\\SUB\\F\ntype E:\\sub\\f", "a\nb\n", 0),
        ("fails 1 > nul 2>&1", "", 1),
        ("nobody there", f"'nobody' {NOT_FOUND}.\n", UNKNOWN_PROGRAM),
        ("copy /y E:\\none E:\\there", "The system cannot find the file specified.\n", 1),
        ("for %%v in (a b) do (\n  if not exist %%v:\\ echo %%v\n  echo -\n)", "a\n-\nb\n-\n", 0),
        ("if not exist E:\\none for /r \"E:\\\" %%i in (*.cmd) do echo %%i", "E:\\X.CMD\n", 0),
    ],
)  # fmt: skip
def test_cmd(tmp_path: Path, script: str, said: str, code: int) -> None:
    assert run(tmp_path, script) == (said, code)


@pytest.mark.parametrize(
    "line", ['for /f "delims=" %%L in (x) do echo %%L', "set /a x+=1", "echo %x:~0,1%", "a && b"]
)
def test_what_is_not_played_is_said_before_anything_happens(tmp_path: Path, line: str) -> None:
    with pytest.raises(NotPlayed):
        run(tmp_path, f"md E:\\never\n{line}")
    assert not (tmp_path / "never").exists()


def test_nobody_presses_a_key(tmp_path: Path) -> None:
    with pytest.raises(WaitsForPerson, match="look at this"):
        run(tmp_path, "echo look at this\npause > nul")


def test_diskpart() -> None:
    script = """\
select disk 0
clean
convert gpt
create partition efi size=260
format quick fs=fat32 label="System"
assign letter=S
create partition msr size=16
create partition primary size=60000
format quick fs=ntfs label="My Windows"
assign letter=W
create partition primary
format quick fs=ntfs
set id=de94bba4-06d1-4d40-a16a-bfd50179d6ac
gpt attributes=0x8000000000000001
select disk 1
clean
convert mbr
create partition primary
active
set id=27
exit
no such command
"""
    first, second = read_script(script, [DISK, USED])
    assert (first.table, first.wipe, second.table) == ("gpt", True, "mbr")
    assert [
        (p.number, p.kind, p.start_mib, p.size_mib, p.file_system, p.label, p.letter)
        for p in first.partitions
    ] == [
        (1, "EFI", 1, 260, "FAT32", "System", "S"),
        (2, "MSR", 261, 16, None, None, None),
        (3, "Primary", 277, 60000, "NTFS", "My Windows", "W"),
        (4, "Primary", 60277, 65536 - 1 - 60277, "NTFS", None, None),
    ]
    assert first.partitions[3].type_id == "DE94BBA4-06D1-4D40-A16A-BFD50179D6AC"
    assert first.partitions[3].attributes == 0x8000000000000001
    assert first.partitions[0].type_id == GPT_TYPES["EFI"]
    assert [(p.active, p.type_id) for p in second.partitions] == [(True, "0x27")]


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("select disk 7", "not valid"),
        ("clean", "no disk selected"),
        ("select disk 1\nconvert gpt", "not empty"),
        ("select disk 0\ncreate partition primary", "neither MBR nor GPT"),
        ("select disk 0\nclean\nconvert gpt\ncreate partition primary size=99999", "free space"),
        ("select disk 0\nclean\nconvert mbr\ncreate partition efi size=100", "partition type"),
        ("select disk 0\nclean\nconvert gpt\ncreate partition msr size=16\nactive", "MBR disk"),
        ("select disk 0\nclean\nconvert gpt\nformat quick fs=ntfs", "no partition selected"),
        ("select disk 0\nerase", "arguments"),
    ],
)
def test_diskpart_refuses(script: str, says: str) -> None:
    with pytest.raises(DiskpartError, match=says):
        read_script(script, [DISK, USED])
