"""Whole installations by `provisioner up`, from the stand-in's discs: what Setup was told is what
the profile says. The stand-in was written from the fact sheets and reports what it found.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.integration.canary import leaks_in_files
from tests.integration.home import Done, Home
from tests.integration.leaks import leaks
from tests.standin.setup.serial_report import STAGES, parse_report, read_events

pytestmark = pytest.mark.boot

LONG = 900.0
"""Seconds for a whole installation under emulation on a busy host; about 110 are usual."""

EVERYTHING = """\
kind: machine
name: m1
media:
  install: {install}
  drivers: {drivers}
windows:
  product: windows-11
  edition: Professional
  computer_name: BOOT-PC
  owner: Jane Doe
  organization: Example & Sons
  hardware_checks: bypass
  locale:
    language: en-US
    format: de-DE
    keyboard: de-DE
    timezone: Europe/Berlin
  administrator:
    password: {{env: ADMIN_PASSWORD}}
  users:
    - name: dev
      display_name: Dev <dev@example.org>
      groups: [Administrators, Remote Desktop Users]
      password: {{env: DEV_PASSWORD}}
    - name: guest1
      description: looks only
      password: {{generate: 20}}
  remote: {{rdp: true}}
  firewall: {{open: [file-and-printer-sharing], off: [public]}}
  join: {{workgroup: LAB}}
  dns: {{search: [lab.example]}}
  steps:
    - name: tools folder
      powershell: New-Item C:\\Tools -ItemType Directory
    - name: marker
      cmd: echo done > C:\\done.txt
machine:
  cpus: 2
  memory: 1 GiB
  firmware: uefi
  tpm: true
  disks:
    - size: 64 GiB
    - size: 4 GiB
      partitions:
        - {{use: data, size: 1 GiB, letter: E, label: Logs}}
        - {{use: data, label: Data}}
  networks:
    - mac: "52:54:00:12:34:56"
      addresses: [10.0.2.15/24]
      gateways: [10.0.2.2]
      dns: [10.0.2.3]
  ready: {{when: agent, within: 14 min}}
"""

BARE = """\
kind: machine
name: m1
media:
  install: {install}
windows:
  product: windows-11
  edition: 3
  hardware_checks: bypass
  users:
    - name: dev
      groups: [Administrators]
      password: {{plain: "Passw0rd!"}}
machine:
  cpus: 2
  memory: 1 GiB
  firmware: uefi
  tpm: false
  ready: {{when: serial, within: 14 min}}
