"""A Windows PE to run our batch file in: Wine's cmd, with stand-ins for the programs it calls.

What `diskpart` prints is written from its documentation in several languages: the words differ,
and the code page; numbers, bus names, models and labels do not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

WINE = "/usr/lib/wine/wine64"

DISKPART = r"""@echo off
set "number="
for /f "usebackq tokens=1,3" %%A in (%2) do if "%%A" == "select" set "number=%%B"
type F:\banner.txt
if not defined number goto list
if not exist F:\detail-%number%.txt goto unknown
type F:\detail-%number%.txt
exit /b 0
:list
type F:\list.txt
exit /b 0
:unknown
exit /b 21
"""
CSCRIPT = "@echo off\r\ntype F:\\serials.txt\r\n"
DRVLOAD = "@echo off\r\n>> F:\\drivers.log echo %1\r\n"
WPEUTIL = "@echo off\r\n> F:\\rebooted.txt echo %1\r\n"
PING = "@echo off\r\n> F:\\stopped.txt echo stopped\r\nexit 7\r\n"
"""`exit` without /b ends the whole interpreter: in place of waiting for ever."""


@dataclass(frozen=True, kw_only=True)
class Language:
    """The words of a translated diskpart."""

    code_page: str
    disk: str
    online: str
    gib: str
    tib: str
    bus: str
    banner: str
    header: str


LANGUAGES = {
    "en": Language(
        code_page="cp437",
        disk="Disk",
        online="Online",
        gib="GB",
        tib="TB",
        bus="Type   : ",
        banner="Microsoft DiskPart version 10.0.26100.1150\n\n"
        "Copyright (C) Microsoft Corporation.\nOn computer: MININT-4711\n",
        header="  Disk ###  Status         Size     Free     Dyn  Gpt\n"
        "  --------  -------------  -------  -------  ---  ---",
    ),
    "de": Language(
        code_page="cp850",
        disk="Datenträger",
        online="Online",
        gib="GB",
        tib="TB",
        bus="Typ           : ",
        banner="Microsoft DiskPart-Version 10.0.26100.1150\n\n"
        "Copyright (C) Microsoft Corporation.\nAuf Computer: MININT-4711\n",
        header="  Datenträger ###  Status         Größe    Frei     Dyn  GPT\n"
        "  ---------------  -------------  -------  -------  ---  ---",
    ),
    "fr": Language(
        code_page="cp850",
        disk="Disque",
        online="En ligne",
        gib="G octets",
        tib="T octets",
        bus="Type : ",
        banner="Microsoft DiskPart version 10.0.26100.1150\n\n"
        "Copyright (C) Microsoft Corporation.\nSur l'ordinateur : MININT-4711\n",
        header="  N° disque  Statut         Taille   Libre    Dyn  GPT\n"
        "  ---------  -------------  -------  -------  ---  ---",
    ),
    "ru": Language(
        code_page="cp866",
        disk="Диск",
        online="В сети",
        gib="Gбайт",
        tib="Tбайт",
        bus="Тип    : ",
        banner="Microsoft DiskPart, версия 10.0.26100.1150\n\n(C) Корпорация Майкрософт.\n"
        "На компьютере: MININT-4711\n",
        header="  Диск ###  Состояние      Размер   Свободно Дин  GPT\n"
        "  --------  -------------  -------  -------  ---  ---",
    ),
    "ja": Language(
        code_page="cp932",
        disk="ディスク",
        online="オンライン",
        gib="GB",
        tib="TB",
        bus="種類   : ",
        banner="Microsoft DiskPart バージョン 10.0.26100.1150\n\n"
        "Copyright (C) Microsoft Corporation.\nコンピューター: MININT-4711\n",
        header="  ディスク      状態           サイズ   空き   ダイナ GPT\n"
        "  ###                                       ミック\n"
        "  ------------  -------------  -------  -------  ---  ---",
    ),
    "zh": Language(
        code_page="cp936",
        disk="磁盘",
        online="联机",
        gib="GB",
        tib="TB",
        bus="类型   : ",
        banner="Microsoft DiskPart 版本 10.0.26100.1150\n\nCopyright (C) Microsoft Corporation.\n"
        "在计算机上: MININT-4711\n",
        header="  磁盘 ###  状态           大小     可用     Dyn  Gpt\n"
        "  --------  -------------  -------  -------  ---  ---",
    ),
}


@dataclass(frozen=True, kw_only=True)
class FakeDisk:
    """A disk of the PC. `gib` as diskpart tells it; `tib` in its place for very large ones."""

    model: str
    bus: str
    path: str = "UNAVAILABLE"
    gib: int = 0
    tib: int = 0
    serial: str = ""
    volume: str = ""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the script did: `code` is None where it waits for ever."""

    code: int | None
    rebooted: bool
    allowed: bool
    answers: str
    printed: str
    drivers: tuple[str, ...]


