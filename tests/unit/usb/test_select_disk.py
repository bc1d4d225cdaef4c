"""The batch file that finds the disk in Windows PE, run by Wine's cmd with a made-up diskpart."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import tree_sitter_batch
from tree_sitter import Language, Parser

from provisioner.profile.metal import Metal
from provisioner.resources import shipped_folder
from provisioner.templating import Templates
from provisioner.usb.answers import _script_context
from tests.unit.usb.windows_pe import LANGUAGES, FakeDisk, WindowsPE

pytestmark = pytest.mark.xdist_group("select-disk")  # one prefix for all

LABEL = "PV-12345678"
STICK = FakeDisk(model="SanDisk Ultra", bus="USB", gib=57, serial="4C53", volume=LABEL)
NVME = FakeDisk(
    model="Samsung SSD 970 EVO Plus 500GB",
    bus="NVMe",
    path="PCIROOT(0)#PCI(1D00)#PCI(0000)#NVME(P00T00L00)",
    gib=465,
    serial="S4EVNX0R",
)
SATA = FakeDisk(
    model="ST2000DM008", bus="SATA", path="PCIROOT(0)#PCI(1700)#ATA(C01T00L00)", gib=1863
)
LARGE = FakeDisk(model="WDC WD120", bus="SATA", tib=10, serial="S4EVNX0R2")


@pytest.fixture(scope="module")
def pe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WindowsPE]:
    folder = tmp_path_factory.mktemp("pe")
    yield WindowsPE(folder)
    shutil.rmtree(folder)  # several hundred megabytes


def stick(folder: Path, disk: object) -> Path:
    """What of the stick the script looks at."""
    root = folder / "stick"
    (root / "provision/disk").mkdir(parents=True)
    metal = Metal.model_validate_json(json.dumps({"disk": disk, "wipe": True}))
    templates = Templates([shipped_folder() / "templates"])
    script = templates.render(
        "windows/scripts/select-disk.cmd.j2", _script_context(metal, LABEL)
    ).text
    (root / "provision/disk/select-disk.cmd").write_text(script, newline="\r\n")
    (root / "provision/disk/ask.xml").write_text("asks")
    (root / "Autounattend.xml").write_text("asks")
    for one in range(4):
        for other in range(4):
            if one != other:
                (root / f"provision/disk/{one}-{other}.xml").write_text(f"wipes {one}-{other}")
    return root


FOUND = (
    ("en", {"model": "samsung ssd 970", "bus": "nvme", "size": "500 GB"}, (SATA, NVME, STICK)),
    ("de", {"serial": "s4evnx0r"}, (LARGE, NVME, STICK)),
    ("fr", {"size": "11 TB"}, (SATA, LARGE, STICK)),
    ("ru", {"bus": "nvme"}, (SATA, NVME, STICK)),
    ("ja", "only", (STICK, NVME)),
    ("zh", {"size": "500 GB"}, (SATA, NVME, STICK)),
)


@pytest.mark.parametrize(
    ("language", "disk", "disks"),
    [
        pytest.param(*case, id=case[0], marks=() if case[0] == "de" else pytest.mark.soak)
        for case in FOUND
    ],
)
def test_the_one_disk_is_found_whatever_the_language(
    pe: WindowsPE, tmp_path: Path, language: str, disk: object, disks: tuple[FakeDisk, ...]
) -> None:
    """First the answers are chosen and the PC starts again; nothing is erased before that."""
    assert {case[0] for case in FOUND} == set(LANGUAGES)
    place = disks.index(STICK)
    done = pe.run(stick(tmp_path, disk), disks, language=language)
    assert done.rebooted and not done.allowed and done.code is None, done
    assert done.answers == f"wipes 1-{place}", done


def test_the_second_time_setup_goes_on_and_the_stick_asks_again(
    pe: WindowsPE, tmp_path: Path
) -> None:
    root = stick(tmp_path, {"bus": "nvme"})
    (root / "$WinPEDriver$/vmd").mkdir(parents=True)
    (root / "$WinPEDriver$/vmd/iaStorVD.inf").touch()
    (root / "Autounattend.xml").write_text("wipes 1-2")
    done = pe.run(root, (SATA, NVME, STICK), 1, 2)
    assert (done.code, done.rebooted, done.allowed) == (0, False, True), done
    assert done.answers == "asks"
    assert len(done.drivers) == 1 and "iaStorVD.inf" in done.drivers[0]


def test_serial_numbers_come_out_of_wmi(pe: WindowsPE, tmp_path: Path) -> None:
    """By Wine's VBScript and WMI, which call every disk's WINEHDISK or something with it in it."""
    script = tmp_path / "serials.vbs"
    text = Templates([shipped_folder() / "templates"]).render("windows/scripts/serials.vbs.j2", {})
    script.write_text(text.text, newline="\r\n")
    lines = pe.cscript(script).splitlines()
    assert lines and all(re.fullmatch(r"\d+;\S.*", line) for line in lines), lines


SCRIPTS = [
    {"serial": "S4EVNX0R", "model": "Samsung SSD 970", "size": "500 GB", "bus": bus}
    for bus in ("nvme", "sata", "sas", "raid", "usb")
]


@pytest.mark.parametrize("disk", ["only", *SCRIPTS])
def test_the_batch_file_parses(tmp_path: Path, disk: object) -> None:
    text = (stick(tmp_path, disk) / "provision/disk/select-disk.cmd").read_bytes()
    assert broken(text) == []
    assert broken(text.replace(b"goto refuse\r\n)", b"goto refuse\r\n", 1)) != []
    assert text.isascii() and max(map(len, text.splitlines())) < 2000


@pytest.mark.soak
def test_inside_an_installed_windows_nothing_happens(pe: WindowsPE, tmp_path: Path) -> None:
    pe.mark.unlink()
    try:
        done = pe.run(stick(tmp_path, "only"), (NVME, STICK))
    finally:
        pe.mark.touch()
    assert (done.code, done.rebooted, done.allowed, done.answers) == (0, False, False, "asks")


def broken(source: bytes) -> list[bytes]:
    """What the grammar makes no sense of."""
    found = []
    nodes = [Parser(Language(tree_sitter_batch.language())).parse(source).root_node]
    while nodes:
        node = nodes.pop()
        if node.type == "ERROR" or node.is_missing:
            found.append((node.text or b"")[:60])
        nodes.extend(node.children)
    return found


REFUSED = {
    "two fit": ({"bus": "nvme"}, (NVME, NVME, STICK), (), "2 disks fit"),
    "counted otherwise": ({"bus": "nvme"}, (NVME, STICK), (1, 2), "counted otherwise"),
    "none fits": ({"serial": "S4EVNX0"}, (NVME, LARGE, STICK), (), "no disk fits"),
    "only, but two": ("only", (NVME, SATA, STICK), (), "2 disks fit"),
    "no stick": ("only", (NVME, SATA), (), "not recognised"),
    "two sticks": ("only", (NVME, STICK, STICK), (), "not recognised"),
    "the stick itself": ({"bus": "usb"}, (NVME, STICK), (), "no disk fits"),
    "of another size": ({"size": "480 GB"}, (NVME, STICK), (), "no disk fits"),
    "beyond": ({"bus": "nvme"}, (SATA, SATA, SATA, STICK, NVME), (), "no answers for disk 4"),
    "no disks": ("only", (), (), "not recognised"),
}
QUICK = ("two fit",)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.soak) for name in REFUSED],
)
def test_anything_else_stops_and_nothing_is_erased(
    pe: WindowsPE, tmp_path: Path, name: str
) -> None:
    disk, disks, given, words = REFUSED[name]
    root = stick(tmp_path, disk)
    if given:
        (root / "Autounattend.xml").write_text("wipes 1-2")
    done = pe.run(root, disks, *given)
    assert done.code is None and not done.rebooted and not done.allowed, done
    assert done.answers == "asks"
    assert "NOTHING WAS ERASED" in done.printed and words in done.printed, done.printed