"""

AWKWARD = "A1a\"'<&>%PATH%^!|;$(x)`${y}\\*?[]{}#~ äß€z"
"""A password with everything that XML, cmd and PowerShell read as syntax."""


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def report_of(home: Home) -> dict[str, Any]:
    """What the stand-in wrote on the serial port."""
    report = parse_report((home.state / "m1" / "serial.log").read_text(errors="replace"))
    assert report is not None
    return report


def contents(disc: Path, folder: Path) -> dict[str, bytes]:
    """All files of a disc, read by 7z."""
    subprocess.run(["7z", "x", "-y", f"-o{folder}", str(disc)], check=True, capture_output=True)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def matches(planned: str, written: bytes) -> bool:
    """The text that `plan` shows is what is on the disc, but for the secrets it masks."""
    text = written.decode("utf-8-sig").replace("\r\n", "\n")
    pieces = re.split(r"\[secret [^]]+\]", planned.replace("\r\n", "\n"))
    return re.fullmatch("(?s:.+?)".join(map(re.escape, pieces)), text) is not None


def steps_of(done: Done) -> list[str]:
    return [event["text"] for event in done.events if event["event"] == "step" and "text" in event]


def require_timeline(home: Home, report: Mapping[str, Any], done: Done) -> None:
    """The record has what the stand-in says of itself, and what its silence leaves to evidence."""
    folder = home.state / "m1"
    recorded = [json.loads(line) for line in (folder / "timeline.jsonl").read_text().splitlines()]
    said = [event for _, event in read_events((folder / "serial.log").read_text(errors="replace"))]
    stages = [event for event in recorded if event["event"] == "stage"]
    reported = [event["stage"] for event in stages if event["origin"] == "reported"]
    assert reported == [event["stage"] for event in said if event["event"] == "stage"]
    assert reported == [*STAGES[:-1], "steps", STAGES[-1]]
    inferred = [event["stage"] for event in stages if event["origin"] == "inferred"]
    assert inferred[:2] == ["firmware", "boot-disc"]
    found = {event["stage"]: event for event in recorded if event["event"] == "detail"}
    assert found["answers"]["path"] == report["answer_file"]["path"]
    assert found["answers"]["sha256"] == report["answer_file"]["sha256"]
    assert found["disks"]["disks"] == report["disks_seen"]
    assert found["setup-drivers"]["drivers"] == [
        driver["inf"] for driver in report["drivers"] if driver["loaded"]
    ]
    assert found["image"]["image"] == f"{report['image']['index']} {report['image']['name']}"
    progress = [
        event
        for event in recorded
        if event["event"] == "progress" and event["origin"] == "reported"
    ]
    assert progress and {event["stage"] for event in progress} == {"image"}
    assert 0 < progress[0]["done"] <= progress[-1]["done"] == progress[-1]["total"]
    assert [event["origin"] for event in recorded if event["event"] == "reboot"] == ["inferred"]
    assert not [event for event in recorded if event["event"] == "gap"]
    elapsed = [event["elapsed"] for event in recorded]
    assert elapsed == sorted(elapsed)

    pictures = [folder / event["file"] for event in recorded if event["event"] == "screen"]
    assert len(pictures) == len({event["stage"] for event in stages})
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)

    shown = home.json("watch", "m1").events[:-1]
    assert shown == [{k: v for k, v in event.items() if k != "log"} for event in recorded]
    of_up = [event for event in done.events if "origin" in event]
    assert of_up == shown
    learnt = json.loads((home.state / "timings.json").read_text())["keys"].values()
    assert all("image" in run["stages"] for key in learnt for run in key["runs"])


@pytest.mark.xdist_group("boot1")
@pytest.mark.timeout(LONG)
def test_uefi_with_overlay_drivers_agent_and_tpm(home: Home, tmp_path: Path) -> None:
    home.environment |= {"DEV_PASSWORD": AWKWARD, "ADMIN_PASSWORD": "Adm1n & Co"}
    profile = home.profile(text=EVERYTHING)
    planned = home.json("plan", profile).event("plan")
    assert planned["facts"]["boot prompt"] == "removed (overlay, 2 bytes differ)"

    running = home.start("up", profile)
    running.wait_for_step("wait until")
    disc = Path(shutil.copy(home.state / "m1" / "m1-1-answers.iso", tmp_path))
    written = contents(disc, tmp_path / "disc")
    for path, text in planned["answers"].items():
        assert matches(text, written[path]), path
    assert set(planned["answers"]) <= set(written)
    done = running.finish(timeout=LONG)
    assert done.code == 0, done
    assert steps_of(done) == planned["steps"]

    report = report_of(home)
    assert report["outcome"] == "ready"
    assert report["notes"] == []
    assert (report["firmware"], report["secure_boot"], report["tpm"]) == ("uefi", False, True)
    assert report["boot_medium"]["prompted"] is False
    answer_file = hashlib.sha256(written["Autounattend.xml"]).hexdigest()
    assert report["answer_file"]["sha256"] == answer_file
    assert (report["image"]["index"], report["image"]["edition_id"]) == (2, "Professional")
    disk, data = report["disks"]
    assert (disk["bus"], disk["table"], disk["size_mib"]) == ("virtio", "gpt", 64 * 1024)
    assert (data["disk_id"], data["table"]) == (1, "gpt")
    made = [(p["type"], p["filesystem"], p["label"], p["letter"]) for p in data["partitions"]]
    assert made == [("Primary", "NTFS", "Logs", "E"), ("Primary", "NTFS", "Data", None)]
    assert data["partitions"][0]["size_mib"] == 1024
    layout = [(p["type"], p["filesystem"], p["letter"]) for p in disk["partitions"]]
    assert layout == [
        ("EFI", "FAT32", None),
        ("MSR", None, None),
        ("Primary", "NTFS", "C"),
        (disk["partitions"][3]["type"], "NTFS", None),
    ]
    assert [p["size_mib"] for p in disk["partitions"]][:2] == [260, 16]
    assert disk["partitions"][3]["size_mib"] >= 1024
    assert report["install_to"] == {"disk_id": 0, "partition_id": 3}
    assert report["ui_language"] == "en-US"
    assert report["locales"]["user"] == "de-DE"
    assert "0407:00000407" in report["keyboard"] or report["keyboard"] == "de-DE"
    assert report["time_zone"] == "W. Europe Standard Time"
    assert report["computer_name"] == "BOOT-PC"
    assert (report["owner"], report["organization"]) == ("Jane Doe", "Example & Sons")
    generated = home.run("secret", "m1", "guest1").out.strip()
    assert [
        (u["name"], u["groups"], u["display_name"], u["password_sha256"]) for u in report["users"]
    ] == [
        (
            "dev",
            ["Administrators", "Remote Desktop Users"],
            "Dev <dev@example.org>",
            sha256(AWKWARD),
        ),
        ("guest1", ["Users"], report["users"][1]["display_name"], sha256(generated)),
    ]
    assert report["administrator"]["password_sha256"] == sha256("Adm1n & Co")
    assert report["autologon"]["username"] == "dev"
    assert report["rdp"]["enabled"] is True
    assert set(report["bypasses"]) == {"BypassTPMCheck", "BypassSecureBootCheck", "BypassRAMCheck"}
    groups = {group["group"]: group["active"] for group in report["firewall_groups"]}
    assert groups == {"@FirewallAPI.dll,-28752": True, "@FirewallAPI.dll,-28502": True}
    assert (report["firewall_off"], report["join"]) == (["public"], {"workgroup": "LAB"})
    (interface,) = report["network"]["interfaces"]
    assert interface["identifier"] == "52-54-00-12-34-56"
    assert (interface["ipv4_dhcp"], interface["ipv6_dhcp"]) == (False, True)
    assert (interface["addresses"], interface["gateways"]) == (["10.0.2.15/24"], ["10.0.2.2"])
    assert interface["dns"] == ["10.0.2.3"]
    assert report["network"]["dns_search"] == ["lab.example"]
    (command,) = report["first_logon_commands"]
    assert r"provision\machine-m1" in command
    assert report["agent"]["installed"] is True
    loaded = {driver["inf"] for driver in report["drivers"] if driver["loaded"]}
    assert {"viostor.inf", "netkvm.inf"} <= loaded
    require_timeline(home, report, done)

    # Its disk is read while it runs; the cached answers on it hold every password.
    told = home.json("autopsy", "m1", "-o", "bundle").event("autopsy")
    bundle = home.work / "bundle"
    setupact = bundle / "logs/p3/Windows/Panther/setupact.log"
    assert "image 2 Windows 11 Pro applied" in setupact.read_text()
    assert "<ComputerName>BOOT-PC" in (setupact.with_name("unattend.xml")).read_text()
    assert told["verdict"] is None and told["stage"] == "ready"
    assert leaks_in_files(bundle, [AWKWARD, "Adm1n & Co", generated], may_hold=()) == []

    status = home.machine()
    assert (status["phase"], status["state"]) == ("ready", "running")
    assert status["drives"][1]["medium"] is None
    assert not list(home.state.glob("m1/*answers*.iso"))
    home.run("delete", "m1", "--yes")
    assert leaks(home) == []


@pytest.mark.xdist_group("boot2")
@pytest.mark.timeout(LONG)
def test_uefi_with_key_presses_and_no_drivers(home: Home) -> None:
    """A disc without a loader that asks nothing: SATA disk, e1000e, ready on the serial port."""
    profile = home.profile(text=BARE)
    disc = f"install={home.media.prompt_only}"
    done = home.json("up", profile, "--media", disc, timeout=LONG)
    assert any("press a key" in step for step in steps_of(done))
    report = report_of(home)
    assert report["outcome"] == "ready"
    assert report["boot_medium"]["prompted"] is True
    assert (report["image"]["index"], report["disks"][0]["bus"]) == (3, "sata")
    assert report["computer_name"] == "M1"
    assert report["users"][0]["password_sha256"] == sha256("Passw0rd!")
    assert home.machine()["drives"][0]["medium"] == str(home.media.prompt_only)


@pytest.mark.xdist_group("boot1")
@pytest.mark.timeout(LONG)
def test_bios(home: Home) -> None:
    profile = home.profile("machine: {firmware: bios}\n", text=BARE)
    done = home.json("up", profile, timeout=LONG)
    assert any("press a key" in step for step in steps_of(done))
    report = report_of(home)
    assert (report["outcome"], report["firmware"]) == ("ready", "bios")
    (disk,) = report["disks"]
    assert (disk["table"], disk["bus"]) == ("mbr", "sata")
    assert [p["active"] for p in disk["partitions"]].count(True) == 1
    assert [p["letter"] for p in disk["partitions"]].count("C") == 1


@pytest.mark.soak
@pytest.mark.timeout(LONG)
@pytest.mark.parametrize("firmware", ["uefi", "bios"])
def test_a_script_applies_the_image(home: Home, firmware: str) -> None:
    """`install_by: apply` on a virtio disk: the stand-in reads the script of the answer disc and
    does what its diskpart, DISM and bcdboot say; Setup's engine never comes to its turn."""
    profile = home.profile(
        f"windows: {{install_by: apply, edition: Professional}}\n"
        f"machine: {{firmware: {firmware}, disks: [{{size: 64 GiB, bus: virtio}}]}}\n",
        text=BARE,
    )
    done = home.json("up", profile, "--media", f"drivers={home.media.drivers}", timeout=LONG)
    report = report_of(home)
    assert (report["outcome"], report["installed_by"]) == ("ready", "a script")
    assert (report["firmware"], report["notes"]) == (firmware, [])
    assert (report["image"]["index"], report["image"]["edition_id"]) == (2, "Professional")
    (disk,) = report["disks"]
    assert (disk["bus"], disk["table"]) == ("virtio", "gpt" if firmware == "uefi" else "mbr")
    made = [(p["type"], p["filesystem"]) for p in disk["partitions"]]
    start = [("EFI", "FAT32"), ("MSR", None)] if firmware == "uefi" else [("Primary", "NTFS")]
    assert made == [*start, ("Primary", "NTFS"), ("Recovery", "NTFS")]
    windows = report["install_to"]["partition_id"]
    assert disk["partitions"][windows - 1]["label"] == "Windows"
    assert "viostor.inf" in {driver["inf"] for driver in report["drivers"] if driver["loaded"]}
    assert "netkvm.inf" in report["drivers_added"]
    said = [
        e["stage"] for e in done.events if (e["event"], e.get("origin")) == ("stage", "reported")
    ]
    assert said[2:5] == ["disks", "image", "first-boot"]
    assert report["users"][0]["password_sha256"] == sha256("Passw0rd!")


