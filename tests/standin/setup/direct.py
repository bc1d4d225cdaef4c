"""The direct-kernel guest: protocol, agent and switches, without any installation."""

from __future__ import annotations

import time
from collections.abc import Mapping

from tests.standin.setup import first_logon, machine, offers, services
from tests.standin.setup.outcome import SetupStopped
from tests.standin.setup.screen import Screen
from tests.standin.setup.serial_report import SCRIPT_STAGES, STAGES, SerialReport


def start_direct(serial: SerialReport, screen: Screen, switches: Mapping[str, str]) -> None:
    """Play a guest whose first logon is about to happen.

    Switches: `ready=no` never says ready, `fail=MESSAGE` (blanks as `_`) gives up, `poweroff=1`
    turns off instead of being ready, `agent=no` starts no agent, `hang=STAGE` reports all stages
    up to that one and then does nothing any more, `slow=SECONDS` stays in each of all stages so
    long, `steps=run` carries out the steps of the
    answer disc, `services=rdp,ssh` offers these.
    """
    if "hang" in switches or "slow" in switches:
        _go_through(serial, switches)
    serial.begin("first-boot")
    services.load_all_drivers()
    if "fail" in switches:
        raise SetupStopped(switches["fail"].replace("_", " "))
    serial.begin("first-logon")
    if switches.get("steps") == "run":
        _steps(serial, screen)
    if switches.get("agent") != "no":
        serial.begin("agent")
        services.start_agent()
    services.start_network()
    offers.start(switches.get("services", "").split(","))
    services.publish({"standin": 1, "outcome": "direct", "firmware": machine.firmware()})
    if switches.get("poweroff") == "1":
        print("stand-in for Windows Setup: turning off", flush=True)
        machine.power_off()
    if switches.get("ready") != "no":
        serial.ready()
        screen.add("READY")
    services.idle()


def _go_through(serial: SerialReport, switches: Mapping[str, str]) -> None:
    """Report every stage of an installation that does not happen."""
    script = SCRIPT_STAGES if switches.get("hang") in SCRIPT_STAGES else ()
    for stage in (*STAGES[:-1], *script, STAGES[-1]):
        serial.begin(stage)
        if stage == switches.get("hang"):
            services.idle()
        time.sleep(float(switches.get("slow", "0")))


def _steps(serial: SerialReport, screen: Screen) -> None:
    machine.wait_until(lambda: bool(machine.disks()), 20)
    device = machine.disks()[0].device
    drives = machine.mount_drives()
    memory = first_logon.raw_memory(device)
    first_logon.run_steps(
        drives, memory, lambda memory: first_logon.keep_raw(device, memory), serial, screen
    )
    machine.unmount_drives(drives)