class WindowsPE:
    """One Wine prefix; each run has a stick (E:) and fakes (F:) of its own."""

    def __init__(self, folder: Path) -> None:
        self.prefix = folder / "wine"
        self.prefix.mkdir()
        self.fakes = folder / "fakes"
        self.fakes.mkdir()
        # Without its server staying: nothing of it is left when the tests are done.
        self._run(["cmd", "/c", "exit"])
        self.mark = self.prefix / "drive_c/windows/system32/wpeutil.exe"
        self.mark.touch()

    def run(
        self, stick: Path, disks: Sequence[FakeDisk], *arguments: int, language: str = "en"
    ) -> Outcome:
        """The script of the stick, as the answer file calls it."""
        shutil.rmtree(self.fakes, ignore_errors=True)
        self.fakes.mkdir()
        self._programs()
        self._texts(disks, LANGUAGES[language])
        for letter, target in (("e:", stick), ("f:", self.fakes)):
            link = self.prefix / "dosdevices" / letter
            link.unlink(missing_ok=True)
            link.symlink_to(target)
        allowed = self.prefix / "drive_c/provision.ok"
        allowed.unlink(missing_ok=True)
        numbers = [str(number) for number in arguments]
        done = self._run(["cmd", "/d", "/c", r"E:\provision\disk\select-disk.cmd", *numbers])
        log = self.fakes / "drivers.log"
        return Outcome(
            code=None if (self.fakes / "stopped.txt").exists() else done.returncode,
            rebooted=(self.fakes / "rebooted.txt").exists(),
            allowed=allowed.exists(),
            answers=(stick / "Autounattend.xml").read_text(),
            printed=done.stdout.decode("utf-8", "replace"),
            drivers=tuple(log.read_text().splitlines()) if log.exists() else (),
        )

    def cscript(self, script: Path) -> str:
        """What Wine's own Windows Script Host prints for a script."""
        shutil.rmtree(self.fakes)
        self.fakes.mkdir()
        link = self.prefix / "dosdevices/e:"
        link.unlink(missing_ok=True)
        link.symlink_to(script.parent)
        done = self._run(["cscript", "//nologo", f"E:\\{script.name}"])
        assert done.returncode == 0, done
        return done.stdout.decode()

    def _programs(self) -> None:
        for name, text in {
            "diskpart": DISKPART,
            "cscript": CSCRIPT,
            "drvload": DRVLOAD,
            "wpeutil": WPEUTIL,
            "ping": PING,
        }.items():
            path = self.fakes / f"{name}.cmd"
            path.write_text(text.replace("\r\n", "\n"), newline="\r\n")

    def _texts(self, disks: Sequence[FakeDisk], words: Language) -> None:
        def write(name: str, text: str) -> None:
            data = ("\n" + text + "\n").replace("\n", "\r\n").encode(words.code_page)
            (self.fakes / name).write_bytes(data)

        rows = [words.header]
        serials = []
        for number, disk in enumerate(disks):
            size = f"{disk.tib} {words.tib}" if disk.tib else f"{disk.gib} {words.gib}"
            rows.append(
                f"  {words.disk} {number}    {words.online}        {size:>9}  1024 KB        *"
            )
            volume = f"  Volume 3     E   {disk.volume}  FAT32  Removable" if disk.volume else ""
            write(
                f"detail-{number}.txt",
                f"{words.disk} {number}.\n\n{disk.model}\nID : {{0E7C6F1B}}\n"
                f"{words.bus}{disk.bus}\nPath   : 0\nLocation Path : {disk.path}\n\n{volume}",
            )
            serials.append(f"{number};{disk.serial}")
        write("banner.txt", words.banner)
        write("list.txt", "\n".join(rows))
        write("serials.txt", "\n".join(serials))

    def _run(self, argv: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.prefix.parent),
            "WINEPREFIX": str(self.prefix),
            "WINEDEBUG": "-all",
            "WINEDLLOVERRIDES": "mscoree,mshtml,winemenubuilder.exe=",
            "WINEPATH": "F:\\",
            "LC_ALL": "C.UTF-8",
        }
        return subprocess.run(
            [WINE, *argv],
            env={**os.environ, **environment},
            capture_output=True,
            stdin=subprocess.DEVNULL,
            # cmd looks here first, so that ours are taken and not the few that Wine has.
            cwd=self.fakes,
            timeout=90,
            check=False,
        )
