"""Logs in the form Windows writes them, after docs/facts/windows-setup.md; nothing is Microsoft's.

HEALTHY is what an installation that ends well leaves: no signature may see anything in it.
"""

from __future__ import annotations

from provisioner.autopsy.case import Document, Kind

SETUPACT = """\
2026-11-22 10:00:00, Info                  MOUPG  SetupHost: started
2026-11-22 10:00:01, Info                  UNATTEND Searching for an answer file, implicit search
2026-11-22 10:00:01, Info                  UNATTEND Usable file: [E:\\Autounattend.xml]
2026-11-22 10:00:02, Warning               IBS    EditionID was not in PID.txt [0x80070490]
2026-11-22 10:00:02, Info                  IBS    Product key from the answer file was validated
2026-11-22 10:00:09, Info                  IBS    Disk 0: 4 partitions, format succeeded
2026-11-22 10:00:10, Info                  IBS    Image 6; license terms are accepted
2026-11-22 10:09:31, Info                  IBS    Apply complete, hr = 0x00000000
2026-11-22 10:09:40, Error                 CBS    Failed to get state [HRESULT = 0x80070002]
2026-11-22 10:11:05, Info       [windeploy.exe] Restarting computer, pass specialize is done
2026-11-22 10:14:02, Info       [msoobe.exe] Pass oobeSystem: OOBE finished, password was set
"""

FIRST_LOGON = """\
Windows PowerShell transcript start
Start time: 20261122101503
stage first-logon
step tools exited 0
step 'runtime' exited 0
stage cleanup
winget v1.9 is there
"""

SERIAL = """\
BdsDxe: loading Boot0001 "UEFI QEMU DVD-ROM QM00003 " from PciRoot(0x0)/Pci(0x1F,0x2)
BdsDxe: starting Boot0001 "UEFI QEMU DVD-ROM QM00003 " from PciRoot(0x0)/Pci(0x1F,0x2)
VBLK: viostor noise on COM1
"""

SYSPREP = "2026-11-22 10:20:00, Info SYSPRP Successfully generalized\n"

HEALTHY = {
    Kind.SETUP: SETUPACT,
    Kind.SYSPREP: SYSPREP,
    Kind.STEPS: FIRST_LOGON,
    Kind.SERIAL: SERIAL,
    Kind.JOIN: "11/22/2026 10:15:02:711 NetpDoJoin: status: 0x0\n",
    Kind.STATE: "[State]\nImageState=IMAGE_STATE_COMPLETE\n",
    Kind.SCREEN: "Recycle Bin\nMicrosoft Edge\n10:21\nInstalling Windows 43%\nYour PC will restart",
    Kind.EVENT: "domain state: running\nrunning step tools\nwarning cleanup: a file is in use\n",
    Kind.DRIVERS: ">>>  [Device Install - viostor.inf]\n<<<  [Exit status: SUCCESS]\n",
}


def documents(**changed: str) -> list[Document]:
    """All of HEALTHY, with a text put into the middle of those that are named by their kind."""
    found = []
    for kind, text in HEALTHY.items():
        lines = text.splitlines()
        if kind.value in changed:
            lines.insert(max(1, len(lines) - 1), changed[kind.value])
        found.append(
            Document(kind=kind, name=f"{kind.value}.log", origin="a test", text="\n".join(lines))
        )
    return found
