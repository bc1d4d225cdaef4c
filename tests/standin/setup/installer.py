"""The setup phase: everything until the reboot from the disk (windows-setup.md §2, §3)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.standin.setup import (
    image,
    imaging,
    inf,
    layout,
    machine,
    pe,
    requirements,
    windows_pe,
)
from tests.standin.setup.answers import AnswerFile
from tests.standin.setup.elements import Element
from tests.standin.setup.outcome import SetupStopped, page_shown
from tests.standin.setup.partitioning import apply_plan, move_old_windows
from tests.standin.setup.screen import Screen
from tests.standin.setup.search import Drive, Found, find_answer_file
from tests.standin.setup.serial_report import SerialReport
from tests.standin.setup.settings_check import check_pass

STATE_FILE = "Windows/Panther/standin-state.json"
"""How the setup phase hands its half of the report to the installed system."""


def install(
    serial: SerialReport, screen: Screen, report: dict[str, Any], switches: Mapping[str, str]
) -> None:
    """Play Setup from the media search to the restart."""
    serial.begin("setup")
    screen.add("looking for the installation media")
    drives, media = _find_media()
    report.update(
        firmware=machine.firmware(),
        secure_boot=machine.secure_boot(),
        tpm=Path("/dev/tpm0").exists(),
        memory_mib=machine.memory_mib(),
        boot_medium={"drive": f"{media.letter}:", "prompted": switches.get("prompted") == "yes"},
        drivers=[],
        relabelled=[],
        old_windows=[],
    )
    serial.begin("answers")
    screen.add("looking for an answer file")
    found = _find_answers(drives, media, report)
    serial.detail(path=found.answer.path, sha256=found.answer.sha256)
    setup = found.answer.component("windowsPE", "Setup")
    commands, key = _settings(found.answer, setup, media, report)
    windows_pe_session = pe.WindowsPE(drives, report, firmware=report["firmware"])
    if windows_pe_session.play(commands):
        restart = "Restart"
        windows = _applied(windows_pe_session, screen, report)
    else:
        windows = _engine(found.answer, setup, key, drives, media, serial, screen, report)
        restart = ((setup.value("Restart") if setup else None) or "Restart").strip()
        _leave_panther(windows, found, report)
    imaging.put_file(windows, STATE_FILE, json.dumps(report).encode("ascii"))
    machine.unmount_drives(drives)
    screen.add("restarting from the disk" if restart != "Shutdown" else "turning off")
    print(f"stand-in for Windows Setup: setup is done, {restart.lower()}", flush=True)
    if restart == "Shutdown":
        machine.power_off()
    machine.reboot()


def _settings(
    answer: AnswerFile, setup: Element | None, media: Drive, report: dict[str, Any]
) -> tuple[tuple[windows_pe.Command, ...], str | None]:
    """What windowsPE says but for disks and image: its commands and the product key."""
    report["notes"] += [*answer.notes, *check_pass(answer, "windowsPE")]
    language = windows_pe.read_language(answer, media_languages(media))
    user_data = windows_pe.read_user_data(setup)
    commands = windows_pe.read_commands(setup, "RunSynchronous/RunSynchronousCommand")
    report.update(
        product_key=windows_pe.mask_key(user_data.key),
        ui_language=language.ui_language,
        locales={"system": language.system_locale, "user": language.user_locale},
        keyboard=language.input_locale,
        owner=user_data.full_name,
        organization=user_data.organization,
        windows_pe_commands=[command.line for command in commands],
        bypasses=list(windows_pe.bypasses(commands)),
    )
    return commands, user_data.key


def _applied(session: pe.WindowsPE, screen: Screen, report: dict[str, Any]) -> str:
    """What a script left behind that has put the image on the disk: the partition with Windows."""
    if session.windows is None or not session.starts:
        raise SetupStopped("a command restarted the machine, and no disk of it starts")
    plan, target = session.windows
    report["install_to"] = {"disk_id": plan.disk.disk_id, "partition_id": target.number}
    report["disks"] = [imaging.found_on_disk(each) for each in session.plans]
    report["installed_by"] = "a script"
    screen.add(f"a script has applied image {report['image']['index']}")
    return machine.partition_device(plan.disk.device, target.number)


def _engine(
    answer: AnswerFile,
    setup: Element | None,
    key: str | None,
    drives: Sequence[Drive],
    media: Drive,
    serial: SerialReport,
    screen: Screen,
    report: dict[str, Any],
) -> str:
    """What Setup's own engine does: drivers, disks, image. The partition with Windows."""
    wim, parts = imaging.image_files(media.root / "sources")
    chosen = image.select_image(
        image.read_images(wim), key=key, metadata=windows_pe.read_metadata(setup)
    )
    report["image"] = image.described(chosen)
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
    report["installed_by"] = "Setup"
    screen.add(f"image {chosen.index}, {chosen.name}")
    serial.begin("setup-drivers")
    report["drivers"] = inf.load_drivers(drives, answer, report["notes"])
    serial.detail(drivers=[driver["inf"] for driver in report["drivers"] if driver["loaded"]])

    serial.begin("disks")
    plans, plan, target = _partitions(setup, serial, screen, report)

    serial.begin("image")
    serial.detail(image=f"{chosen.index} {chosen.name}")
    screen.add("applying the image")
    windows = machine.partition_device(plan.disk.device, target.number)
    if target.keeps:
        report["old_windows"] = list(move_old_windows(windows))
    imaging.apply_image(wim, chosen.index, windows, parts, serial)
    imaging.make_bootable([str(wim), *parts], chosen.index, plan, firmware=report["firmware"])
    report["disks"] = [imaging.found_on_disk(each) for each in plans]
    return windows


