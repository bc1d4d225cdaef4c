"""The setup phase: everything until the reboot from the disk (windows-setup.md §2, §3)."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.standin.setup import image, layout, machine, requirements, windows_pe
from tests.standin.setup.answers import AnswerFile
from tests.standin.setup.outcome import SetupStopped, page_shown
from tests.standin.setup.partition_table import read_table
from tests.standin.setup.partitioning import apply_plan
from tests.standin.setup.screen import Screen
from tests.standin.setup.search import Drive, Found, find_answer_file
from tests.standin.setup.serial_report import SerialReport
from tests.standin.setup.settings_check import check_pass

STATE_FILE = "Windows/Panther/standin-state.json"
"""How the setup phase hands its half of the report to the installed system."""
PROGRESS = re.compile(rb"(\d+) MiB of (\d+) MiB")
IMAGES = ("install.wim", "install.swm")
BIOS_BOOT_CODE = Path("/grub/boot.img")


def install(
    serial: SerialReport, screen: Screen, report: dict[str, Any], switches: Mapping[str, str]
) -> None:
    """Play Setup from the media search to the restart."""
    serial.begin("setup")
    screen.add("looking for the installation media")
    drives, media = _find_media()
    firmware = machine.firmware()
    report.update(
        firmware=firmware,
        secure_boot=machine.secure_boot(),
        tpm=Path("/dev/tpm0").exists(),
        memory_mib=machine.memory_mib(),
        boot_medium={"drive": f"{media.letter}:", "prompted": switches.get("prompted") == "yes"},
    )

    serial.begin("answers")
    screen.add("looking for an answer file")
    found = _find_answers(drives, media, report)
    answer = found.answer
    serial.detail(path=answer.path, sha256=answer.sha256)
    report["notes"] += [*answer.notes, *check_pass(answer, "windowsPE")]
    language = windows_pe.read_language(answer, media_languages(media))
    setup = answer.component("windowsPE", "Setup")
    user_data = windows_pe.read_user_data(setup)
    report["product_key"] = windows_pe.mask_key(user_data.key)
    commands = windows_pe.read_commands(setup, "RunSynchronous/RunSynchronousCommand")
    report.update(
        ui_language=language.ui_language,
        locales={"system": language.system_locale, "user": language.user_locale},
        keyboard=language.input_locale,
        owner=user_data.full_name,
        organization=user_data.organization,
        windows_pe_commands=[command.line for command in commands],
        bypasses=list(windows_pe.bypasses(commands)),
    )
    wim, parts = image_files(media.root / "sources")
    chosen = image.select_image(
        image.read_images(wim), key=user_data.key, metadata=windows_pe.read_metadata(setup)
    )
    report["image"] = {
        "index": chosen.index,
        "name": chosen.name,
        "edition_id": chosen.edition_id,
        "build": chosen.build,
        "architecture": chosen.architecture,
    }
    # Reported and not demanded: most machines of the tests are smaller than any Windows 11 takes.
    report["hardware_missing"] = list(
        requirements.missing_hardware(
            requirements.Hardware(
                tpm=report["tpm"],
                secure_boot=report["secure_boot"],
                memory_mib=report["memory_mib"],
            ),
            build=int(chosen.build),
            server=False,
            bypasses=report["bypasses"],
        )
    )
    screen.add(f"image {chosen.index}, {chosen.name}")
    serial.begin("setup-drivers")
    report["drivers"] = load_drivers(drives, answer, report["notes"])
    serial.detail(drivers=[driver["inf"] for driver in report["drivers"] if driver["loaded"]])

    serial.begin("disks")
    disks = machine.disks()
    report["disks_seen"] = [
        {"disk_id": disk.disk_id, "bus": disk.bus, "size_mib": disk.size_mib} for disk in disks
    ]
    serial.detail(disks=report["disks_seen"])
    configuration = setup.find("DiskConfiguration") if setup else None
    plans = layout.plan_disks(configuration, disks, firmware=firmware)
    report["relabelled"] = layout.relabelled(configuration)
    image_install = setup.find("ImageInstall") if setup else None
    plan, target = layout.install_target(image_install, plans, firmware=firmware)
    report["install_to"] = {"disk_id": plan.disk.disk_id, "partition_id": target.number}
    for each in plans:
        screen.add(f"disk {each.disk.disk_id}: {each.table}, {len(each.partitions)} partitions")
        apply_plan(each)

    serial.begin("image")
    serial.detail(image=f"{chosen.index} {chosen.name}")
    screen.add("applying the image")
    windows = machine.partition_device(plan.disk.device, target.number)
    _apply(wim, chosen.index, windows, parts, serial)
    _make_bootable([str(wim), *parts], chosen.index, plan, firmware=firmware)
    report["disks"] = [_found_on_disk(each) for each in plans]
    restart = (setup.value("Restart") if setup else None) or "Restart"
    _leave_panther(windows, found, report)
    machine.unmount_drives(drives)
    screen.add("restarting from the disk" if restart != "Shutdown" else "turning off")
    print(f"stand-in for Windows Setup: setup is done, {restart.lower()}", flush=True)
    if restart.strip() == "Shutdown":
        machine.power_off()
    machine.reboot()


def media_languages(media: Drive) -> tuple[str, ...]:
    """The languages in sources/lang.ini (docs/facts/windows-setup.md §3.1)."""
    text = (media.root / "sources/lang.ini").read_text(encoding="ascii", errors="replace")
    section = re.search(r"\[Available UI Languages\](.*?)(?=\n\[|\Z)", text, re.DOTALL)
    return tuple(re.findall(r"^\s*([A-Za-z-]+)\s*=", section[1], re.MULTILINE)) if section else ()


def load_drivers(
    drives: Sequence[Drive], answer: AnswerFile, notes: list[str]
) -> list[dict[str, Any]]:
    """Find INFs below $WinPEDriver$ of any medium and below DriverPaths; load what they stand for.

    This happens after RunSynchronous and before the disks are looked at (facts §3.8, §3.9).
    """
    folders = [
        (drive, child)
        for drive in drives
        for child in sorted(drive.root.iterdir())
        if child.name.lower() == "$winpedriver$" and child.is_dir()
    ]
    letters = {drive.letter: drive for drive in drives}
    component = answer.component("windowsPE", "PnpCustomizationsWinPE")
    for path in windows_pe.read_driver_paths(component):
        letter, _, rest = path.partition(":")
        drive = letters.get(letter.upper())
        folder = _below(drive.root, rest) if drive else None
        if drive is None or folder is None:
            notes.append(f"DriverPaths: {path} does not exist")
        else:
            folders.append((drive, folder))
    found = []
    for drive, folder in folders:
        infs = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() == ".inf"]
        found += [_driver(drive, inf) for inf in infs]
    modules = {
        machine.DRIVER_MODULES[driver["inf"]]
        for driver in found
        if driver["loaded"] and driver["inf"] in machine.DRIVER_MODULES
    }
    for module in sorted(modules):
        machine.load_modules(module)
    return found


def _driver(drive: Drive, path: Path) -> dict[str, Any]:
    """Describe one INF; a dummy names its system and architecture, a real one is taken as is."""
    text = path.read_bytes().decode("latin-1").replace("\0", "")
    marked = re.search(r"; standin-driver: (\S+) (\S+) (\S+)", text)
    architecture = marked[3] if marked else None
    return {
        "inf": path.name.lower(),
        "path": f"{drive.letter}:\\" + str(path.relative_to(drive.root)).replace("/", "\\"),
        "system": marked[2] if marked else None,
        "architecture": architecture,
        "loaded": architecture in {None, "amd64"},
    }


def _below(root: Path, windows_path: str) -> Path | None:
    folder = root
    for part in windows_path.strip("\\").split("\\"):
        if part:
            children = [child for child in folder.iterdir() if child.name.lower() == part.lower()]
            if not children or not children[0].is_dir():
                return None
            folder = children[0]
    return folder


def _find_media() -> tuple[tuple[Drive, ...], Drive]:
    """Mount all drives once the inbox drivers are loaded, and find the installation media."""
    machine.wait_until(Path("/run/inbox-loaded").exists, 30)
    machine.wait_until(lambda: any(machine.SYS_BLOCK.glob("sr*")), 10)
    machine.wait_for_usb_storage()
    drives = machine.mount_drives()
    for drive in drives:
        if any((drive.root / "sources" / name).is_file() for name in IMAGES):
            return drives, drive
    raise SetupStopped("no installation media found: no drive holds sources\\install.wim")


def _find_answers(drives: tuple[Drive, ...], media: Drive, report: dict[str, Any]) -> Found:
    found, notes = find_answer_file("windowsPE", drives, distribution=media)
    report["notes"] += notes
    for note in notes:
        machine.log(note)
    if found is None:
        reason = "; ".join(notes) or "no drive has an Autounattend.xml in its root"
        raise page_shown("language", f"no answer file is used ({reason})")
    report["answer_file"] = {"path": found.answer.path, "sha256": found.answer.sha256}
    return found


def _apply(wim: Path, index: int, windows: str, parts: Sequence[str], serial: SerialReport) -> None:
    """Apply an image, and report every tenth of it as wimlib counts."""
    argv = ["wimlib-imagex", "apply", str(wim), str(index), windows, *parts]
    tenths, line = 0, b""
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        while piece := process.stdout.read1(4096):
            line = (line + piece)[-400:]
            for done, total in PROGRESS.findall(line):
                if 10 * int(done) // max(1, int(total)) > tenths:
                    tenths = 10 * int(done) // int(total)
                    serial.progress(int(done) * 2**20, int(total) * 2**20)
    machine.log(f"$ {' '.join(argv)} -> {process.returncode}\n{line.decode(errors='replace')}")
    if process.returncode:
        raise SetupStopped(f"wimlib-imagex failed with {process.returncode}")


def image_files(sources: Path) -> tuple[Path, tuple[str, ...]]:
    """The image, and how wimlib is told of the other parts: Setup finds them by their names
    (docs/facts/iso-usb.md §2.4)."""
    wim = next(path for name in IMAGES if (path := sources / name).is_file())
    parts = sorted(path for path in sources.glob("install*.swm") if path != wim)
    return wim, tuple(f"--ref={path}" for path in parts)


def _make_bootable(wim: Sequence[str], index: int, plan: layout.DiskPlan, *, firmware: str) -> None:
    """What bcdboot does: put the image's boot loader where the firmware looks for it."""
    boot = Path("/tmp/boot")
    boot.mkdir(exist_ok=True)
    machine.run(
        [
            "wimlib-imagex",
            "extract",
            wim[0],
            str(index),
            *wim[1:],
            "/Windows/Boot",
            f"--dest-dir={boot}",
        ]
    )
    boot = boot / "Boot"
    if firmware == "bios":
        device = Path(f"/dev/{plan.disk.device}")
        with device.open("r+b") as stream:
            stream.write(BIOS_BOOT_CODE.read_bytes()[:440])
            stream.seek(512)
            stream.write((boot / "PCAT/core.img").read_bytes())
            stream.flush()
            os.fsync(stream.fileno())
        return
    number = next(p.number for p in plan.partitions if p.kind == "EFI")
    esp = Path("/mnt/esp")
    esp.mkdir(parents=True, exist_ok=True)
    machine.run(
        ["mount", "-t", "vfat", machine.partition_device(plan.disk.device, number), str(esp)]
    )
    for folder, name in (("EFI/Boot", "bootx64.efi"), ("EFI/Microsoft/Boot", "bootmgfw.efi")):
        (esp / folder).mkdir(parents=True, exist_ok=True)
        for loader in (boot / "EFI").iterdir():
            target = name if loader.name == "bootmgfw.efi" else loader.name
            (esp / folder / target).write_bytes(loader.read_bytes())
    if (boot / "ESP").is_dir():
        machine.run(["cp", "-r", *map(str, (boot / "ESP").iterdir()), str(esp)])
    machine.run(["umount", str(esp)])


