"""Starts the phase the kernel command line names: setup, installed or direct.

Whatever stops a phase is said on the serial port in both forms, the protocol's `failed` and a
plain line starting with FAILED, then the machine is turned off.
"""

from __future__ import annotations

import traceback
from typing import Any

from tests.standin.setup import machine
from tests.standin.setup.outcome import SetupStopped
from tests.standin.setup.screen import Screen
from tests.standin.setup.serial_report import SerialReport, report_lines

SUBTITLES = {
    "setup": "Setting up",
    "installed": "Starting the installed system",
    "direct": "Direct-kernel guest",
}


def main() -> None:
    """Run; returns only in tests of broken machines, since every phase ends in idling or power."""
    switches = machine.kernel_switches()
    phase = switches.get("phase", "direct")
    serial = SerialReport(write=_print, stage="setup" if phase == "setup" else "first-boot")
    screen = Screen(subtitle=SUBTITLES.get(phase, phase))
    report: dict[str, Any] = {"standin": 1, "outcome": "running", "notes": []}
    try:
        match phase:
            # Imported here: an emulated machine needs a second for all of them.
            case "setup":
                from tests.standin.setup import installer

                installer.install(serial, screen, report, switches)
            case "installed":
                from tests.standin.setup import installed

                installed.start(serial, screen, report)
            case _:
                from tests.standin.setup.direct import start_direct

                start_direct(serial, screen, switches)
    except SetupStopped as stop:
        fail(serial, screen, report, str(stop))
    except Exception:
        # The door to the outside: nobody could see a traceback anywhere else.
        machine.log(traceback.format_exc())
        fail(serial, screen, report, "the stand-in itself has a bug, see the log above")


def fail(serial: SerialReport, screen: Screen, report: dict[str, Any], message: str) -> None:
    """Say it everywhere and turn the machine off."""
    report.update(outcome="failed", failure={"stage": serial.stage, "message": message})
    if machine.LOG.exists():
        for line in machine.LOG.read_text().splitlines()[-25:]:
            _print(f"LOG {line}\n")
    for line in report_lines(report):
        _print(line + "\n")
    serial.failed(message)
    _print(f"FAILED stand-in for Windows Setup, {serial.stage}: {message}\n")
    screen.add("")
    screen.add(f"FAILED: {message}")
    machine.power_off()


def _print(text: str) -> None:
    print(text, end="", flush=True)


if __name__ == "__main__":
    main()
