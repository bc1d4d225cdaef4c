"""Logs are read from disks of every shape, and hostile ones get no further than a remark."""

from __future__ import annotations

import contextlib
import os
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.autopsy.case import Kind
from provisioner.autopsy.gather import examine_disk
from provisioner.autopsy.windows_disk import read_disk
from provisioner.errors import FailedError, HostError, MediaError, ProvisionerError
from provisioner.host.disk_chain import disk_chain
from provisioner.host.disk_export import exported
from provisioner.host.excerpt import Bounds, excerpt_of
from provisioner.host.ntfs import NtfsTools, SevenZip, ntfs_volume
from provisioner.quoting import unattend_password
from tests.integration.canary import leaks_in_bytes
from tests.integration.processes import processes_mentioning
from tests.unit.autopsy import disks
from tests.unit.autopsy.logs import SETUPACT

MARKER = "Zq7KanariOnDisk9x"
KEY_ERROR = (
    "2026-11-22 10:00:05, Error  [0x06] IBS Setup has failed to validate the product key.\r\n"
)
UNATTEND = (
    "<unattend><AutoLogon><Password><Value>"
    f"{unattend_password(MARKER + 'tail', 'Password')}</Value></Password></AutoLogon></unattend>"
)
FILES = {
    "Windows/PANTHER/setupact.log": (SETUPACT * 3).encode("utf-16"),
    "Windows/PANTHER/setuperr.log": KEY_ERROR.encode(),
    "Windows/PANTHER/unattend.xml": UNATTEND.encode(),
    "Windows/Setup/State/State.ini": b"[State]\r\nImageState=IMAGE_STATE_UNDEPLOYABLE\r\n",
    "Windows/System32/config/SYSTEM": b"regf" + bytes(4096),
    "ProgramData/provisioner/first-logon.log": f"net user dev {MARKER}tail\r\n".encode(),
    "ProgramData/provisioner/1 tools.log": b"step tools\r\n",
    "ProgramData/provisioner/-rf.log": b"no",
    "ProgramData/provisioner/steps/1-tools.1.stdout.log": b"made C:\\Tools\r\n",
    "Users/dev/secret.txt": b"nobody asked for this",
}


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT disk with logs and a password; nothing may change it."""
    path = disks.gpt_disk(tmp_path_factory.mktemp("gpt"), FILES)
    path.chmod(0o400)
    return path


@pytest.fixture(autouse=True)
def nothing_is_left(disk: Path) -> Iterator[None]:
    """No daemon outlives a reading, and with it no mount; the disk is not written to."""
    before = disk.stat().st_mtime_ns
    yield
    assert disk.stat().st_mtime_ns == before
    assert processes_mentioning(f"{disk.parent}/") == {}


def test_a_chain_of_three(disk: Path) -> None:
    top = disks.overlay(disks.overlay(disk, "middle.qcow2"), "top.qcow2")
    case = examine_disk(top, at=0)
    assert case.remarks == ("a file in ProgramData/provisioner has a name that is not taken over",)
    verdict = case.verdict
    assert verdict is not None and verdict.signature == "key.validation"
    assert verdict.document == "logs/p3/Windows/PANTHER/setuperr.log"
    texts = {document.name.removeprefix("logs/p3/"): document for document in case.documents}
    assert set(texts) == set(FILES) - {
        *("Windows/System32/config/SYSTEM", "ProgramData/provisioner/-rf.log"),
        "Users/dev/secret.txt",
    }
    assert texts["Windows/PANTHER/setupact.log"].text == SETUPACT * 3
    assert texts["ProgramData/provisioner/first-logon.log"].text == "net user dev [masked]\n"
    everything = "".join(document.text for document in case.documents)
    assert leaks_in_bytes(everything.encode(), [MARKER], "the case") == []
    layout = [text for _, text in case.facts if "over" in text]
    assert layout and layout[0].index("top.qcow2") < layout[0].index("disk.raw")


@pytest.mark.parametrize("driver", ["qcow2", "vdi", "vhdx", "vmdk", "vpc"])
def test_formats(disk: Path, driver: str) -> None:
    path = disks.converted(disk, driver)
    case = examine_disk(path, at=0)
    assert case.verdict is not None and case.verdict.signature == "key.validation", case.remarks


def test_mbr_and_a_volume_by_itself(tmp_path: Path) -> None:
    path = disks.mbr_disk(tmp_path, FILES)
    for image in (path, tmp_path / "ntfs.raw"):
        verdict = examine_disk(image, at=0).verdict
        assert verdict is not None and verdict.signature == "key.validation"


def test_the_mounts_go_with_the_block(disk: Path) -> None:
    with exported(disk_chain(disk), [None]) as (whole,):
        assert str(whole) in Path("/proc/self/mounts").read_text()
        assert whole.stat().st_size == disk.stat().st_size
    assert str(whole) not in Path("/proc/self/mounts").read_text()
    assert not whole.parent.exists()


def test_both_readers_of_ntfs_agree(disk: Path) -> None:
    place = (disks.WINDOWS_AT, disks.WINDOWS_MIB * disks.MIB)
    with exported(disk_chain(disk), [place]) as (volume,):
        tools, seven = NtfsTools(volume), SevenZip(volume)
        for path, content in FILES.items():
            folder, _, name = path.rpartition("/")
            assert name in tools.names(folder) and name in seven.names(folder)
            assert tools.read(path, Bounds()).head == content
            if not name.startswith("-"):
                assert seven.read(path, Bounds()).head == content
        assert tools.names("nowhere") == () == seven.names("nowhere")
        own = {"steps/", "first-logon.log", "1 tools.log", "-rf.log"}
        assert set(tools.names("ProgramData/provisioner")) == own
        assert set(seven.names("ProgramData/provisioner")) == own
        with pytest.raises(FailedError):
            tools.read("nowhere", Bounds())


def test_without_a_program_the_hint_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="nothing here reads NTFS") as caught:
        ntfs_volume(tmp_path / "x", programs=("no-such-program",))
    assert "ntfs-3g" in (caught.value.hint or "")


def test_while_a_machine_uses_it(disk: Path) -> None:
    top = disks.overlay(disk, "used.qcow2")
    node = f"driver=qcow2,node-name=d,file.driver=file,file.filename={top}"
    argv = ["qemu-storage-daemon", "--blockdev", node, "--nbd-server", "addr.type=unix,addr.path="]
    argv[-1] += str(top.with_name("nbd"))
    user = subprocess.Popen([*argv, "--export", "type=nbd,id=n,node-name=d,writable=on"])
    try:
        deadline = time.monotonic() + 10
        while not top.with_name("nbd").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        refused = subprocess.run(
            ["qemu-img", "info", str(top)], capture_output=True, text=True, check=False
        )
        assert "lock" in refused.stderr, "nobody holds it: the test would prove nothing"
        verdict = examine_disk(top, at=0).verdict
        assert verdict is not None and verdict.signature == "key.validation"
    finally:
        user.terminate()
        user.wait(10)


# --- what goes wrong -----------------------------------------------------------------------------


def test_empty_blank_and_damaged_disks_become_remarks(disk: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.raw"
    empty.touch()
    blank = tmp_path / "blank.raw"
    blank.write_bytes(bytes(1 << 20))
    damaged = tmp_path / "damaged.raw"
    data = bytearray(disk.read_bytes())
    table = disks.WINDOWS_AT + 4 * 4096  # somewhere in the master file table and around it
    data[table : table + 200_000] = os.urandom(200_000)
    damaged.write_bytes(data)
    cut = tmp_path / "cut.raw"
    cut.write_bytes(disk.read_bytes()[: disks.WINDOWS_AT + disks.MIB])
    foreign = tmp_path / "some.raw"
    foreign.write_bytes(b"\x55\xaa" * 300)
    for path in (empty, blank, damaged, cut, foreign, tmp_path / "missing.qcow2", tmp_path):
        report = read_disk(path, declared=None)
        assert report.remarks, path
        assert all("Traceback" not in remark for remark in report.remarks)


def test_bitlocker_is_named(disk: Path, tmp_path: Path) -> None:
    path = tmp_path / "locked.raw"
    data = bytearray(disk.read_bytes())
    data[disks.WINDOWS_AT : disks.WINDOWS_AT + 11] = b"\xeb\x58\x90-FVE-FS-"
    path.write_bytes(data)
    assert any("BitLocker" in remark for remark in read_disk(path, declared=None).remarks)


def qcow2(folder: Path, backing: bytes, **changed: int) -> Path:
    """A qcow2 header as a stranger may write it."""
    head = bytearray(4096)
    struct.pack_into(">4sIQI", head, 0, b"QFI\xfb", 3, 512, changed.get("size", len(backing)))
    struct.pack_into(">IQ", head, 20, 16, 1 << 20)
    struct.pack_into(">I", head, 32, changed.get("encryption", 0))
    struct.pack_into(">QQQII", head, 72, changed.get("features", 0), 0, 0, 4, 104)
    head[512 : 512 + len(backing)] = backing
    path = folder / "hostile.qcow2"
    path.write_bytes(head)
    return path


@pytest.mark.parametrize(
    ("backing", "changed", "said"),
    [
        (b'json:{"driver":"file","filename":"/etc/shadow"}', {}, "no file of this host"),
        (b"nbd://attacker.example/x", {}, "no file of this host"),
        (b"/etc/passwd", {}, "no disk"),
        (b"hostile.qcow2", {}, "circle"),
        (b"/dev/null", {}, "no disk image"),
        (b"x", {"encryption": 2}, "encrypted"),
        (b"x", {"features": 4}, "another file"),
        (b"x", {"size": 1 << 30}, "damaged"),
        (b"nowhere.raw", {}, "no such file"),
    ],
)
def test_hostile_chains_are_refused(
    tmp_path: Path, backing: bytes, changed: dict[str, int], said: str
) -> None:
    path = qcow2(tmp_path, backing, **changed)
    with pytest.raises(ProvisionerError, match=said):
        disk_chain(path)
    assert any(said in remark for remark in read_disk(path, declared=None).remarks)


@settings(max_examples=150)
@given(data=st.binary(max_size=600), start=st.sampled_from([b"", b"QFI\xfb\0\0\0\x03", b"KDMV"]))
def test_any_header_is_a_chain_or_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, start: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.img"
    path.write_bytes(start + data)
    with contextlib.suppress(ProvisionerError):
        assert disk_chain(path)[0].path == path


def test_a_raw_disk_that_says_it_is_qcow2_stays_raw(tmp_path: Path) -> None:
    """A guest writes its raw disk: what it puts into the first block must not be believed."""
    path = qcow2(tmp_path, b"/etc/passwd")
    (layer,) = disk_chain(path, declared="raw")
    assert layer.driver == "raw"
    with pytest.raises(MediaError, match="is said to be qcow2"):
        disk_chain(_raw(tmp_path), declared="qcow2")


def _raw(folder: Path) -> Path:
    path = folder / "plain.raw"
    path.write_bytes(bytes(1 << 20))
    return path


def test_qemu_refusing_the_image_is_an_error_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "broken.qcow2"
    path.write_bytes(b"QFI\xfb" + struct.pack(">I", 2) + bytes(4000))
    with pytest.raises(FailedError, match="cannot be opened"), exported(disk_chain(path), [None]):
        pass


# --- bounds --------------------------------------------------------------------------------------


def test_an_endless_program_is_cut_off() -> None:
    bounds = Bounds(head=1000, tail=500, most=8 << 20, seconds=20)
    excerpt = excerpt_of(("yes", "0123456789abcde"), bounds)
    assert not excerpt.ended and not excerpt.whole and excerpt.size >= 8 << 20
    assert len(excerpt.head) == 1000 and len(excerpt.tail) == 500
    began = time.monotonic()
    silent = excerpt_of(("sleep", "60"), Bounds(seconds=0.3))
    assert not silent.ended and time.monotonic() - began < 10


def test_a_failing_or_missing_program() -> None:
    with pytest.raises(FailedError, match="exit code"):
        excerpt_of(("false",), Bounds())
    with pytest.raises(HostError, match="not installed"):
        excerpt_of(("no-such-program",), Bounds())


def test_a_log_of_gigabytes_keeps_its_ends(tmp_path: Path) -> None:
    line = b"2026-11-22 10:00:00, Info   SETUP  and so on and so on and so on ............\r\n"
    files = {"Windows/Panther/setupact.log": b"first line\r\n" + line * 60_000 + KEY_ERROR.encode()}
    path = disks.gpt_disk(tmp_path, files)
    case = examine_disk(path, at=0)
    (document,) = [each for each in case.documents if each.kind is Kind.SETUP]
    assert document.cut and document.size == len(files["Windows/Panther/setupact.log"])
    assert document.text.startswith("first line\n") and len(document.text) < 1_400_000
    assert "bytes are left out here" in document.text
    assert case.verdict is not None and case.verdict.signature == "key.validation"
