"""Windows PE's programs for scripts that put the image on the disk themselves (facts §3.10).

diskpart, DISM, bcdboot and the others do to the machine what they are documented to do, as far as
the scripts ask; what they are asked otherwise is refused with an exit code. Runs only inside the
guest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.standin.setup import image, imaging, inf, machine
from tests.standin.setup.cmd import Cmd, NotPlayed, Result, WaitsForPerson
from tests.standin.setup.diskpart import DiskpartError, read_script
from tests.standin.setup.layout import DiskPlan, Partition
from tests.standin.setup.outcome import SetupStopped
from tests.standin.setup.partitioning import apply_plan, mounted
from tests.standin.setup.search import Drive
from tests.standin.setup.windows_pe import Command

FIRMWARE_TYPES = {"bios": "0x1", "uefi": "0x2"}
"""`PEFirmwareType` below HKLM\\System\\CurrentControlSet\\Control (facts §3.10)."""
STARTS_A_SCRIPT = re.compile(r"\bcmd(\.exe)?\s+/c\b.*\.cmd\b", re.IGNORECASE)


class Restarts(Exception):
    """`wpeutil reboot`: Setup's own engine never comes to its turn."""


class WindowsPE:
    """The machine as a script in Windows PE sees it; `report` learns what became of it."""

    def __init__(self, drives: Sequence[Drive], report: dict[str, Any], *, firmware: str) -> None:
        self.firmware = firmware
        self.report = report
        self.letters = {drive.letter: drive for drive in drives}
        self.plans: tuple[DiskPlan, ...] = ()
        self.windows: tuple[DiskPlan, Partition] | None = None
        self.applied: tuple[Path, int, tuple[str, ...]] | None = None
        self.starts = False
        self._mounts = ExitStack()
        scratch = Path("/tmp/x")
        (scratch / "Windows/System32").mkdir(parents=True, exist_ok=True)
        self.cmd = Cmd(
            drives={"X": scratch, **{drive.letter: drive.root for drive in drives}},
            programs={
                "drvload": self._drvload,
                "wpeutil": self._wpeutil,
                "reg": self._reg,
                "find": _find,
                "diskpart": self._diskpart,
                "dism": self._dism,
                "bcdboot": self._bcdboot,
                "bcdedit": lambda words, piped: Result("The operation completed successfully.\r\n"),
                "reagentc": lambda words, piped: Result("REAGENTC.EXE: Operation Successful.\r\n"),
            },
            ports={"com1": lambda text: print(text.strip(), flush=True)},
            environment={"systemdrive": "X:", "systemroot": "X:\\Windows"},
        )

    def play(self, commands: Sequence[Command]) -> bool:
        """Those commands that start a script of a disc; whether one of them ends in a restart.

        The others are known by the report alone: there is no Windows PE they could change.
        """
        for command in commands:
            if not STARTS_A_SCRIPT.search(command.line):
                continue
            try:
                code = self.cmd.line(command.line)
                machine.log(f"{command.line} -> {code}\n{''.join(self.cmd.said)}")
            except NotPlayed as reason:
                machine.log(f"not played: {command.line}: {reason}")
            except WaitsForPerson as said:
                lines = [line for line in str(said).splitlines() if line.startswith("provisioner:")]
                raise SetupStopped(f"a command waits for a person: {' '.join(lines)}") from said
            except Restarts:
                self._mounts.close()
                return True
        return False

    def partition(self, path: str) -> tuple[DiskPlan, Partition] | None:
        """The partition that diskpart gave the letter of a path."""
        return next(
            (
                (plan, one)
                for plan in self.plans
                for one in plan.partitions
                if one.letter == path[:1]
            ),
            None,
        )

    def _drvload(self, words: Sequence[str], piped: str) -> Result:
        drive = self.letters.get(words[0][:1].upper())
        path = self.cmd.path(words[0])
        if drive is None or not path.is_file():
            return Result("DrvLoad: Unable to load.\r\n", 1)
        driver = inf.describe(drive, path)
        self.report["drivers"].append(driver)
        inf.load([driver])
        return Result(f"DrvLoad: {'Successfully' if driver['loaded'] else 'Not'} loaded.\r\n")

    def _wpeutil(self, words: Sequence[str], piped: str) -> Result:
        if words[0].lower() == "reboot":
            raise Restarts
        return Result(code=0 if words[0].lower() == "updatebootinfo" else 1)

    def _reg(self, words: Sequence[str], piped: str) -> Result:
        if words[0].lower() == "query" and words[-1] == "PEFirmwareType":
            value = f"    PEFirmwareType    REG_DWORD    {FIRMWARE_TYPES[self.firmware]}\r\n"
            return Result(f"\r\n{words[1]}\r\n{value}")
        return Result("ERROR: The system was unable to find the specified registry key.\r\n", 1)

    def _diskpart(self, words: Sequence[str], piped: str) -> Result:
        disks = machine.disks()
        self.report["disks_seen"] = [
            {"disk_id": disk.disk_id, "bus": disk.bus, "size_mib": disk.size_mib} for disk in disks
        ]
        try:
            self.plans = read_script(self.cmd.path(words[1]).read_text(encoding="ascii"), disks)
        except DiskpartError as err:
            return Result(f"DiskPart has encountered an error: {err}\r\n", 1)
        for plan in self.plans:
            apply_plan(plan)
            for one in plan.partitions:
                node = machine.partition_device(plan.disk.device, one.number)
                if one.letter and one.file_system == "NTFS":
                    self._mount(one.letter, node)
        return Result("DiskPart successfully did it all.\r\n")

    def _mount(self, letter: str, node: str) -> None:
        self.cmd.drives[letter] = self._mounts.enter_context(mounted(node))

    def _dism(self, words: Sequence[str], piped: str) -> Result:
        options = {
            name.lower(): value for name, _, value in (word.partition(":") for word in words)
        }
        if "/apply-image" in options:
            return self._apply_image(options)
        if options.get("/image", "").upper() != f"{self._letter}:\\" or self.applied is None:
            return Result("Error: 3\r\n\r\nUnable to access the image.\r\n", 3)
        if "/add-driver" in options:
            folder = self.cmd.path(options["/driver"])
            found = sorted(path.name.lower() for path in folder.rglob("*.inf"))
            self.report["drivers_added"] = found
            return Result(f"{len(found)} drivers\r\n", 0 if found else 2)
        answers = options.get("/apply-unattend")
        return Result(code=0 if answers and self.cmd.path(answers).is_file() else 2)

    @property
    def _letter(self) -> str:
        return self.windows[1].letter or "" if self.windows else ""

    def _apply_image(self, options: Mapping[str, str]) -> Result:
        wim = self.cmd.path(options["/imagefile"])
        target = self.partition(options["/applydir"])
        if not wim.is_file() or target is None:
            return Result("Error: 2\r\n\r\nThe system cannot find the file specified.\r\n", 2)
        index = int(options["/index"])
        chosen = next((one for one in image.read_images(wim) if one.index == index), None)
        if chosen is None:
            return Result("Error: 87\r\n\r\nThe index is not in the image.\r\n", 87)
        others = [path for path in wim.parent.glob("install*.swm") if path != wim]
        parts = tuple(f"--ref={path}" for path in others if "/swmfile" in options)
        plan, partition = target
        # wimlib writes to the partition itself, so nobody else may have it open.
        self._mounts.close()
        node = machine.partition_device(plan.disk.device, partition.number)
        imaging.apply_image(wim, index, node, parts, None)
        for each in self.plans:
            for one in each.partitions:
                if one.letter and one.file_system == "NTFS":
                    self._mount(one.letter, machine.partition_device(each.disk.device, one.number))
        self.windows, self.applied = target, (wim, index, parts)
        self.report["image"] = image.described(chosen)
        return Result("The operation completed successfully.\r\n")

    def _bcdboot(self, words: Sequence[str], piped: str) -> Result:
        """`bcdboot W:\\Windows /s S: /f UEFI`: the loader goes where the firmware looks for it."""
        system = self.partition(words[words.index("/s") + 1])
        uefi = words[words.index("/f") + 1].upper() == "UEFI"
        if self.applied is None or system is None:
            return Result("Failure when attempting to copy boot files.\r\n", 15)
        plan, partition = system
        fits = partition.kind == "EFI" if uefi else partition.active
        if not fits or uefi is not (self.firmware == "uefi"):
            return Result("Failure when initializing library system volume.\r\n", 1)
        wim, index, parts = self.applied
        imaging.make_bootable([str(wim), *parts], index, plan, firmware=self.firmware)
        self.starts = True
        return Result("Boot files successfully created.\r\n")


def _find(words: Sequence[str], piped: str) -> Result:
    lines = [line for line in piped.splitlines() if words[0] in line]
    return Result("".join(f"{line}\r\n" for line in lines), 0 if lines else 1)