@pytest.mark.xdist_group("boot2")
@pytest.mark.timeout(LONG)
def test_secure_boot(home: Home) -> None:
    """Debian's signed shim under Microsoft's keys; Windows 11's checks are met, not bypassed."""
    profile = home.profile(
        "windows: {hardware_checks: satisfy}\n"
        "machine: {firmware: secure-boot, tpm: true, memory: 4 GiB}\n",
        text=BARE,
    )
    home.json("up", profile, "--media", f"install={home.media.secure_boot}", timeout=LONG)
    report = report_of(home)
    assert report["outcome"] == "ready"
    assert (report["secure_boot"], report["tpm"], report["bypasses"]) == (True, True, [])
    assert report["hardware_missing"] == []


@pytest.mark.xdist_group("boot2")
def test_an_unsigned_disc_under_secure_boot(home: Home) -> None:
    profile = home.profile("machine: {firmware: secure-boot}\n", text=BARE)
    foreseen = home.run("up", profile, expect=2)
    assert "error[media.unsigned-loader]" in foreseen.err
    failed = home.run("up", profile, "--force", expect=6)
    assert "the firmware refused the disc's boot loader" in failed.err
    assert "Security Violation" in failed.err and "machine.firmware: uefi" in failed.err
    assert home.json("list").events == []
