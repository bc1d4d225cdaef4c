"""`provisioner usb ...` for which loop devices are sticks: `usb_loops NAME=SERIAL,... ARGUMENT...`

With PERSON=UID in the environment as somebody who may not open them. ELEVATE is then what is put
before the helper's own words, in place of sudo; without it there is neither sudo nor udisks.
"""

from __future__ import annotations

import os
import sys

# Those that look unused are loaded before the user changes: only root may look where they lie.
from provisioner.cli.commands import usb_list, usb_restore, usb_verify, usb_write  # noqa: F401
from provisioner.media import inspect  # noqa: F401
from provisioner.usb import checks, raw, raw_bmap, remote  # noqa: F401
from provisioner.usb.devices_sysfs import System
from provisioner.usb.job import Job  # noqa: F401
from provisioner.usb.local import LocalMachine
from tests.unit.cli.usb_program import run

if __name__ == "__main__":
    words = os.environ.get("ELEVATE", "").split()
    here = LocalMachine(
        system=System(allowed_loops=dict(pair.split("=") for pair in sys.argv[1].split(","))),
        bus=None,
        elevate=(words or None) if "PERSON" in os.environ else (),
    )
    if "PERSON" in os.environ:
        # Everything above is imported by now: the interpreter may lie where only root looks.
        person = int(os.environ["PERSON"])
        os.setgroups([])
        os.setresgid(person, person, person)
        os.setresuid(person, person, person)
    sys.exit(run(sys.argv[2:], here))
