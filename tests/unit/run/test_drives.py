"""`drive attach` and `drive eject`: which drive, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.errors import FailedError
from provisioner.ports import Medium
from provisioner.run.drives import attach, eject
from tests.contract.domains import domain_xml
from tests.fakes.clock import FakeClock
from tests.fakes.hypervisor import FakeHypervisor


@pytest.fixture
def image(tmp_path: Path) -> Path:
    (tmp_path / "x.iso").write_bytes(b"disc")
    return tmp_path / "x.iso"


@pytest.fixture
def hypervisor() -> FakeHypervisor:
    """A machine with a disc in sda, and nothing in sdb."""
    found = FakeHypervisor(clock=FakeClock())
    found.define(domain_xml(medium="/nowhere/install.iso"))
    return found


def test_an_empty_drive_is_taken_and_emptied(hypervisor: FakeHypervisor, image: Path) -> None:
    assert attach(hypervisor, "w1", image, target=None, force=False) == "sdb"
    media = {drive.target: drive.medium for drive in hypervisor.drives("w1")}
    assert media["sdb"] == Medium(path=str(image))
    with pytest.raises(FailedError, match="every drive of w1 holds a disc"):
        attach(hypervisor, "w1", image, target=None, force=False)
    with pytest.raises(FailedError, match="2 drives of w1 hold discs"):
        eject(hypervisor, "w1", target=None, force=False)
    assert eject(hypervisor, "w1", target="sdb", force=False) == ("sdb",)
    assert eject(hypervisor, "w1", target="sdb", force=False) == ()


def test_an_overlay_is_told_by_its_first_bytes(hypervisor: FakeHypervisor, image: Path) -> None:
    image.write_bytes(b"QFI\xfb")
    attach(hypervisor, "w1", image, target="sda", force=False)
    media = {drive.target: drive.medium for drive in hypervisor.drives("w1")}
    assert media["sda"] == Medium(path=str(image), format="qcow2")


def test_drives_and_files_that_are_not_there(hypervisor: FakeHypervisor, image: Path) -> None:
    with pytest.raises(FailedError, match="w1 has no drive sdq") as told:
        attach(hypervisor, "w1", image, target="sdq", force=False)
    assert told.value.hint == "its drives: sda, sdb"
    with pytest.raises(FailedError, match="w1 has no drive sdq"):
        eject(hypervisor, "w1", target="sdq", force=False)
    with pytest.raises(FailedError, match="cannot read"):
        attach(hypervisor, "w1", image.with_name("missing"), target=None, force=False)
