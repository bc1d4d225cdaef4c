"""Records what a host sees of a whole installation: byte counters, restarts, the serial line.

`python -m tests.boot.traces uefi bios` rewrites `tests/unit/guest/traces`, by which the inference
is tested. What the guest reports is in a trace too, as the truth to compare with.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from provisioner.guest.firmware import boot_attempt
from provisioner.guest.protocol import Decoder, Frame
from provisioner.host.connect import root_of
from provisioner.host.domain_xml import disk_targets
from provisioner.host.keeper_client import KeptHypervisor
from provisioner.ports import Accelerator
from tests.boot.test_installs import BARE
from tests.integration.home import Home, Running, discard, short_folder
from tests.integration.places import REPOSITORY
from tests.standin.build import build_media

FOLDER = REPOSITORY / "tests/unit/guest/traces"
PACE = 1.0


def record(firmware: str) -> list[list[Any]]:
    """`[seconds, "bytes", disc read, disk read, disk written]`, `[seconds, "restarts", count]`,
    `[seconds, "boot", line]` and `[seconds, "stage", stage]`, each where something has changed."""
    folder = short_folder()
    home = Home(folder=folder, media=build_media(REPOSITORY / "build" / "standin"))
    try:
        profile = home.profile(f"machine: {{firmware: {firmware}}}\n", text=BARE)
        running = home.start("up", profile)
        running.wait_for(lambda event: event["event"] == "started")
        trace = _follow(home, running)
        assert running.finish().code == 0
        home.delete_everything()
        return trace
    finally:
        discard(folder)


def _follow(home: Home, running: Running) -> list[list[Any]]:
    folder = home.state / "m1"
    hypervisor = KeptHypervisor(
        root_of(home.embed, folder, "m1"),
        folder=folder,
        cache=home.temporary,
        probe=lambda: Accelerator(kvm=False),
    )
    discs = [drive.target for drive in hypervisor.drives("m1")]
    disks = [target for target in disk_targets(hypervisor.domain_xml("m1")) if target not in discs]
    decoder, position = Decoder(), 0
    trace: list[list[Any]] = []
    before: dict[str, Any] = {}
    began = time.monotonic()
    while running.process.poll() is None:
        now = round(time.monotonic() - began)
        with (folder / "serial.log").open("rb") as log:
            log.seek(position)
            data = log.read()
        position += len(data)
        for item in decoder.feed(data):
            if isinstance(item, Frame):
                if item.event in ("stage", "ready"):
                    trace.append([now, "stage", item.text("stage") or item.event])
            elif boot_attempt(item.text):
                trace.append([now, "boot", item.text])
        discs_now = [hypervisor.block_counters("m1", target) for target in discs]
        disks_now = [hypervisor.block_counters("m1", target) for target in disks]
        seen = {
            "bytes": [
                sum(c.read_bytes for c in discs_now),
                sum(c.read_bytes for c in disks_now),
                sum(c.written_bytes for c in disks_now),
            ],
            "restarts": [hypervisor.restarts("m1")],
        }
        trace += [[now, kind, *new] for kind, new in seen.items() if before.get(kind) != new]
        before = seen
        time.sleep(PACE)
    hypervisor.close()
    return trace


def main(names: list[str]) -> None:
    """One file for each firmware."""
    FOLDER.mkdir(exist_ok=True)
    for firmware in names:
        lines = ",\n".join(json.dumps(entry) for entry in record(firmware))
        Path(FOLDER, f"{firmware}.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main(sys.argv[1:])
