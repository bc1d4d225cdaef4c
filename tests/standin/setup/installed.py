"""The installed system: specialize, oobeSystem, first logon, guest agent, ready, idle.

It plays what Windows would do with the answer file; commands are logged, not run, since there is
neither cmd nor PowerShell here. The steps of the answer disc are carried out with simulated
programs.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.standin.setup import first_logon, machine, offers, services
from tests.standin.setup.imaging import put_file
from tests.standin.setup.installer import STATE_FILE
from tests.standin.setup.oobe import Experience, out_of_box
from tests.standin.setup.outcome import SetupStopped
from tests.standin.setup.passwords import REDACTED, fingerprint
from tests.standin.setup.screen import Screen
from tests.standin.setup.search import Drive, Found, find_answer_file
from tests.standin.setup.serial_report import SerialReport
from tests.standin.setup.settings_check import check_pass
from tests.standin.setup.specialize import Identity, specialize

CACHED = ("Windows/Panther/Unattend/unattend.xml", "Windows/Panther/unattend.xml")
"""Copies on the disk in the order of their rank (windows-setup.md §2.1, rows 2 and 3)."""
AGENT_INSTALLER = "qemu-ga-x86_64.msi"


def start(serial: SerialReport, screen: Screen, report: dict[str, Any]) -> None:
    """Play a start of the installed system, then idle until the power button."""
    screen.add("looking for the Windows partition")
    services.load_all_drivers()
    windows, state = _find_windows()
    report.update(state)
    match report["outcome"]:
        case "running":
            serial.begin("first-boot")
            drives = machine.mount_drives()
            experience = _set_up(windows, drives, serial, screen, report)
            logs_on = experience.auto_logon is not None
            commands = bool(experience.first_logon_commands)
            for command in experience.first_logon_commands if logs_on else ():
                machine.log(f"would run: {command.line}")
                print(f"stand-in would run: {command.line}", flush=True)
        case "first-logon":
            # A restart among the steps: the runner has held the automatic logon open.
            serial.begin("first-boot")
            drives = machine.mount_drives()
            logs_on = commands = True
        case _:
            _start_again(screen, report)
            return
    if logs_on:
        serial.begin("first-logon")
        screen.add(f"first logon of {report['autologon']['username']}")
        if commands:
            _steps(windows, drives, serial, screen, report)
    machine.unmount_drives(drives)
    _finish(windows, serial, screen, report, ready=logs_on and commands)


def _set_up(
    windows: str,
    drives: Sequence[Drive],
    serial: SerialReport,
    screen: Screen,
    report: dict[str, Any],
) -> Experience:
    """The passes specialize and oobeSystem."""
    serial.begin("specialize")
    found = _answers("specialize", windows, drives, report)
    identity = specialize(
        found.answer,
        full_name=report["owner"],
        organization=report["organization"],
        edition_id=report["image"]["edition_id"],
    )
    _report_identity(report, identity)
    screen.add(f"computer name {identity.computer_name}")
    subprocess.run(["hostname", identity.computer_name], check=False)

    serial.begin("oobe")
    found = _answers("oobeSystem", windows, drives, report)
    experience = out_of_box(found.answer, computer_name=identity.computer_name)
    _report_experience(report, experience)
    for account in experience.accounts:
        screen.add(f"account {account.name}")
    _remove_sensitive_data(windows)
    report["agent"] = _agent_choice(report, drives)
    return experience


def _steps(
    windows: str,
    drives: Sequence[Drive],
    serial: SerialReport,
    screen: Screen,
    report: dict[str, Any],
) -> None:
    """What the one command of the first logon does with the steps, as far as it can be played."""

    def remember(memory: dict[str, Any]) -> None:
        report.update(outcome="first-logon", memory=memory)
        put_file(windows, STATE_FILE, json.dumps(report).encode("ascii"))

    first_logon.run_steps(drives, report.get("memory", {}), remember, serial, screen)
    report.pop("memory", None)


def _finish(
    windows: str, serial: SerialReport, screen: Screen, report: dict[str, Any], *, ready: bool
) -> None:
    if report["agent"]["installed"]:
        serial.begin("agent")
        services.start_agent()
    services.start_network()
    offers.start(["rdp"] if report["rdp"]["enabled"] else [])
    report["outcome"] = "ready" if ready else "idle"
    put_file(windows, STATE_FILE, json.dumps(report).encode("ascii"))
    services.publish(report)
    if ready:
        serial.ready()
        screen.add("")
        screen.add("READY")
    else:
        # Only a first-logon command could have said so in Windows.
        print("stand-in for Windows Setup: idle, nobody reports ready", flush=True)
        screen.add("idle: no first-logon command reports ready")
    services.idle()


def redacted(text: str) -> str:
    """Replace passwords and product keys as Setup does in its cached copy (facts §11)."""
    pattern = (
        r"(<(?P<holder>(?:\w+:)?\w*(?:Password|Credentials))>(?:(?!</(?P=holder)>).)*?"
        r"<(?P<value>(?:\w+:)?(?:Value|Password))>)[^<]*(?P<end></(?P=value)>)"
    )
    text = re.sub(pattern, rf"\g<1>{REDACTED}\g<end>", text, flags=re.DOTALL)
    text = re.sub(
        r"(<(?:\w+:)?AccountData>)[^<]*(</)", rf"\g<1>{REDACTED}\g<2>", text, flags=re.DOTALL
    )
    return re.sub(r"(<(?:\w+:)?(?:Product)?Key>)[A-Z0-9-]{29}(</)", rf"\g<1>{REDACTED}\g<2>", text)


def _start_again(screen: Screen, report: dict[str, Any]) -> None:
    """Every start after the first: nothing is left to set up, and nobody reports to the host."""
    print("stand-in for Windows Setup: started again", flush=True)
    screen.add(f"started again as {report['computer_name']}")
    subprocess.run(["hostname", report["computer_name"]], check=False)
    if report["agent"]["installed"]:
        services.start_agent()
    services.start_network()
    offers.start(["rdp"] if report["rdp"]["enabled"] else [])
    services.publish(report)
    services.idle()


def _find_windows() -> tuple[str, dict[str, Any]]:
    """The partition with the state that the setup phase left, and that state."""
    nodes = [
        machine.partition_device(disk.device, partition.number)
        for disk in machine.disks()
        for partition in disk.existing
    ]
    for node in nodes:
        with Path(node).open("rb") as stream:
            if stream.read(11)[3:11] != b"NTFS    ":
                continue
        content = machine.run(["ntfscat", node, STATE_FILE], allow_failure=True)
        if content:
            return node, dict(json.loads(content))
    raise SetupStopped("no NTFS partition holds a system that was set up")


def _answers(
    pass_name: str, windows: str, drives: Sequence[Drive], report: dict[str, Any]
) -> Found:
    """Search again for this pass: the cached copy outranks every disc (facts §2.1)."""
    cached = []
    for path in CACHED:
        content = machine.run(["ntfscat", windows, path], allow_failure=True)
        if content:
            cached.append(("C:\\" + path.replace("/", "\\"), content))
    found, notes = find_answer_file(pass_name, drives, cached=cached)
    report["notes"] += [f"{pass_name}: {note}" for note in notes]
    if found is None:
        raise SetupStopped(f"no answer file has settings for pass {pass_name}; OOBE asks a person")
    report["notes"] += check_pass(found.answer, pass_name)
    return found


def _report_identity(report: dict[str, Any], identity: Identity) -> None:
    report.update(
        computer_name=identity.computer_name,
        time_zone=identity.time_zone,
        owner=identity.owner,
        organization=identity.organization,
        rdp=identity.rdp,
        firewall_groups=list(identity.firewall_groups),
        device_encryption_prevented=identity.prevent_device_encryption,
        firewall_off=list(identity.firewall_off),
        network={
            "interfaces": list(identity.network.interfaces),
            "dns_domain": identity.network.dns_domain,
            "dns_search": list(identity.network.dns_search),
        },
        join=identity.join,
        specialize_commands=[command.line for command in identity.commands],
    )


def _report_experience(report: dict[str, Any], experience: Experience) -> None:
    auto_logon = experience.auto_logon
    password = experience.administrator_password
    report["notes"] += experience.notes
    report.update(
        users=[
            {
                "name": account.name,
                "groups": list(account.groups),
                "display_name": account.display_name,
                "description": account.description,
                "password_sha256": fingerprint(account.password),
            }
            for account in experience.accounts
        ],
        administrator={"password_sha256": None if password is None else fingerprint(password)},
        autologon=None
        if auto_logon is None
        else {"username": auto_logon.username, "count": auto_logon.count},
        international=experience.international,
        first_logon_commands=[command.line for command in experience.first_logon_commands],
    )


def _remove_sensitive_data(windows: str) -> None:
    text = machine.run(["ntfscat", windows, CACHED[-1]]).decode("ascii")
    put_file(windows, CACHED[-1], redacted(text).encode("ascii"))


def _agent_choice(report: Mapping[str, Any], drives: Sequence[Drive]) -> dict[str, Any]:
    """Whether Windows would have an agent now: its channel's driver, or the installer on a disc."""
    drivers = report.get("drivers", [])
    driver = any(item["inf"] == "vioser.inf" and item["loaded"] for item in drivers)
    installers = [
        f"{drive.letter}:\\" + str(path.relative_to(drive.root)).replace("/", "\\")
        for drive in drives
        for path in sorted(drive.root.rglob("*"))
        if path.name.lower() == AGENT_INSTALLER
    ]
    return {
        "installed": driver or bool(installers),
        "vioserial_driver": driver,
        "installer": installers[0] if installers else None,
    }