def _found_on_disk(plan: layout.DiskPlan) -> dict[str, Any]:
    os.sync()
    with Path(f"/dev/{plan.disk.device}").open("rb") as stream:
        table, partitions = read_table(stream)
    letters = {partition.number: partition.letter for partition in plan.partitions}
    return {
        "disk_id": plan.disk.disk_id,
        "device": plan.disk.device,
        "bus": plan.disk.bus,
        "size_mib": plan.disk.size_mib,
        "table": table,
        "partitions": [
            {
                "number": p.number,
                "type": p.kind,
                "type_id": p.type_id,
                "start_mib": p.start_mib,
                "size_mib": p.size_mib,
                "filesystem": p.file_system,
                "label": p.label,
                "letter": letters.get(p.number),
                "active": p.active,
            }
            for p in partitions
        ],
    }


def _leave_panther(windows: str, found: Found, report: dict[str, Any]) -> None:
    """Cache the answer file and leave logs below Windows\\Panther (facts §2.2, §9)."""
    steps = "".join(
        f"2026-01-01 00:00:00, Info                  SETUP  stand-in for Windows Setup: {line}\r\n"
        for line in (
            f"answer file {found.answer.path}",
            f"image {report['image']['index']} {report['image']['name']} applied",
            "restarting from the disk",
        )
    )
    contents = {
        "Windows/Panther/unattend.xml": found.data,
        "Windows/Panther/unattend-original.xml": found.data,
        "Windows/Panther/setupact.log": steps.encode(),
        STATE_FILE: json.dumps(report).encode("ascii"),
    }
    for path, content in contents.items():
        put_file(windows, path, content)


def put_file(windows: str, path: str, content: bytes) -> None:
    """Write a file onto the NTFS partition; its folder must be there."""
    local = Path("/tmp/content")
    local.write_bytes(content)
    machine.run(["ntfscp", "-q", windows, str(local), path])
