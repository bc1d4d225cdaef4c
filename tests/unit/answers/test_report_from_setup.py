"""The lines that Setup's passes may write: cmd's echo gives frames that both readers take."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from provisioner.guest.protocol import Frame, decode
from tests.standin.setup.serial_report import read_events

GOLDEN = Path(__file__).parents[2] / "golden/answers"
FILES = sorted(GOLDEN.glob("*/Autounattend.xml"))
NAMESPACE = "{urn:schemas-microsoft-com:unattend}"


def commands(path: Path) -> list[str]:
    """RunSynchronous commands of windowsPE and specialize, in file order."""
    tree = ElementTree.parse(path)
    return [
        element.text or ""
        for element in tree.iterfind(f".//{NAMESPACE}RunSynchronousCommand/{NAMESPACE}Path")
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parts[-2])
def test_only_a_virtual_machine_with_a_com1_reports(path: Path) -> None:
    written = [command for command in commands(path) if "COM1" in command]
    if any(word in path.parts[-2] for word in ("metal", "laptop", "arm64")):
        stages = []
    elif "apply" in path.parts[-2]:  # Windows PE is a script's there, which reports by itself
        stages = ["specialize"]
    else:
        stages = ["answers", "specialize"]
    for command, stage in zip(written, stages, strict=True):
        found = re.fullmatch(r"cmd\.exe /d /c echo (.*)>COM1", command)
        assert found is not None
        assert not re.search(r"[%&|<^]", found[1]), "cmd would read these itself"
        echoed = f"{found[1]}\r\n"
        frame = decode(echoed.encode("ascii").strip())
        assert isinstance(frame, Frame)
        assert dict(frame.payload) == {"event": "stage", "stage": stage}
        assert read_events(echoed) == ((1, dict(frame.payload)),)
        assert len(command) <= 255
