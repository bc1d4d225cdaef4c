"""What runs in the guest once it is set up: drivers, agent, network, report, power button."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.standin.setup import machine
from tests.standin.setup.serial_report import report_lines

AGENT_PORT = "org.qemu.guest_agent.0"
REPORT_FILE = Path("/report.json")


def load_all_drivers() -> None:
    """The image has every driver: what Windows PE loaded was staged into it."""
    machine.wait_until(Path("/run/inbox-loaded").exists, 30)
    for module in sorted(set(machine.DRIVER_MODULES.values())):
        machine.load_modules(module)


def start_agent() -> None:
    """Start the real qemu-guest-agent on its channel, if the machine has one."""
    ports = Path("/dev/virtio-ports")
    ports.mkdir(exist_ok=True)
    for port in Path("/sys/class/virtio-ports").glob("*"):
        name = (port / "name").read_text().strip() if (port / "name").exists() else ""
        if name and not (ports / name).exists():
            (ports / name).symlink_to(f"/dev/{port.name}")
    if not (ports / AGENT_PORT).exists():
        machine.log("there is no channel for the guest agent")
        print("stand-in for Windows Setup: no channel for the guest agent", flush=True)
        return
    options = ["-t", "/run", "-f", "/run/qemu-ga.pid", "-d", "-l", "/tmp/qemu-ga.log"]
    channel = str(ports / AGENT_PORT)
    machine.run(["qemu-ga", "-m", "virtio-serial", "-p", channel, *options], allow_failure=True)


def start_network() -> None:
    """Ask for an address in the background; nobody waits for it."""
    subprocess.run(["ifconfig", "lo", "up"], check=False)
    for interface in sorted(Path("/sys/class/net").iterdir()):
        if interface.name == "lo":
            continue
        subprocess.run(["ifconfig", interface.name, "up"], check=False)
        subprocess.Popen(
            ["udhcpc", "-q", "-t", "5", "-n", "-i", interface.name, "-s", "/etc/udhcpc.script"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def publish(report: Mapping[str, Any]) -> None:
    """The report as a file, for the agent, and on the serial port."""
    REPORT_FILE.write_text(json.dumps(report, indent=1, sort_keys=True) + "\n")
    for line in report_lines(report):
        print(line, flush=True)


def idle() -> None:
    """Wait for the power button, then turn off."""
    machine.wait_for_power_button()
    print("stand-in for Windows Setup: power button pressed", flush=True)
    machine.power_off()
