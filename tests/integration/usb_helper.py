"""The elevated helper, for which one loop device is a stick: `usb_helper NAME SERIAL`."""

from __future__ import annotations

import sys

from provisioner.usb.devices_sysfs import System
from provisioner.usb.helper import main
from provisioner.usb.local import LocalMachine

if __name__ == "__main__":
    here = LocalMachine(
        system=System(allowed_loops=dict([sys.argv[1:3]])) if len(sys.argv) > 2 else System(),
        elevate=(),
        bus=None,
    )
    main(here)