def _partitions(
    setup: Element | None, serial: SerialReport, screen: Screen, report: dict[str, Any]
) -> tuple[tuple[layout.DiskPlan, ...], layout.DiskPlan, layout.Partition]:
    """The disks as the answers want them, made so: all plans, and where Windows goes."""
    disks = machine.disks()
    report["disks_seen"] = [
        {"disk_id": disk.disk_id, "bus": disk.bus, "size_mib": disk.size_mib} for disk in disks
    ]
    serial.detail(disks=report["disks_seen"])
    configuration = setup.find("DiskConfiguration") if setup else None
    plans = layout.plan_disks(configuration, disks, firmware=report["firmware"])
    report["relabelled"] = layout.relabelled(configuration)
    image_install = setup.find("ImageInstall") if setup else None
    plan, target = layout.install_target(image_install, plans, disks, firmware=report["firmware"])
    report["install_to"] = {"disk_id": plan.disk.disk_id, "partition_id": target.number}
    for each in plans:
        screen.add(f"disk {each.disk.disk_id}: {each.table}, {len(each.partitions)} partitions")
        apply_plan(each)
    return (plans if plan in plans else (*plans, plan)), plan, target


def media_languages(media: Drive) -> tuple[str, ...]:
    """The languages in sources/lang.ini (docs/facts/windows-setup.md §3.1)."""
    text = (media.root / "sources/lang.ini").read_text(encoding="ascii", errors="replace")
    section = re.search(r"\[Available UI Languages\](.*?)(?=\n\[|\Z)", text, re.DOTALL)
    return tuple(re.findall(r"^\s*([A-Za-z-]+)\s*=", section[1], re.MULTILINE)) if section else ()


def _find_media() -> tuple[tuple[Drive, ...], Drive]:
    """Mount all drives once the inbox drivers are loaded, and find the installation media."""
    machine.wait_until(Path("/run/inbox-loaded").exists, 30)
    machine.wait_until(lambda: any(machine.SYS_BLOCK.glob("sr*")), 10)
    machine.wait_for_usb_storage()
    drives = machine.mount_drives()
    for drive in drives:
        if any((drive.root / "sources" / name).is_file() for name in imaging.IMAGES):
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
    }
    for path, content in contents.items():
        imaging.put_file(windows, path, content)
